//! Handles: numbers in the form of pointers. They are looked up and never dereferenced, so a stale handle is an error.

use sam2_engine::memory::fallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reason why a lookup fails.
pub(crate) enum Lookup {
    Stale(&'static str),
    /// Another thread or a job uses the object.
    Busy(&'static str),
    /// A callback of the object on this thread makes the call.
    InCallback(&'static str),
}

/// All objects of one kind.
pub(crate) struct Table<T> {
    /// Name of the kind, for messages.
    what: &'static str,
    /// Number of the kind, which is part of its handles.
    kind: u64,
    slots: Mutex<Slots<T>>,
}

struct Slots<T> {
    all: Vec<Slot<T>>,
    /// Index of the slot that was freed last.
    free: Option<usize>,
}

struct Slot<T> {
    /// Number of previous objects.
    generation: u32,
    object: Option<Arc<T>>,
    /// Free slots only: the slot that was freed before this one.
    next: Option<usize>,
}

/// Number of generations that a handle can distinguish. A slot that has used them all is retired, so that no stale
/// handle becomes valid.
const GENERATIONS: u32 = 1 << 24;

impl<T> Table<T> {
    pub const fn new(what: &'static str, kind: u64) -> Self {
        Table { what, kind, slots: Mutex::new(Slots { all: Vec::new(), free: None }) }
    }

    /// Returns the name of the kind.
    pub fn what(&self) -> &'static str {
        self.what
    }

    fn slots(&self) -> MutexGuard<'_, Slots<T>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores an object and returns its handle, which is not NULL. Fails if there is no memory for another slot.
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
        // Kind, generation and index. The value is odd, so it is neither 0 nor an aligned pointer of the caller.
        let handle = self.kind << 56 | u64::from(slot.generation) << 32 | (index as u64) << 1 | 1;
        Ok(handle as usize as *mut H)
    }

    /// Makes room for another object, so that the next `insert` does not fail unless other threads insert too.
    pub fn reserve(&self) -> engine::Result<()> {
        let mut slots = self.slots();
        if slots.free.is_some() {
            return Ok(());
        }
        let full = |_| engine::Error::OutOfMemory { what: "handles", bytes: size_of::<Slot<T>>() };
        fallible(|| slots.all.try_reserve(1)).map_err(full)
    }

    /// Index of the slot of a valid handle.
    fn index<H>(&self, slots: &Slots<T>, handle: *const H) -> Result<usize, Lookup> {
        let handle = handle as usize as u64;
        let (kind, generation, index) = (handle >> 56, handle >> 32 & 0xff_ffff, (handle & 0xffff_ffff) as usize >> 1);
        let slot = slots.all.get(index);
        let lives = slot.is_some_and(|s| s.object.is_some() && u64::from(s.generation) == generation);
        if lives && kind == self.kind && handle & 1 == 1 { Ok(index) } else { Err(Lookup::Stale(self.what)) }
    }

    /// Looks up the object of a handle.
    pub fn get<H>(&self, handle: *const H) -> Result<Arc<T>, Lookup> {
        let slots = self.slots();
        let index = self.index(&slots, handle)?;
        slots.all[index].object.clone().ok_or(Lookup::Stale(self.what))
    }

    /// Makes a handle stale. This needs no memory. A thread that uses the object keeps it until it is finished.
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

    /// A linear search for a free slot would find another one.
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
