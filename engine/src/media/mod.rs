//! Input images and frames: pixel formats, image files, folders of frames and video files.

pub mod ffmpeg;
pub mod format;
pub mod frame;
pub mod frames;
pub mod picture;
pub mod plane;
pub mod resample;
pub mod size;
