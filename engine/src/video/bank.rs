//! Where the memories and pointers of objects are kept.

use crate::arena::{Arena, Carver, Place};
use crate::backend::Backend;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::memory::{try_with_capacity, try_zeros};
use crate::tensor::{DType, Tensor};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A place in the bank, given back when the last holder is gone.
#[derive(Clone)]
pub(crate) struct Slot(Arc<SlotInner>);

struct SlotInner {
    index: usize,
    free: Arc<Mutex<Vec<usize>>>,
}

impl Drop for SlotInner {
    fn drop(&mut self) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.index);
    }
}

impl Slot {
    fn index(&self) -> usize {
        self.0.index
    }
}

/// What is in a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A frame's memory of an object.
    Map,
    /// An object's pointer.
    Pointer,
}

/// Slots of one kind.
#[derive(Default)]
struct Pool {
    slots: usize,
    free: Arc<Mutex<Vec<usize>>>,
}

impl Pool {
    fn take(&self) -> Option<Slot> {
        let index = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(Slot(Arc::new(SlotInner { index, free: self.free.clone() })))
    }

    fn grow(&mut self, slots: usize) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).extend((self.slots..slots).rev());
        self.slots = slots.max(self.slots);
    }
}

/// Memories of frames and pointers, of all the objects that one queue of work follows.
pub(crate) struct Bank<B: Backend> {
    arena: Arena<B>,
    place: Place,
    /// Memories and pointers that the device has room for.
    room: [usize; 2],
    pools: [Pool; 2],
    /// The memories by slot, where they are kept on the host; the device then holds those of one pass.
    host: Option<Vec<Vec<u8>>>,
}

/// Memories (slots, hw, mem_dim) and pointers (slots, d).
fn carve<'a>(c: &mut Carver<'a>, config: &Config, [maps, pointers]: [usize; 2]) -> [Tensor<'a>; 2] {
    let hw = config.embed_side() * config.embed_side();
    [c.take(DType::Bf16, &[maps, hw, config.memory.mem_dim]), c.take(DType::F32, &[pointers, config.d_model])]
}

fn bytes_of(t: Tensor<'_>) -> usize {
    t.len() * t.dtype().bytes()
}

/// Bytes of a memory and of a pointer.
pub(crate) fn slot_bytes(config: &Config) -> [usize; 2] {
    [config.embed_side() * config.embed_side() * config.memory.mem_dim * 2, config.d_model * 4]
}

impl<B: Backend> Bank<B> {
    /// With `offload`, memories are kept on the host.
    pub fn new(offload: bool, place: &Place) -> Self {
        let (host, place) = (offload.then(Vec::new), Place { guard: false, ..place.clone() });
        Bank { arena: Arena::new(&place), place, room: [0; 2], pools: Default::default(), host }
    }

    /// Bytes held on the device and on the host.
    pub fn bytes(&self) -> [usize; 2] {
        [self.arena.bytes(), self.host.iter().flatten().map(Vec::len).sum()]
    }

    /// What recordings name.
    pub fn arena(&self) -> &Arena<B> {
        &self.arena
    }

    /// All memories and all pointers on the device.
    pub fn tensors(&self, config: &Config) -> [Tensor<'_>; 2] {
        carve(&mut self.arena.carve(), config, self.room)
    }

    /// A free slot; the bank grows when there is none.
    pub fn take(&mut self, b: &B, config: &Config, kind: Kind) -> Result<Slot> {
        if let Some(slot) = self.pools[kind as usize].take() {
            return Ok(slot);
        }
        let mut slots = self.pools.each_ref().map(|pool| pool.slots);
        slots[kind as usize] = (slots[kind as usize] * 2).max(16);
        self.grow(b, config, slots, 0)?;
        self.pools[kind as usize].take().ok_or_else(|| Error::Internal("a bank without room".into()))
    }

    /// Makes room for so many memories and pointers, at least; where memories are on the host, for those of one pass, so many, on
    /// the device.
    pub fn grow(&mut self, b: &B, config: &Config, [maps, pointers]: [usize; 2], pass: usize) -> Result<()> {
        let maps_there = match &mut self.host {
            Some(host) => {
                let (size, more) = (slot_bytes(config)[0], maps.saturating_sub(host.len()));
                // One by one they would take all memory before the first failed.
                drop(try_with_capacity::<u8>(size.saturating_mul(more), "memories")?);
                for _ in 0..more {
                    host.push(try_zeros(size, "memories")?);
                }
                pass
            }
            None => maps,
        };
        self.make_room(b, config, [maps_there, pointers])?;
        self.pools[Kind::Map as usize].grow(maps);
        self.pools[Kind::Pointer as usize].grow(pointers);
        Ok(())
    }

