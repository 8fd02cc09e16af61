//! Many prompts on one picture, most of whose masks nobody wants: only those that are believed in are measured, and only those
//! that are kept leave the device, a bit a pixel.

use super::{Job, PassActs, Worker};
use crate::arena::Carver;
use crate::backend::{Backend, Cleaning, Measure, Selection};
use crate::error::Result;
use crate::mask_out::{MaskBuffer, MaskFormat, MaskOut, Measured};
use crate::memory::try_zeros;
use crate::prompt::Prompt;
use crate::tensor::{DType, Tensor};

/// Masks that leave the device at once.
const AT_ONCE: usize = 16;

/// What is asked of a picture.
pub(crate) struct Survey<'a> {
    /// Checked.
    pub prompts: &'a [Prompt<'a>],
    /// Width and height of the picture in the units of the prompts' coordinates.
    pub extent: [f32; 2],
    pub selection: Selection,
    pub cleaning: Option<Cleaning>,
    /// With the picture's size.
    pub measure: Measure,
    /// Masks whose predicted IoU is not above it are dropped; none: none are.
    pub iou_above: Option<f32>,
    /// Prompts of a pass, at most.
    pub at_once: usize,
}

/// A mask that was believed in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Found {
    /// Which prompt found it.
    pub prompt: usize,
    /// What the model thinks of it.
    pub iou: f32,
    pub measured: Measured,
}

struct SurveyActs<'a> {
    /// (1, masks) i32: which of the pass's masks are measured, or written.
    order: Tensor<'a>,
    /// (masks, 7) i32
    measures: Tensor<'a>,
}

impl<'a> SurveyActs<'a> {
    fn carve(c: &mut Carver<'a>, masks: usize) -> Self {
        SurveyActs { order: c.take(DType::I32, &[1, masks]), measures: c.take(DType::I32, &[masks, 7]) }
    }
}

impl<B: Backend> Worker<B> {
    pub(super) fn survey_all(
        &mut self,
        survey: &Survey<'_>,
        keep: &mut dyn FnMut(&Found) -> bool,
        take: &mut dyn FnMut(&Found, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let per = self.b.prompts_per_pass().min(survey.at_once.max(1));
        let most = per * survey.selection.masks();
        self.aside.reserve(&self.b, "masks to be measured", |c| {
            SurveyActs::carve(c, most);
        })?;
        let one = MaskFormat::Bits.bytes(1, survey.measure.height, survey.measure.width);
        let mut bits = try_zeros::<u8>(one.saturating_mul(AT_ONCE.min(most)), "masks")?;
        for first in (0..survey.prompts.len()).step_by(per) {
            let last = (first + per).min(survey.prompts.len());
            self.survey_some(survey, first..last, &mut bits, keep, take)?;
        }
        Ok(())
    }

    /// One pass, which waits as often as somebody decides: after the IoUs, after the measures, and for the masks.
    fn survey_some(
        &mut self,
        survey: &Survey<'_>,
        range: std::ops::Range<usize>,
        bits: &mut [u8],
        keep: &mut dyn FnMut(&Found) -> bool,
        take: &mut dyn FnMut(&Found, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let (n, first) = (survey.selection.masks(), range.start);
        let Measure { height, width, .. } = survey.measure;
        let jobs = [Job {
            prompts: survey.prompts,
            extent: survey.extent,
            masks: None,
            low_res: None,
            iou: &mut [],
            scores: None,
        }];
        let batch = self.find(&jobs, range, survey.selection, survey.cleaning)?;
        self.pending = false;
        self.b.sync()?;
        self.scratch.check(&self.b)?;
        let (net, b, s, side) = (&*self.net, &self.b, &self.staging, self.net.config.mask_side());
        let acts = PassActs::carve(&self.scratch, net, batch, n, survey.cleaning.is_some());
        // All masks of the pass one after another: the four of each prompt, or those that were chosen and mended.
        let (masks, mended) = match acts.clean {
            Some(clean) => (clean.masks.view(&[1, batch.prompts * n, side, side]), true),
            None => (acts.decoder.masks.view(&[1, batch.prompts * 4, side, side]), false),
        };
        let (mut order, mut believed) = (Vec::new(), Vec::new());
        for i in 0..batch.prompts * n {
            let of_four = i / n * 4 + s.selected[i] as usize;
            let iou = s.iou[of_four];
            if survey.iou_above.is_none_or(|least| iou > least) {
                order.push(if mended { i } else { of_four } as i32);
                believed.push((first + i / n, iou));
            }
        }
        if believed.is_empty() {
            return Ok(());
        }
        let count = believed.len();
        let own = SurveyActs::carve(&mut self.aside.carve(), count);
        let mut measures = vec![0i32; count * 7];
        b.upload(own.order, bytemuck::cast_slice(&order));
        b.measure_masks(own.measures, masks, Some(own.order), survey.measure);
        b.download(bytemuck::cast_slice_mut(&mut measures), own.measures);
        b.sync()?;
        let found: Vec<Found> = (believed.into_iter().zip(measures.chunks(7)))
            .map(|((prompt, iou), row)| Found { prompt, iou, measured: Measured::of(row) })
            .collect();
        let kept: Vec<usize> = (0..count).filter(|&i| keep(&found[i])).collect();

        let one = MaskFormat::Bits.bytes(1, height, width);
        for some in kept.chunks(AT_ONCE) {
            let rows: Vec<i32> = some.iter().map(|&i| order[i]).collect();
            let own = SurveyActs::carve(&mut self.aside.carve(), some.len());
            b.upload(own.order, bytemuck::cast_slice(&rows));
            let buffer = MaskBuffer::bits(&mut bits[..one * some.len()]);
            b.write_masks(MaskOut::new(buffer, survey.measure.threshold, height, width), masks, Some(own.order));
            b.sync()?;
            some.iter().zip(bits.chunks(one)).try_for_each(|(&i, bits)| take(&found[i], bits))?;
        }
        Ok(())
    }
}
