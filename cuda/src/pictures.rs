//! Memory that images on the way in keep on a queue.

use crate::device::Device;

/// The weights of the bicubic filter. Each column of the result, and then each row, has the first pixel, the number of
/// pixels, and a weight of each pixel.
pub(crate) struct Filters<M> {
    /// The width and the height of the image, and the side of the result.
    pub of: (usize, usize, usize),
    pub memory: M,
}

/// Memory of the image on the device, and pinned memory that the next image is copied from.
pub(crate) struct Pictures<D: Device> {
    pub memory: Option<D::Memory>,
    pub pinned: Option<D::Pinned>,
}

impl<D: Device> Default for Pictures<D> {
    fn default() -> Self {
        Pictures { memory: None, pinned: None }
    }
}
