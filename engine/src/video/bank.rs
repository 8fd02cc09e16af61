//! The memory bank: the memories, pointers and masks of objects on each frame. They are in slots that kernels address
//! by number.

use crate::backend::arena::{Arena, Carver, Placement};
use crate::backend::tensor::{DType, Tensor};
use crate::backend::{Backend, MemoryUse};
use crate::error::{Error, Result};
use crate::memory::{try_reserve_exact, try_with_capacity, try_zeros};
use crate::model::config::Config;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A slot of the bank. The slot becomes free when its last holder is dropped.
pub(crate) struct Slot {
    index: usize,
    holders: Arc<Holders>,
}

/// The number of holders of every slot of one kind, and the slots without a holder.
#[derive(Default)]
struct Holders(Mutex<HolderCounts>);

#[derive(Default)]
struct HolderCounts {
    counts: Vec<usize>,
    free: Vec<usize>,
}

impl Holders {
    fn lock(&self) -> MutexGuard<'_, HolderCounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for Slot {
    fn clone(&self) -> Self {
        self.holders.lock().counts[self.index] += 1;
        Slot { index: self.index, holders: self.holders.clone() }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut holders = self.holders.lock();
        holders.counts[self.index] -= 1;
        if holders.counts[self.index] == 0 {
            // There is room: `Pool::grow` makes it for all slots.
            holders.free.push(self.index);
        }
    }
}

impl Slot {
    fn index(&self) -> usize {
        self.index
    }
}

/// The contents of a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `(hw, mem_dim)` bf16: the memory of an object on a frame.
    Map,
    /// (d) f32: the pointer of an object.
    Pointer,
    /// `(mask_side, mask_side)` f32: the logits of an object's mask, with holes filled.
    Mask,
}

impl Kind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Kind; 3] = [Kind::Map, Kind::Pointer, Kind::Mask];

    /// Places a tensor of `slots` slots.
    fn carve<'a>(self, c: &mut Carver<'a>, config: &Config, slots: usize) -> Tensor<'a> {
        match self {
            Kind::Map => c.take(DType::Bf16, &[slots, config.embed_side().pow(2), config.memory.mem_dim]),
            Kind::Pointer => c.take(DType::F32, &[slots, config.d_model]),
            Kind::Mask => c.take(DType::F32, &[slots, config.mask_side(), config.mask_side()]),
        }
    }

    /// Returns the bytes of a slot.
    pub fn bytes(self, config: &Config) -> usize {
        match self {
            Kind::Map => config.embed_side().pow(2) * config.memory.mem_dim * 2,
            Kind::Pointer => config.d_model * 4,
            Kind::Mask => config.mask_side().pow(2) * 4,
        }
    }
}

/// Slots of one kind.
struct Pool<B: Backend> {
    kind: Kind,
    /// The slots. If the contents are kept on the host, only the slots of one batch.
    arena: Arena<B>,
    /// The number of slots in the arena.
    room: usize,
    slots: usize,
    holders: Arc<Holders>,
    /// The contents of each slot, if the contents are kept on the host.
    host: Option<Vec<Vec<u8>>>,
}

impl<B: Backend> Pool<B> {
    fn take(&self) -> Option<Slot> {
        let mut holders = self.holders.lock();
        let index = holders.free.pop()?;
        holders.counts[index] = 1;
        Some(Slot { index, holders: self.holders.clone() })
    }

