//! The error of a damaged JPEG file.

use crate::media::picture::limits::Refusal;

pub type Result<T> = std::result::Result<T, Refusal>;

/// Returns the refusal of a damaged file.
pub fn damaged(what: &str) -> Refusal {
    Refusal::Damaged(format!("damaged JPEG: {what}"))
}