    /// Makes room on the device. What is there goes through the host, once in a while.
    fn make_room(&mut self, b: &B, config: &Config, room: [usize; 2]) -> Result<()> {
        let room = [room[0].max(self.room[0]), room[1].max(self.room[1])];
        if room == self.room {
            return Ok(());
        }
        let old = carve(&mut self.arena.carve(), config, self.room);
        let mut kept = old.iter().map(|t| try_zeros::<u8>(bytes_of(*t), "memories")).collect::<Result<Vec<_>>>()?;
        // Nothing may fail between here and the wait: the copies go where `kept` is.
        old.iter().zip(&mut kept).for_each(|(t, bytes)| b.download(bytes, *t));
        b.sync()?;
        // Beside the old one, which is not lost if there is no memory for it.
        let mut grown = Arena::new(&self.place);
        grown.reserve(b, "memories of objects", |c| {
            carve(c, config, room);
        })?;
        let new = carve(&mut grown.carve(), config, room);
        for (((t, bytes), slots), size) in new.iter().zip(&kept).zip(self.room).zip(slot_bytes(config)) {
            b.upload(t.slice(0, slots), bytes);
            let nothing = try_zeros::<u8>(size, "memories")?;
            (slots..t.dim(0)).for_each(|i| b.upload(t.slice(i, 1), &nothing));
        }
        b.sync()?;
        (self.arena, self.room) = (grown, room);
        Ok(())
    }

    /// Makes room for a pass that attends to `old` memories and makes `new` ones. Returns where each of both is on the
    /// device.
    pub fn bring(&mut self, b: &B, config: &Config, old: &[&Slot], new: &[Slot]) -> Result<(Vec<i32>, Vec<i32>)> {
        if self.host.is_none() {
            let index = |slot: &Slot| slot.index() as i32;
            return Ok((old.iter().map(|slot| index(slot)).collect(), new.iter().map(index).collect()));
        }
        let mut places: HashMap<usize, usize> = HashMap::new();
        let mut wanted = Vec::new();
        for slot in old {
            places.entry(slot.index()).or_insert_with(|| {
                wanted.push(slot.index());
                new.len() + wanted.len() - 1
            });
        }
        let most = new.len() + wanted.len();
        if most > self.room[0] {
            self.make_room(b, config, [most.next_power_of_two(), self.room[1]])?;
        }
        let [maps, _] = self.tensors(config);
        if let Some(host) = &self.host {
            wanted.iter().enumerate().for_each(|(i, &slot)| b.upload(maps.slice(new.len() + i, 1), &host[slot]));
        }
        Ok((old.iter().map(|slot| places[&slot.index()] as i32).collect(), (0..new.len() as i32).collect()))
    }

    /// After a pass: new memories go where they are kept. There after the next wait.
    pub fn keep(&mut self, b: &B, config: &Config, new: &[Slot]) {
        let [maps, _] = carve(&mut self.arena.carve(), config, self.room);
        if let Some(host) = &mut self.host {
            new.iter().enumerate().for_each(|(i, slot)| b.download(&mut host[slot.index()], maps.slice(i, 1)));
        }
    }

    /// Where a pointer is.
    pub fn place(&self, pointer: &Slot) -> i32 {
        pointer.index() as i32
    }

    /// The bytes of what is in a slot.
    pub fn read(&self, b: &B, config: &Config, kind: Kind, slot: &Slot) -> Result<Vec<u8>> {
        let mut bytes = try_zeros(slot_bytes(config)[kind as usize], "memories")?;
        match (&self.host, kind) {
            (Some(host), Kind::Map) => bytes.copy_from_slice(&host[slot.index()]),
            _ => b.download(&mut bytes, self.tensors(config)[kind as usize].slice(slot.index(), 1)),
        }
        b.sync()?;
        Ok(bytes)
    }

    /// A slot with what [`Bank::read`] gave, of the right size.
    pub fn write(&mut self, b: &B, config: &Config, kind: Kind, bytes: &[u8]) -> Result<Slot> {
        let slot = self.take(b, config, kind)?;
        match (&mut self.host, kind) {
            (Some(host), Kind::Map) => host[slot.index()].copy_from_slice(bytes),
            _ => b.upload(self.tensors(config)[kind as usize].slice(slot.index(), 1), bytes),
        }
        b.sync()?;
        Ok(slot)
    }
}