    fn tensor(&self, config: &Config) -> Tensor<'_> {
        self.kind.carve(&mut self.arena.carve(), config, self.room)
    }

    /// Makes room for `slots` slots. If the contents are kept on the host, the device gets room for `batch` slots.
    fn grow(&mut self, b: &B, config: &Config, place: &Placement, slots: usize, batch: usize) -> Result<()> {
        let room = match &mut self.host {
            Some(host) => {
                let (bytes, more) = (self.kind.bytes(config), slots.saturating_sub(host.len()));
                // One by one they would take all memory before the first failed.
                drop(try_with_capacity::<u8>(bytes.saturating_mul(more), "memories")?);
                for _ in 0..more {
                    host.push(try_zeros(bytes, "memories")?);
                }
                batch
            }
            None => slots,
        };
        self.make_room(b, config, place, room)?;
        if slots > self.slots {
            let mut holders = self.holders.lock();
            let HolderCounts { counts, free } = &mut *holders;
            let no_memory = |_| Error::OutOfMemory { what: "memories", bytes: slots * size_of::<usize>() };
            try_reserve_exact(counts, slots - counts.len()).map_err(no_memory)?;
            try_reserve_exact(free, slots - free.len()).map_err(no_memory)?;
            counts.resize(slots, 0);
            free.extend((self.slots..slots).rev());
            self.slots = slots;
        }
        Ok(())
    }

    /// Makes room on the device. The contents are copied through the host, which happens rarely.
    fn make_room(&mut self, b: &B, config: &Config, place: &Placement, room: usize) -> Result<()> {
        if room <= self.room {
            return Ok(());
        }
        let old = self.tensor(config);
        let mut kept = try_zeros::<u8>(self.room * self.kind.bytes(config), "memories")?;
        b.download(&mut kept, old);
        b.sync()?;
        // Beside the old one, which is not lost if there is no memory for it.
        let mut grown = Arena::new(place);
        grown.reserve(b, "memories of objects", |c| {
            self.kind.carve(c, config, room);
        })?;
        let new = self.kind.carve(&mut grown.carve(), config, room);
        b.upload(new.slice(0, self.room), &kept);
        let nothing = try_zeros::<u8>(self.kind.bytes(config), "memories")?;
        (self.room..room).for_each(|i| b.upload(new.slice(i, 1), &nothing));
        b.sync()?;
        (self.arena, self.room) = (grown, room);
        Ok(())
    }
}

/// The memories, pointers and masks of all objects that one queue of work tracks.
pub(crate) struct Bank<B: Backend> {
    place: Placement,
    pools: [Pool<B>; 3],
}

impl<B: Backend> Bank<B> {
    /// Creates an empty bank. With `offload`, memories and masks are kept on the host.
    pub fn new(offload: bool, place: &Placement) -> Self {
        let place = Placement { guard: false, ..place.clone() };
        let pools = Kind::ALL.map(|kind| Pool {
            kind,
            arena: Arena::new(&place),
            room: 0,
            slots: 0,
            holders: Arc::default(),
            host: (offload && kind != Kind::Pointer).then(Vec::new),
        });
        Bank { place, pools }
    }

    fn pool(&mut self, kind: Kind) -> (&mut Pool<B>, &Placement) {
        (&mut self.pools[kind as usize], &self.place)
    }

    /// Returns the memory in use.
    pub fn memory_use(&self) -> MemoryUse {
        let host = self.pools.iter().flat_map(|pool| &pool.host).flatten().map(Vec::len).sum();
        MemoryUse { device: self.pools.iter().map(|pool| pool.arena.bytes()).sum(), host }
    }

    /// Returns the arenas that recordings refer to.
    pub fn arenas(&self) -> [&Arena<B>; 3] {
        self.pools.each_ref().map(|pool| &pool.arena)
    }

