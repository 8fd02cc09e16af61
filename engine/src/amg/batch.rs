//! Automatic masks of several images in turn. The device does not wait for the host between two images.

use super::generator::AutomaticMaskGenerator;
use super::masks::{AutomaticMask, AutomaticMasks, GenerateControl};
use crate::error::Result;
use crate::image::predictor::ImagePredictor;
use crate::media::picture::Picture;
use std::borrow::Borrow;
use std::fmt;
use std::iter::Fuse;
use std::time::Instant;

/// An iterator over the masks of many images, in the order of the images. [`AutomaticMaskGenerator::generate_batch`]
/// creates it.
pub struct AutomaticMaskBatch<'a, P, I: Iterator<Item = Result<P>>> {
    generator: &'a mut AutomaticMaskGenerator,
    pictures: Fuse<I>,
    /// The next image if it is already encoded, or the error of encoding it.
    next: Option<Result<P>>,
}

impl<P, I: Iterator<Item = Result<P>>> fmt::Debug for AutomaticMaskBatch<'_, P, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AutomaticMaskBatch").field("generator", &self.generator).finish_non_exhaustive()
    }
}

impl AutomaticMaskGenerator {
    /// Generates the masks of every image in turn, as [`AutomaticMaskGenerator::generate`] does. The iterator returns
    /// each image with its masks. If an image cannot be read or encoded, its item is the error, and the iterator
    /// continues with the next image.
    ///
    /// On a GPU the encoding of the next image starts as soon as the device has finished an image. At this time the
    /// duplicates among the masks of the finished image are not yet dropped. On the CPU there is no work to overlap,
    /// and the next image is taken when the caller asks for it. [`Frames::files`](crate::Frames::files) decodes files
    /// ahead: `generate_batch((0..frames.len()).map(|i| frames.read(i)))`.
    pub fn generate_batch<P, I>(&mut self, pictures: I) -> AutomaticMaskBatch<'_, P, I::IntoIter>
    where
        P: Borrow<Picture>,
        I: IntoIterator<Item = Result<P>>,
    {
        AutomaticMaskBatch { generator: self, pictures: pictures.into_iter().fuse(), next: None }
    }
}

impl<P: Borrow<Picture>, I: Iterator<Item = Result<P>>> AutomaticMaskBatch<'_, P, I> {
    /// Returns the next image and its masks, as [`AutomaticMaskGenerator::generate_with`] generates them. Returns
    /// `None` after the last image.
    ///
    /// # Errors
    ///
    /// The error is in the place of the image that it is about: [`Error::Io`](crate::Error::Io),
    /// [`Error::Picture`](crate::Error::Picture) or [`Error::Video`](crate::Error::Video) if the image cannot be read,
    /// and the errors of [`AutomaticMaskGenerator::generate_with`].
    pub fn next_with(&mut self, control: GenerateControl<'_>) -> Option<Result<(P, AutomaticMasks)>> {
        let start = Instant::now();
        let AutomaticMaskBatch { generator, pictures, next } = self;
        let current = next.take().or_else(|| begin(&mut generator.predictor, pictures))?;
        Some(current.and_then(|picture| {
            let ahead = &mut |predictor: &mut ImagePredictor| {
                if predictor.works_ahead() {
                    *next = begin(predictor, pictures);
                }
            };
            let found = generator.search(&picture.borrow().frame()?, control, start, ahead)?;
            Ok((picture, found))
        }))
    }
}

impl<P: Borrow<Picture>, I: Iterator<Item = Result<P>>> Iterator for AutomaticMaskBatch<'_, P, I> {
    type Item = Result<(P, Vec<AutomaticMask>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.next_with(GenerateControl { progress: &mut |_| true, budget: None })?;
        Some(found.map(|(picture, found)| (picture, found.masks)))
    }
}

/// Takes the next image, and encodes the image or starts to encode it.
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
