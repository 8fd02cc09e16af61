//! Handles: numbers that look like pointers. They are looked up and never followed, so that a stale one is an error.

use engine::engine::memory::fallible;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    slots: Mutex<Slots<T>>,
}

struct Slots<T> {
    all: Vec<Slot<T>>,
    /// The place of the slot that was freed last.
    free: Option<usize>,
}

struct Slot<T> {
    /// How many objects it has held before.
    generation: u32,
    object: Option<Arc<T>>,
    /// Of a free slot: the one that was freed before it.
    next: Option<usize>,
}

/// Generations that a handle can tell apart. A slot that has had them all is not used again, so that no stale handle ever
/// becomes valid.
const GENERATIONS: u32 = 1 << 24;

impl<T> Table<T> {
    pub const fn new(what: &'static str, kind: u64) -> Self {
        Table { what, kind, slots: Mutex::new(Slots { all: Vec::new(), free: None }) }
    }

    fn slots(&self) -> MutexGuard<'_, Slots<T>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds something; returns its handle, which is not null. Fails where there is no memory for more of them.
    pub fn insert<H>(&self, object: impl Into<Arc<T>>) -> engine::Result<*mut H> {
        let object = Some(object.into());
        let mut slots = self.slots();
        let slots = &mut *slots;
        let index = slots.free.unwrap_or(slots.all.len());
        if index == slots.all.len() {
            let full = |_| engine::Error::OutOfMemory { what: "handles", bytes: 2 * index * size_of::<Slot<T>>() };
            fallible(|| slots.all.try_reserve(1)).map_err(full)?;
            slots.all.push(Slot { generation: 0, object: None, next: None });
        }
        let slot = &mut slots.all[index];
        slots.free = slot.next.take();
        slot.object = object;
        // Kind, generation, index: never 0, and odd, so that no pointer of the caller's is one.
        let handle = self.kind << 56 | u64::from(slot.generation) << 32 | (index as u64) << 1 | 1;
        Ok(handle as usize as *mut H)
    }

    /// The living slot of a handle.
    fn index<H>(&self, slots: &Slots<T>, handle: *const H) -> Result<usize, Lookup> {
        let handle = handle as usize as u64;
        let (kind, generation, index) = (handle >> 56, handle >> 32 & 0xff_ffff, (handle & 0xffff_ffff) as usize >> 1);
        let slot = slots.all.get(index);
        let lives = slot.is_some_and(|s| s.object.is_some() && u64::from(s.generation) == generation);
        if lives && kind == self.kind && handle & 1 == 1 { Ok(index) } else { Err(Lookup::Stale(self.what)) }
    }

    /// What a handle stands for.
    pub fn get<H>(&self, handle: *const H) -> Result<Arc<T>, Lookup> {
        let slots = self.slots();
        let index = self.index(&slots, handle)?;
        slots.all[index].object.clone().ok_or(Lookup::Stale(self.what))
    }

    /// Makes a handle stale. This needs no memory. A thread that still uses the object keeps it until it is done.
    pub fn remove<H>(&self, handle: *const H) -> Result<(), Lookup> {
        let mut guard = self.slots();
        let slots = &mut *guard;
        let index = self.index(slots, handle)?;
        let slot = &mut slots.all[index];
        slot.generation += 1;
        let object = slot.object.take();
        if slot.generation < GENERATIONS {
            slot.next = slots.free.replace(index);
        }
        drop(guard);
        drop(object);
        Ok(())
    }
}

impl<T> Table<Exclusive<T>> {
    /// What a handle stands for, for one user at a time.
    pub fn lease<H>(&self, handle: *const H) -> Result<Lease<T>, Lookup> {
        let of = self.get(handle)?;
        let value = of.value().take();
        let lease = Lease { value: Some(value.ok_or(Lookup::Busy(self.what))?), of };
        #[cfg(test)]
        crate::panics::at(crate::panics::Place::Held);
        Ok(lease)
    }

    /// Ends what a handle stands for. Fails while somebody has it: memory of the caller's that it works in is in use.
    pub fn destroy<H>(&self, handle: *const H) -> Result<(), Lookup> {
        let object = self.get(handle)?;
        let value = object.value().take().ok_or(Lookup::Busy(self.what))?;
        // Without its value nobody can have it any more, and no other thread can destroy it.
        let removed = self.remove(handle);
        drop(value);
        removed
    }
}

/// Something that one user has at a time.
pub(crate) struct Exclusive<T> {
    /// None while somebody has it.
    value: Mutex<Option<Box<T>>>,
    /// The work in progress is to stop.
    pub cancelled: AtomicBool,
}

impl<T> Exclusive<T> {
    pub fn new(value: T) -> Self {
        Exclusive { value: Mutex::new(Some(Box::new(value))), cancelled: AtomicBool::new(false) }
    }

    fn value(&self) -> MutexGuard<'_, Option<Box<T>>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is to stop; asked once.
    pub fn take_cancel(&self) -> bool {
        self.cancelled.swap(false, Ordering::AcqRel)
    }
}

/// The only user's access, which may go from thread to thread. After a panic too the value is there again: it is whole, since
/// values change after all that can fail.
pub(crate) struct Lease<T> {
    value: Option<Box<T>>,
    pub of: Arc<Exclusive<T>>,
}

impl<T> Deref for Lease<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value.as_ref().expect("there until it is dropped")
    }
}

impl<T> DerefMut for Lease<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("there until it is dropped")
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        *self.of.value() = self.value.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_of_the_last_generation_is_not_used_again() {
        let table = Table::<u8>::new("test", 9);
        let first: *mut u8 = table.insert(1).unwrap();
        table.remove(first).ok().unwrap();
        table.slots().all[0].generation = GENERATIONS - 1;
        let last: *mut u8 = table.insert(2).unwrap();
        assert_eq!(*table.get(last).ok().unwrap(), 2);
        table.remove(last).ok().unwrap();
        let next: *mut u8 = table.insert(3).unwrap();
        assert!(table.get(first).is_err() && table.get(last).is_err());
        assert_eq!(*table.get(next).ok().unwrap(), 3);
        assert_eq!(table.slots().all.len(), 2);
    }

    /// A search for a free slot, from either end, would find another one.
    #[test]
    fn the_slot_that_was_freed_last_is_used_first() {
        let place = |handle: *mut u8| (handle as usize & 0xffff_ffff) >> 1;
        let table = Table::<usize>::new("test", 9);
        let handles: Vec<*mut u8> = (0..1000).map(|i| table.insert(i).unwrap()).collect();
        assert!(handles.iter().enumerate().all(|(i, &handle)| place(handle) == i));
        let freed = [100, 900, 500];
        freed.iter().for_each(|&i| table.remove(handles[i]).ok().unwrap());
        let again: Vec<*mut u8> = (0..4).map(|i| table.insert(2000 + i).unwrap()).collect();
        assert_eq!(again.iter().map(|&handle| place(handle)).collect::<Vec<_>>(), [500, 900, 100, 1000]);
        assert!(table.slots().free.is_none());
        assert!(freed.iter().all(|&i| table.get(handles[i]).is_err()));
        assert!(again.iter().enumerate().all(|(i, &handle)| table.get(handle).is_ok_and(|held| *held == 2000 + i)));
    }
}
