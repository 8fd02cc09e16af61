//! One allocation, many named carve-outs.

use crate::backend::{Backend, Memory};
use crate::error::{Error, Result};
use crate::tensor::{DType, Tensor};
use crate::workspace::{Lent, Workspace};
use std::cell::RefCell;

/// Every carve-out starts at a multiple of this, which suits the widest vectors and TMA.
const ALIGN: usize = 256;
/// Kernels may read, never write, this far past a tensor's end.
const TAIL: usize = 256;
/// Width of a red zone in guarded mode.
const ZONE: usize = 256;
/// What a guarded arena is filled with: a NaN as f32, and a wild index as i32.
const POISON: u32 = 0x7fc0_dead;

/// Where an arena takes its memory, and whether it is checked.
#[derive(Clone, Default)]
pub struct Place {
    /// A poisoned red zone comes after every carve-out.
    pub guard: bool,
    /// The caller's memory; none: the device's.
    pub workspace: Option<Workspace>,
}

/// Memory of an arena.
enum Block<M> {
    Own(M),
    Lent(Lent),
}

impl<M: Memory> Block<M> {
    fn get(&self) -> &dyn Memory {
        match self {
            Block::Own(m) => m,
            Block::Lent(m) => m,
        }
    }
}

/// A block of memory that carve-outs share. It grows when asked and never shrinks.
pub struct Arena<B: Backend> {
    memory: Option<Block<B::Memory>>,
    place: Place,
    /// Where the red zones of the last layout are.
    zones: RefCell<Vec<usize>>,
}

impl<B: Backend> Arena<B> {
    /// An empty arena.
    pub fn new(place: &Place) -> Self {
        Arena { memory: None, place: place.clone(), zones: RefCell::new(Vec::new()) }
    }

    /// Where it is; 0: nowhere yet.
    pub fn addr(&self) -> u64 {
        self.memory.as_ref().map_or(0, |m| m.get().addr())
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.memory.as_ref().map_or(0, |m| m.get().bytes())
    }

    /// Bytes that `layout` takes.
    pub fn measure(guard: bool, layout: impl FnOnce(&mut Carver<'_>)) -> usize {
        let mut measure = Carver { base: 0, offset: 0, limit: usize::MAX, guard, zones: None };
        layout(&mut measure);
        measure.offset.saturating_add(TAIL)
    }

    /// Makes room for `layout`. What was in the arena is gone if it had to grow.
    pub fn reserve(&mut self, b: &B, what: &'static str, layout: impl FnOnce(&mut Carver<'_>)) -> Result<()> {
        let bytes = Self::measure(self.place.guard, layout);
        if bytes > self.bytes() {
            if self.memory.is_some() {
                b.sync()?; // what is enqueued may use it
            }
            self.memory = None; // first, so that both never exist at once
            log::debug!("{what}: {bytes} bytes");
            self.memory = Some(match &self.place.workspace {
                None => Block::Own(b.alloc(bytes, what)?),
                Some(space) => Block::Lent(space.take(bytes).ok_or(Error::OutOfMemory { what, bytes })?),
            });
        }
        Ok(())
    }

    /// Starts a layout at the arena's beginning.
    pub fn carve(&self) -> Carver<'_> {
        self.zones.borrow_mut().clear();
        Carver {
            base: self.addr(),
            offset: 0,
            limit: self.bytes().saturating_sub(TAIL),
            guard: self.place.guard,
            zones: Some(&self.zones),
        }
    }

    /// Of a guarded arena: fills everything with poison.
    pub fn poison(&self, b: &B) {
        if self.place.guard && self.memory.is_some() {
            let words = vec![POISON; self.bytes() / 4];
            // SAFETY: the whole of the arena's memory.
            let all = unsafe { Tensor::new(self.addr(), DType::I32, &[words.len()]) };
            b.upload(all, bytemuck::cast_slice(&words));
        }
    }

    /// Of a guarded arena: fails when a red zone of the last layout was written to.
    pub fn check(&self, b: &B) -> Result<()> {
        if !self.place.guard || self.memory.is_none() {
            return Ok(());
        }
        for (i, &zone) in self.zones.borrow().iter().enumerate() {
            let mut words = [0u32; ZONE / 4];
            // SAFETY: a zone lies within the arena.
            let t = unsafe { Tensor::new(self.addr() + zone as u64, DType::I32, &[ZONE / 4]) };
            b.download(bytemuck::cast_slice_mut(&mut words), t);
            b.sync()?;
            if words.iter().any(|&w| w != POISON) {
                return Err(Error::Internal(format!("carve-out {i} was written past its end")));
            }
        }
        Ok(())
    }
}

/// Hands out carve-outs one after another; one without memory behind it measures a layout.
pub struct Carver<'a> {
    base: u64,
    /// Bytes handed out so far; `usize::MAX` when nothing could hold the layout.
    offset: usize,
    limit: usize,
    guard: bool,
    zones: Option<&'a RefCell<Vec<usize>>>,
}

impl<'a> Carver<'a> {
    /// The next carve-out.
    pub fn take(&mut self, dtype: DType, dims: &[usize]) -> Tensor<'a> {
        let start = self.offset;
        let zone = dims
            .iter()
            .try_fold(dtype.bytes(), |n, &d| n.checked_mul(d))
            .and_then(|bytes| start.checked_add(bytes)?.checked_next_multiple_of(ALIGN))
            .unwrap_or(usize::MAX);
        self.offset = if self.guard { zone.saturating_add(ZONE) } else { zone };
        assert!(
            self.offset <= self.limit,
            "arena: {dims:?} needs {} bytes of {}; reserve first",
            self.offset,
            self.limit
        );
        if let (true, Some(zones)) = (self.guard, self.zones) {
            zones.borrow_mut().push(zone);
        }
        // SAFETY: within the arena's memory; a measuring carver's tensors are never read.
        unsafe { Tensor::new(self.base.wrapping_add(start as u64), dtype, dims) }
    }
}
