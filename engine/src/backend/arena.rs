//! Arenas: one allocation that holds many tensors.

use crate::backend::tensor::{DType, Tensor};
use crate::backend::workspace::{Lent, Workspace};
use crate::backend::{Backend, Memory};
use crate::error::{Error, Result};
use std::cell::RefCell;
use std::fmt;

/// The alignment of every tensor in an arena. It is sufficient for the widest vectors and for TMA.
const ALIGN: usize = 256;
/// The number of bytes past the end of a tensor that kernels may read. Kernels never write past the end.
const TAIL: usize = 256;
/// The number of bytes of a red zone in guarded mode.
const ZONE: usize = 256;
/// The value that fills a guarded arena: a NaN as f32, and an invalid index as i32.
const POISON: u32 = 0x7fc0_dead;

/// The memory of an arena, and whether it is checked.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    /// Whether a poisoned red zone follows every tensor.
    pub guard: bool,
    /// The caller's memory. `None` means that the arena allocates on the device.
    pub workspace: Option<Workspace>,
}

/// The memory of an arena.
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

/// A block of memory that several tensors share. The block grows on request and never shrinks.
pub struct Arena<B: Backend> {
    memory: Option<Block<B::Memory>>,
    placement: Placement,
    /// The positions of the red zones of the last layout.
    zones: RefCell<Vec<usize>>,
}

impl<B: Backend> fmt::Debug for Arena<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena")
            .field("addr", &self.addr())
            .field("bytes", &self.bytes())
            .field("placement", &self.placement)
            .finish_non_exhaustive()
    }
}

impl<B: Backend> Arena<B> {
    /// Creates an empty arena.
    #[must_use]
    pub fn new(placement: &Placement) -> Self {
        Arena { memory: None, placement: placement.clone(), zones: RefCell::new(Vec::new()) }
    }

    /// Returns the address of the memory, or 0 if the arena has no memory yet.
    pub fn addr(&self) -> u64 {
        self.memory.as_ref().map_or(0, |m| m.get().addr())
    }

    /// Returns the bytes that the arena holds.
    pub fn bytes(&self) -> usize {
        self.memory.as_ref().map_or(0, |m| m.get().bytes())
    }

    /// Returns the bytes that `layout` takes.
    pub fn measure(guard: bool, layout: impl FnOnce(&mut Carver<'_>)) -> usize {
        let mut measure = Carver { base: 0, offset: 0, limit: usize::MAX, guard, zones: None };
        layout(&mut measure);
        measure.offset.saturating_add(TAIL)
    }

    /// Makes room for `layout`. If the arena must grow, its contents are lost.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`] if the device, or the caller's memory, has no room. The other errors are those of
    /// [`Backend::alloc`] and [`Backend::sync`].
    pub fn reserve(&mut self, b: &B, what: &'static str, layout: impl FnOnce(&mut Carver<'_>)) -> Result<()> {
        let bytes = Self::measure(self.placement.guard, layout);
        if bytes > self.bytes() {
            if self.memory.is_some() {
                b.sync()?; // what is enqueued may use it
            }
            self.memory = None; // first, so that both never exist at once
            log::debug!("{what}: {bytes} bytes");
            self.memory = Some(match &self.placement.workspace {
                None => Block::Own(b.alloc(bytes, what)?),
                Some(space) => Block::Lent(space.take(bytes).ok_or(Error::OutOfMemory { what, bytes })?),
            });
        }
        Ok(())
    }

    /// Starts a layout at the beginning of the arena.
    pub fn carve(&self) -> Carver<'_> {
        self.zones.borrow_mut().clear();
        Carver {
            base: self.addr(),
            offset: 0,
            limit: self.bytes().saturating_sub(TAIL),
            guard: self.placement.guard,
            zones: Some(&self.zones),
        }
    }

    /// Fills a guarded arena with poison.
    pub fn poison(&self, b: &B) {
        if self.placement.guard && self.memory.is_some() {
            let words = vec![POISON; self.bytes() / 4];
            // SAFETY: the whole of the arena's memory.
            let all = unsafe { Tensor::new(self.addr(), DType::I32, &[words.len()]) };
            b.upload(all, bytemuck::cast_slice(&words));
        }
    }

    /// Checks the red zones of the last layout of a guarded arena.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] if a red zone was written to. The other errors are those of [`Backend::sync`].
    pub fn check(&self, b: &B) -> Result<()> {
        if !self.placement.guard || self.memory.is_none() {
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

/// Places tensors one after another in an arena. A carver without memory measures a layout.
#[derive(Debug)]
pub struct Carver<'a> {
    base: u64,
    /// The bytes of all tensors so far, or `usize::MAX` if the layout is too large for any memory.
    offset: usize,
    limit: usize,
    guard: bool,
    zones: Option<&'a RefCell<Vec<usize>>>,
}

impl<'a> Carver<'a> {
    /// Places the next tensor.
    ///
    /// # Panics
    ///
    /// If the arena has no room for the tensor, or if the tensor does not have 1 to 4 dimensions.
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