    /// Returns all slots of a kind on the device.
    pub fn tensor(&self, config: &Config, kind: Kind) -> Tensor<'_> {
        self.pools[kind as usize].tensor(config)
    }

    /// Returns a free slot. The bank grows if no slot is free.
    pub fn take(&mut self, b: &B, config: &Config, kind: Kind) -> Result<Slot> {
        let (pool, place) = self.pool(kind);
        if let Some(slot) = pool.take() {
            return Ok(slot);
        }
        pool.grow(b, config, place, (pool.slots * 2).max(16), 0)?;
        pool.take().ok_or_else(|| Error::Internal("a bank without room".into()))
    }

    /// Makes room for `slots[kind]` slots of every kind. If the contents of a kind are kept on the host, the device
    /// gets room for `batch[kind]` slots of this kind.
    pub fn grow(&mut self, b: &B, config: &Config, slots: [usize; 3], batch: [usize; 3]) -> Result<()> {
        for kind in Kind::ALL {
            let (pool, place) = self.pool(kind);
            pool.grow(b, config, place, slots[kind as usize], batch[kind as usize])?;
        }
        Ok(())
    }

    /// Makes room for a batch that reads the slots `old` and writes the slots `new`. The list beside each iterator gets
    /// the index of each slot on the device.
    pub fn bring<'s>(
        &mut self,
        b: &B,
        config: &Config,
        kind: Kind,
        (old, read): (impl Iterator<Item = &'s Slot> + Clone, &mut Vec<i32>),
        (new, written): (impl Iterator<Item = &'s Slot>, &mut Vec<i32>),
    ) -> Result<()> {
        let (pool, place) = self.pool(kind);
        read.clear();
        written.clear();
        if pool.host.is_none() {
            read.extend(old.map(|slot| slot.index() as i32));
            written.extend(new.map(|slot| slot.index() as i32));
            return Ok(());
        }
        written.extend(new.zip(0..).map(|(_, i)| i));
        let mut places: HashMap<usize, usize> = HashMap::new();
        let mut wanted = Vec::new();
        for slot in old.clone() {
            places.entry(slot.index()).or_insert_with(|| {
                wanted.push(slot.index());
                written.len() + wanted.len() - 1
            });
        }
        let room = written.len() + wanted.len();
        if room > pool.room {
            pool.make_room(b, config, place, room.next_power_of_two())?;
        }
        let all = pool.tensor(config);
        if let Some(host) = &pool.host {
            wanted.iter().enumerate().for_each(|(i, &slot)| b.upload(all.slice(written.len() + i, 1), &host[slot]));
        }
        read.extend(old.map(|slot| places[&slot.index()] as i32));
        Ok(())
    }

    /// Enqueues copies of the slots `new` to the host after a batch, if the contents are kept on the host. The copies
    /// are complete after the next wait.
    pub fn keep<'s>(&mut self, b: &B, config: &Config, kind: Kind, new: impl Iterator<Item = &'s Slot>) {
        let Pool { arena, room, host, .. } = &mut self.pools[kind as usize];
        let all = kind.carve(&mut arena.carve(), config, *room);
        if let Some(host) = host {
            new.enumerate().for_each(|(i, slot)| b.download(&mut host[slot.index()], all.slice(i, 1)));
        }
    }

    /// Returns the index of a slot that is kept on the device.
    pub fn slot_index(&self, slot: &Slot) -> i32 {
        slot.index() as i32
    }

    /// Returns the contents of a slot as bytes.
    pub fn read(&self, b: &B, config: &Config, kind: Kind, slot: &Slot) -> Result<Vec<u8>> {
        let pool = &self.pools[kind as usize];
        let mut bytes = try_zeros(kind.bytes(config), "memories")?;
        match &pool.host {
            Some(host) => bytes.copy_from_slice(&host[slot.index()]),
            None => b.download(&mut bytes, pool.tensor(config).slice(slot.index(), 1)),
        }
        b.sync()?;
        Ok(bytes)
    }

    /// Takes a slot and writes bytes that [`Bank::read`] returned to the slot. The number of bytes must be that of a
    /// slot.
    pub fn write(&mut self, b: &B, config: &Config, kind: Kind, bytes: &[u8]) -> Result<Slot> {
        let slot = self.take(b, config, kind)?;
        let pool = &mut self.pools[kind as usize];
        match &mut pool.host {
            Some(host) => host[slot.index()].copy_from_slice(bytes),
            None => b.upload(pool.tensor(config).slice(slot.index(), 1), bytes),
        }
        b.sync()?;
        Ok(slot)
    }
}
