//! One budget for the memory that request bodies take: as sent, decompressed,
//! and parsed.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::error::{Error, Result};

/// What one permit of the semaphore stands for.
const UNIT_BYTES: usize = 1024;

/// The memory that all bodies in flight may take together. Clones share it.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    permits: Arc<Semaphore>,
    /// The most that one request may take: half of the budget, so that the largest request
    /// leaves room for others.
    max_request_bytes: usize,
}

/// The part of a budget that one request holds, until this is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: MemoryBudget,
    /// Absent until the first unit is needed: most bodies are small, and are not charged.
    permit: Option<OwnedSemaphorePermit>,
    charged_bytes: usize,
}

impl MemoryBudget {
    /// Creates a budget of this many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let units = (bytes / UNIT_BYTES).clamp(2, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self { permits: Arc::new(Semaphore::new(units)), max_request_bytes: units / 2 * UNIT_BYTES }
    }

    /// Returns an empty reservation for one request.
    #[must_use]
    pub fn reservation(&self) -> Reservation {
        Reservation { budget: self.clone(), permit: None, charged_bytes: 0 }
    }
}

impl Reservation {
    /// Charges `bytes` more to this request.
    ///
    /// # Errors
    ///
    /// `TooLarge` beyond what one request may take; `Overloaded` when other requests hold the
    /// memory, so that a later attempt may succeed.
    pub fn charge(&mut self, bytes: usize) -> Result<()> {
        let charged = self.charged_bytes.saturating_add(bytes);
        if charged > self.budget.max_request_bytes {
            let detail = "Request body takes more memory than the service allows for one request.";
            return Err(Error::too_large(self.budget.max_request_bytes).saying(detail));
        }
        self.charged_bytes = charged;
        let held = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = charged.div_ceil(UNIT_BYTES).saturating_sub(held);
        if missing == 0 {
            return Ok(());
        }
        let missing = u32::try_from(missing).map_err(|_| Error::overloaded())?;
        let more = Arc::clone(&self.budget.permits).try_acquire_many_owned(missing);
        let more = more.map_err(|_| Error::overloaded())?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }

    /// Returns what is held, to be carried elsewhere, and leaves an empty reservation.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let empty = self.budget.reservation();
        std::mem::replace(self, empty)
    }

    /// Whether nothing is held, so that there is nothing to give back later.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.permit.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_charged_as_it_grows_and_gives_back_when_dropped() {
        let budget = MemoryBudget::new(100 * UNIT_BYTES);
        let mut first = budget.reservation();
        assert!(first.is_empty());
        for _ in 0..50 {
            first.charge(UNIT_BYTES).unwrap();
        }
        assert_eq!(first.charge(1).unwrap_err().code.http_status(), 413, "half of it is the most");
        let mut second = budget.reservation();
        second.charge(49 * UNIT_BYTES).unwrap();
        let mut third = budget.reservation();
        third.charge(UNIT_BYTES).unwrap();
        let refused = third.charge(1).unwrap_err();
        assert_eq!((refused.code.http_status(), refused.reason.as_ref()), (503, "overloaded"));
        assert!(refused.retry_after.is_some());
        drop(first);
        third.charge(UNIT_BYTES).unwrap();
    }

    #[test]
    fn parts_of_a_unit_add_up() {
        let budget = MemoryBudget::new(4 * UNIT_BYTES);
        let mut request = budget.reservation();
        for _ in 0..UNIT_BYTES {
            request.charge(1).unwrap();
        }
        assert_eq!(budget.permits.available_permits(), 3);
        request.charge(1).unwrap();
        assert_eq!(budget.permits.available_permits(), 2);
        assert!(request.charge(usize::MAX).is_err());
    }
}
