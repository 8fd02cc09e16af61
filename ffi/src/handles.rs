//! Handles: numbers that look like pointers. They are looked up and never followed, so that a stale one is an error.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// Why a handle is of no use.
pub(crate) enum Lookup {
    Stale(&'static str),
    Busy(&'static str),
}

/// Everything that callers hold of one kind.
pub(crate) struct Table<T> {
    /// For messages.
    what: &'static str,
    /// Tells handles of different kinds apart.
    kind: u64,
    slots: Mutex<Vec<Slot<T>>>,
}

struct Slot<T> {
    generation: u32,
    object: Option<Arc<Object<T>>>,
}

/// Something that a caller holds.
pub(crate) struct Object<T> {
    value: Mutex<T>,
    /// The work in progress, or the next, is to stop.
    pub cancelled: AtomicBool,
}

impl<T> Object<T> {
    /// Its value, for one thread at a time.
    pub fn lock(&self, what: &'static str) -> Result<MutexGuard<'_, T>, Lookup> {
        match self.value.try_lock() {
            Ok(value) => Ok(value),
            // A panic was caught and told; what it left is whole, since values change after all that can fail.
            Err(TryLockError::Poisoned(value)) => Ok(value.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Lookup::Busy(what)),
        }
    }

    /// Whether it is to stop; asked once.
    pub fn take_cancel(&self) -> bool {
        self.cancelled.swap(false, Ordering::AcqRel)
    }
}

impl<T> Table<T> {
    pub const fn new(what: &'static str, kind: u64) -> Self {
        Table { what, kind, slots: Mutex::new(Vec::new()) }
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot<T>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a value; returns its handle, which is not null.
    pub fn insert<H>(&self, value: T) -> *mut H {
        let object = Some(Arc::new(Object { value: Mutex::new(value), cancelled: AtomicBool::new(false) }));
        let mut slots = self.slots();
        let index = slots.iter().position(|s| s.object.is_none()).unwrap_or_else(|| {
            slots.push(Slot { generation: 0, object: None });
            slots.len() - 1
        });
        slots[index].object = object;
        // Kind, generation, index: never 0, and odd, so that no pointer of the caller's is one.
        let handle = self.kind << 56 | u64::from(slots[index].generation & 0xff_ffff) << 32 | (index as u64) << 1 | 1;
        handle as usize as *mut H
    }

    fn index<H>(&self, slots: &[Slot<T>], handle: *const H) -> Result<usize, Lookup> {
        let handle = handle as usize as u64;
        let (kind, generation, index) = (handle >> 56, handle >> 32 & 0xff_ffff, (handle & 0xffff_ffff) as usize >> 1);
        let lives = slots.get(index).is_some_and(|s| {
            s.object.is_some() && u64::from(s.generation & 0xff_ffff) == generation && kind == self.kind
        });
        if lives && handle & 1 == 1 { Ok(index) } else { Err(Lookup::Stale(self.what)) }
    }

    /// What a handle stands for.
    pub fn get<H>(&self, handle: *const H) -> Result<Arc<Object<T>>, Lookup> {
        let slots = self.slots();
        let index = self.index(&slots, handle)?;
        slots[index].object.clone().ok_or(Lookup::Stale(self.what))
    }

    /// Does something with what a handle stands for, alone.
    pub fn with<H, R, E: From<Lookup>>(
        &self,
        handle: *const H,
        work: impl FnOnce(&mut T, &Object<T>) -> Result<R, E>,
    ) -> Result<R, E> {
        let object = self.get(handle)?;
        let mut value = object.lock(self.what)?;
        #[cfg(test)]
        crate::panics::at(crate::panics::Place::Held);
        work(&mut value, &object)
    }

    /// Looks at what a handle stands for, which others may do meanwhile; shortly.
    pub fn look<H, R>(&self, handle: *const H, work: impl FnOnce(&T) -> R) -> Result<R, Lookup> {
        let object = self.get(handle)?;
        let value = object.value.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(work(&value))
    }

    /// Lets go of a value; what still uses it ends first, on its own thread.
    pub fn remove<H>(&self, handle: *const H) -> Result<(), Lookup> {
        let mut slots = self.slots();
        let index = self.index(&slots, handle)?;
        slots[index].generation = slots[index].generation.wrapping_add(1);
        let object = slots[index].object.take();
        drop(slots);
        drop(object);
        Ok(())
    }
}
