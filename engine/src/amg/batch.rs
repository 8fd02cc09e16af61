//! One picture after another, without the device waiting for the host in between.

use super::{AutomaticMask, AutomaticMaskGenerator, AutomaticMasks, Until};
use crate::error::Result;
use crate::image_predictor::ImagePredictor;
use crate::picture::Picture;
use std::borrow::Borrow;
use std::iter::Fuse;
use std::time::Instant;

/// Everything in each of many pictures, in their order: [`AutomaticMaskGenerator::generate_batch`].
pub struct AutomaticMaskBatch<'a, P, I: Iterator<Item = Result<P>>> {
    generator: &'a mut AutomaticMaskGenerator,
    pictures: Fuse<I>,
    /// The next picture, where it is encoded already, or why it is not.
    next: Option<Result<P>>,
}

impl AutomaticMaskGenerator {
    /// As [`AutomaticMaskGenerator::generate`] of every picture, one after another: the same masks, with the picture that
    /// they are of. A picture that cannot be read or encoded is an error in its place, and the others go on.
    ///
    /// On a GPU the next picture is taken and its encoding begun as soon as the device is done with one, before duplicates
    /// among that one's masks are dropped and before the caller sees them. On the CPU, which has nothing left to overlap, it
    /// is taken when it is wanted. [`Frames::files`](crate::Frames::files) decodes files ahead:
    /// `generate_batch((0..frames.len()).map(|i| frames.read(i)))`.
    pub fn generate_batch<P, I>(&mut self, pictures: I) -> AutomaticMaskBatch<'_, P, I::IntoIter>
    where
        P: Borrow<Picture>,
        I: IntoIterator<Item = Result<P>>,
    {
        AutomaticMaskBatch { generator: self, pictures: pictures.into_iter().fuse(), next: None }
    }
}

impl<P: Borrow<Picture>, I: Iterator<Item = Result<P>>> AutomaticMaskBatch<'_, P, I> {
    /// The next picture and what is in it, as [`AutomaticMaskGenerator::generate_until`] finds it; none after the last.
    pub fn next_until(&mut self, until: Until<'_>) -> Option<Result<(P, AutomaticMasks)>> {
        let start = Instant::now();
        let AutomaticMaskBatch { generator, pictures, next } = self;
        let current = next.take().or_else(|| begin(&mut generator.predictor, pictures))?;
        Some(current.and_then(|picture| {
            let ahead = &mut |predictor: &mut ImagePredictor| {
                if predictor.works_ahead() {
                    *next = begin(predictor, pictures);
                }
            };
            let found = generator.search(&picture.borrow().frame()?, until, start, ahead)?;
            Ok((picture, found))
        }))
    }
}

impl<P: Borrow<Picture>, I: Iterator<Item = Result<P>>> Iterator for AutomaticMaskBatch<'_, P, I> {
    type Item = Result<(P, Vec<AutomaticMask>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.next_until(Until { progress: &mut |_| true, budget: None })?;
        Some(found.map(|(picture, found)| (picture, found.masks)))
    }
}

/// Takes a picture, and encodes it, or begins to.
fn begin<P: Borrow<Picture>>(
    predictor: &mut ImagePredictor,
    pictures: &mut impl Iterator<Item = Result<P>>,
) -> Option<Result<P>> {
    let picture = pictures.next()?;
    Some(picture.and_then(|picture| {
        predictor.set_image(&picture.borrow().frame()?)?;
        Ok(picture)
    }))
}
