//! How many connections may be open, in all and for each address.
//!
//! When all places are taken, a connection that has asked nothing yet makes
//! room for a new one: somebody who opens connections and is silent takes places
//! from others for no longer than they need them. Where all have asked
//! something, the new one is closed at once.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{forwarded::TrustedProxies, silence::Activity};
use crate::limits::address_group;

/// File descriptors that are left for the database, files and the ops port.
const RESERVED_DESCRIPTORS: usize = 128;
/// The most connections of the ops port.
const MAX_OPS_CONNECTIONS: usize = 64;

/// The places for connections. Clones share.
#[derive(Clone, Debug)]
pub(super) struct ConnectionLimits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max: usize,
    /// 0 is no limit. Connections of proxies are not counted: they come for many.
    max_per_address: usize,
    proxies: TrustedProxies,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    by_address: HashMap<IpAddr, usize>,
    /// Those that had asked nothing when they came, in their order.
    silent: VecDeque<(Arc<Place>, Activity)>,
}

#[derive(Debug)]
struct Place {
    address: IpAddr,
    /// Whether it was given to another connection, or back.
    is_given_up: AtomicBool,
}

/// The right to be open, given back when dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    limits: ConnectionLimits,
    place: Arc<Place>,
}

impl ConnectionLimits {
    /// Creates limits for the port of the service. 0 for each address is no limit.
    pub(super) fn new(max: usize, max_per_address: usize, proxies: TrustedProxies) -> Self {
        Self(Arc::new(Inner { max, max_per_address, proxies, state: Mutex::default() }))
    }

    /// Creates the limits of the ops port.
    pub(super) fn ops() -> Self {
        Self::new(MAX_OPS_CONNECTIONS, 0, TrustedProxies::new(Vec::new()))
    }

    /// Takes a place for a connection from this address. `None` where there is none.
    pub(super) fn take(&self, peer: IpAddr, activity: &Activity) -> Option<ConnectionPermit> {
        let Inner { max, max_per_address, proxies, .. } = &*self.0;
        let address = address_group(peer);
        let mut state = self.state();
        let of_address = state.by_address.get(&address).copied().unwrap_or_default();
        if *max_per_address > 0 && of_address >= *max_per_address && !proxies.trust(peer) {
            return None;
        }
        if state.open >= *max && !state.evict() {
            return None;
        }
        let place = Arc::new(Place { address, is_given_up: AtomicBool::new(false) });
        state.open += 1;
        *state.by_address.entry(address).or_default() += 1;
        if state.silent.len() > 2 * max {
            state.silent.retain(|(place, activity)| place.is_silent(activity));
        }
        state.silent.push_back((Arc::clone(&place), activity.clone()));
        Some(ConnectionPermit { limits: self.clone(), place })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Closes the connection that has been silent the longest. False where there is none.
    fn evict(&mut self) -> bool {
        while let Some((place, activity)) = self.silent.pop_front() {
            if place.is_silent(&activity) {
                activity.evict();
                self.give_up(&place);
                return true;
            }
        }
        false
    }

    fn give_up(&mut self, place: &Place) {
        if place.is_given_up.swap(true, Ordering::Relaxed) {
            return;
        }
        self.open -= 1;
        if let Some(count) = self.by_address.get_mut(&place.address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&place.address);
            }
        }
    }
}

impl Place {
    fn is_silent(&self, activity: &Activity) -> bool {
        !self.is_given_up.load(Ordering::Relaxed) && !activity.has_asked()
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.limits.state().give_up(&self.place);
    }
}

/// Raises the soft limit on file descriptors to the hard one, and returns how many connections
/// that leaves room for.
pub(super) fn max_connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit on file descriptors stays as it is");
    }
    let descriptors = getrlimit(Resource::Nofile).current;
    connections_of(descriptors.map_or(usize::MAX, |count| count.try_into().unwrap_or(usize::MAX)))
}

/// What the reserve leaves; of very few descriptors, half.
fn connections_of(descriptors: usize) -> usize {
    descriptors.saturating_sub(RESERVED_DESCRIPTORS).max(descriptors / 2).max(1)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn limits(max: usize, max_per_address: usize) -> ConnectionLimits {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        ConnectionLimits::new(max, max_per_address, proxies)
    }

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    fn busy() -> Activity {
        let activity = Activity::default();
        drop(activity.heard());
        activity
    }

    #[test]
    fn a_silent_connection_makes_room_and_a_busy_one_does_not() {
        let limits = limits(2, 0);
        let silent = Activity::default();
        let first = limits.take(address(1), &busy()).unwrap();
        let _second = limits.take(address(1), &silent).unwrap();
        let _third = limits.take(address(2), &busy()).expect("the silent one makes room");
        assert!(limits.take(address(3), &busy()).is_none(), "all are busy");
        drop(first);
        assert!(limits.take(address(3), &busy()).is_some());
        assert_eq!(limits.state().open, 1);
    }

    #[test]
    fn each_address_has_its_limit_and_proxies_have_none() {
        let limits = limits(100, 2);
        let take = |peer| limits.take(peer, &busy());
        let held = [take(address(1)), take(address(1)), take(address(2))];
        assert!(held.iter().all(Option::is_some));
        assert!(take(address(1)).is_none());
        let proxy = Ipv4Addr::new(10, 0, 0, 1).into();
        let proxied: Vec<_> = (0..10).map(|_| take(proxy).unwrap()).collect();
        drop((held, proxied));
        assert!(take(address(1)).is_some());
        assert!(limits.state().by_address.is_empty() && limits.state().open == 0);
    }

    #[test]
    fn what_is_noted_of_silent_connections_is_bounded() {
        let limits = limits(10, 0);
        for _ in 0..1_000 {
            drop(limits.take(address(1), &Activity::default()));
        }
        assert!(limits.state().silent.len() <= 21);
    }

    #[test]
    fn the_reserve_is_left_for_others() {
        for (descriptors, connections) in [(1024, 896), (200, 100), (256, 128), (1, 1)] {
            assert_eq!(connections_of(descriptors), connections);
        }
        assert!(max_connections() > 0);
    }
}
