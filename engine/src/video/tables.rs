//! The tables of memories that memory attention reads for a batch of objects.

use super::bank::{Bank, Slot};
use super::object::MemoryContext;
use crate::backend::Backend;
use crate::model::config::Config;
use crate::model::memory_attention::{self, Memories};
use crate::model::position::time_sines;
use crate::model::tracking::Tracking;
use crate::session::queue::{floats, ints};

/// Tables in host memory. Later batches use the same memory again.
#[derive(Default)]
pub(super) struct MemoryTables {
    counts: Vec<i32>,
    maps: Vec<i32>,
    times: Vec<i32>,
    pointers: Vec<i32>,
    /// (p) hw
    all: Vec<i32>,
    zeros: Vec<i32>,
    spatial: Vec<i32>,
    lens: Vec<i32>,
    sines: Vec<f32>,
}

impl MemoryTables {
    /// Copies the memories of a batch to its tensors. `map_slots` has the slots of the memories of all objects in
    /// order.
    pub fn upload<'c, B: Backend>(
        &mut self,
        b: &B,
        config: &Config,
        tracking: &Tracking<B>,
        a: &memory_attention::Acts<'_>,
        contexts: impl Iterator<Item = &'c MemoryContext>,
        size: Memories,
        map_slots: &[i32],
        bank: &Bank<B>,
    ) {
        let (p, m) = (size.objects, &config.memory);
        let hw = config.embed_side() * config.embed_side();
        let parts = memory_attention::pointer_tokens(config);
        let width = if tracking.pointer_time.is_some() { config.d_model } else { m.mem_dim };
        let tables = [&mut self.counts, &mut self.maps, &mut self.times, &mut self.pointers];
        tables
            .into_iter()
            .chain([&mut self.all, &mut self.zeros, &mut self.spatial, &mut self.lens])
            .for_each(Vec::clear);
        self.sines.clear();
        self.sines.resize(p * size.pointers * width, 0.0);
        self.all.resize(p, hw as i32);
        self.zeros.resize(p, 0);
        let mut map_slots = map_slots.iter();
        for (i, context) in contexts.enumerate() {
            let (frames, pointers) = (context.frames.len(), context.pointers.len());
            self.counts.extend([frames as i32, pointers as i32]);
            self.maps.extend(map_slots.by_ref().take(frames));
            self.maps.resize((i + 1) * size.frames, 0);
            self.times.extend(context.frames.iter().map(|&(_, row)| row as i32));
            self.times.resize((i + 1) * size.frames, 0);
            let slot = |(slot, _): &(Slot, f32)| bank.slot_index(slot);
            self.pointers.extend(context.pointers.iter().map(slot));
            self.pointers.resize((i + 1) * size.pointers, 0);
            if m.add_tpos_enc_to_obj_ptrs {
                for (j, &(_, distance)) in context.pointers.iter().enumerate() {
                    time_sines(distance, &mut self.sines[(i * size.pointers + j) * width..][..width]);
                }
            }
            self.spatial.push((frames * hw) as i32);
            self.lens.push((frames * hw + pointers * parts) as i32);
        }
        b.upload_all(&[
            (a.counts, ints(&self.counts)),
            (a.maps, ints(&self.maps)),
            (a.times, ints(&self.times)),
            (a.pointers, ints(&self.pointers)),
            (a.all, ints(&self.all)),
            (a.zeros, ints(&self.zeros)),
            (a.spatial, ints(&self.spatial)),
            (a.lens, ints(&self.lens)),
        ]);
        // Where nothing is projected, the sines are the encoding itself.
        let sines = if tracking.pointer_time.is_some() { a.pointer_sines } else { a.pointer_times };
        b.upload(sines, floats(&self.sines));
    }
}
