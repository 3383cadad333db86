//! Lets those who want the same thing at the same time wait for one query.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

/// Work that several can wait for.
pub(crate) type Flight<T> = Shared<BoxFuture<'static, T>>;

/// What is under way, by what it is about. Clones share.
#[derive(Debug)]
pub(crate) struct Flights<K, T: Clone>(Arc<Mutex<UnderWay<K, T>>>);

type UnderWay<K, T> = HashMap<K, WeakShared<BoxFuture<'static, T>>>;

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Joins the work on `key` that is under way, or begins it. It goes on while anybody waits.
    pub(crate) fn join<F>(&self, key: K, work: impl FnOnce() -> F) -> Flight<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut under_way = lock(&self.0);
        if let Some(flight) = under_way.get(&key).and_then(WeakShared::upgrade) {
            return flight;
        }
        let landing = Landing { key: key.clone(), flights: Self::clone(self) };
        let work = work();
        let work = async move {
            let _landing = landing;
            work.await
        };
        let flight = work.boxed().shared();
        if let Some(weak) = flight.downgrade() {
            under_way.insert(key, weak);
        }
        flight
    }
}

impl<K, T: Clone> Clone for Flights<K, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, T: Clone> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// Takes the flight off the list when it ends, or when nobody waits any more.
struct Landing<K: Eq + Hash, T: Clone> {
    key: K,
    flights: Flights<K, T>,
}

impl<K: Eq + Hash, T: Clone> Drop for Landing<K, T> {
    fn drop(&mut self) {
        lock(&self.flights.0).remove(&self.key);
    }
}

/// The list is whole at every step, so a panic elsewhere harms nothing here.
fn lock<K, T: Clone>(flights: &Mutex<UnderWay<K, T>>) -> MutexGuard<'_, UnderWay<K, T>> {
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn those_who_come_meanwhile_wait_for_the_same_work() {
        let (flights, begun) = (Flights::default(), Arc::new(AtomicUsize::new(0)));
        let begin = |ready: oneshot::Receiver<()>| {
            let begun = Arc::clone(&begun);
            move || async move {
                begun.fetch_add(1, Ordering::SeqCst);
                ready.await.is_ok()
            }
        };
        let (go, ready) = oneshot::channel();
        let first = flights.join("ann", begin(ready));
        let second = flights.join("ann", begin(oneshot::channel().1));
        go.send(()).unwrap();
        assert_eq!(futures::join!(first, second), (true, true));
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        assert!(lock(&flights.0).is_empty(), "what has ended is off the list");
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_begun_anew() {
        let flights = Flights::default();
        let abandoned = flights.join("ann", std::future::pending::<bool>);
        drop(abandoned);
        assert!(lock(&flights.0).is_empty());
        assert!(flights.join("ann", || std::future::ready(true)).await);
    }
}
