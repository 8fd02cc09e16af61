//! Filters masks by predicted IoU. The device decodes many prompts and measures the masks that pass the threshold. Only
//! the masks that are kept are copied to the host, as one bit per pixel.

use super::batch::{BatchActs, ImageQueue};
use super::worker::{CandidateMask, Job, MaskFilter};
use crate::backend::Backend;
use crate::backend::arena::Carver;
use crate::backend::tensor::{DType, Tensor};
use crate::error::Result;
use crate::masks::buffer::{MaskBuffer, MaskFormat, MaskOut, Measured};
use crate::memory::try_zeros;
use crate::session::queue::{Session, ints};
use std::ops::Range;

/// The number of masks that are copied to the host at once.
const MASKS_AT_ONCE: usize = 16;

struct FilterActs<'a> {
    /// (1, masks) i32: the indices of the masks of the batch that are measured or written.
    order: Tensor<'a>,
    /// (masks, 7) i32
    measures: Tensor<'a>,
}

impl<'a> FilterActs<'a> {
    fn carve(c: &mut Carver<'a>, masks: usize) -> Self {
        FilterActs { order: c.take(DType::I32, &[1, masks]), measures: c.take(DType::I32, &[masks, 7]) }
    }
}

impl<B: Backend> ImageQueue<B> {
    pub(super) fn filter(
        &mut self,
        filter: &MaskFilter<'_>,
        keep: &mut dyn FnMut(&CandidateMask) -> bool,
        take: &mut dyn FnMut(&CandidateMask, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let b = &self.session.b;
        let per_batch = b.max_prompts_per_batch().min(filter.max_batch.max(1));
        let max = per_batch * filter.selection.masks();
        self.aside.reserve(b, "masks to be measured", |c| {
            FilterActs::carve(c, max);
        })?;
        let one = MaskFormat::Bits.bytes(1, filter.size());
        let mut bits = try_zeros::<u8>(one.saturating_mul(MASKS_AT_ONCE.min(max)), "masks")?;
        for first in (0..filter.prompts.len()).step_by(per_batch) {
            let last = (first + per_batch).min(filter.prompts.len());
            self.filter_batch(filter, first..last, &mut bits, keep, take)?;
        }
        Ok(())
    }

    /// Filters one batch. The host waits for the IoUs, then for the measures of the masks that pass, and then for the
    /// masks that are kept.
    fn filter_batch(
        &mut self,
        filter: &MaskFilter<'_>,
        range: Range<usize>,
        bits: &mut [u8],
        keep: &mut dyn FnMut(&CandidateMask) -> bool,
        take: &mut dyn FnMut(&CandidateMask, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let (n, first) = (filter.selection.masks(), range.start);
        let size = filter.size();
        let jobs = [Job {
            prompts: filter.prompts,
            extent: filter.extent,
            masks: None,
            low_res: None,
            iou: &mut [],
            scores: None,
        }];
        let batch = self.enqueue_decode(&jobs, range, filter.selection, filter.cleaning)?;
        self.wait()?;
        let Session { b, net, scratch, .. } = &self.session;
        let (s, side) = (&self.results, net.config.mask_side());
        let acts = BatchActs::carve(scratch, net, batch, n, filter.cleaning.is_some());
        // All masks of the batch one after another: the four of each prompt, or those that were chosen and cleaned.
        let (masks, cleaned) = match acts.clean {
            Some(clean) => (clean.masks.view(&[1, batch.prompts * n, side, side]), true),
            None => (acts.decoder.masks.view(&[1, batch.prompts * 4, side, side]), false),
        };
        let (mut order, mut passed) = (Vec::new(), Vec::new());
        for i in 0..batch.prompts * n {
            let of_four = i / n * 4 + s.selected[i] as usize;
            let iou = s.iou[of_four];
            if filter.iou_above.is_none_or(|threshold| iou > threshold) {
                order.push(if cleaned { i } else { of_four } as i32);
                passed.push((first + i / n, iou));
            }
        }
        if passed.is_empty() {
            return Ok(());
        }
        let count = passed.len();
        let tables = FilterActs::carve(&mut self.aside.carve(), count);
        let mut measures = vec![0i32; count * 7];
        b.upload(tables.order, ints(&order));
        b.measure_masks(tables.measures, masks, Some(tables.order), filter.measure);
        b.download(bytemuck::cast_slice_mut(&mut measures), tables.measures);
        b.sync()?;
        let candidates: Vec<CandidateMask> = (passed.into_iter().zip(measures.chunks(7)))
            .map(|((prompt, iou), row)| CandidateMask { prompt, iou, measured: Measured::of(row) })
            .collect();
        let kept: Vec<usize> = (0..count).filter(|&i| keep(&candidates[i])).collect();

        let one = MaskFormat::Bits.bytes(1, size);
        for part in kept.chunks(MASKS_AT_ONCE) {
            let rows: Vec<i32> = part.iter().map(|&i| order[i]).collect();
            let tables = FilterActs::carve(&mut self.aside.carve(), part.len());
            b.upload(tables.order, ints(&rows));
            let buffer = MaskBuffer::bits(&mut bits[..one * part.len()]);
            b.write_masks(MaskOut::new(buffer, filter.measure.threshold, size), masks, Some(tables.order));
            b.sync()?;
            part.iter().zip(bits.chunks(one)).try_for_each(|(&i, bits)| take(&candidates[i], bits))?;
        }
        Ok(())
    }
}
