//! JPEG files, baseline and progressive.
//!
//! The decoder has the results of libjpeg-turbo, bit for bit, and thus those of Pillow. It uses the same accurate
//! integer transform, the same smooth upsampling of chroma, and the same fixed-point colours.

mod bits;
mod colour;
mod component;
mod damage;
mod decoder;
mod huffman;
mod idct;
mod scan;
#[cfg(test)]
mod tests;
mod upsample;

pub(super) use decoder::decode;
