//! Saved states of tracking: reads and changes them.
#![allow(dead_code)] // each test uses a part of it

use sam2::VideoPredictor;
use sam2::bf16;
use serde_json::Value;

/// A saved state: safetensors that end in a checksum of four bytes.
pub struct State {
    bytes: Vec<u8>,
    header: Value,
    data: usize,
}

/// Conditioning frames, tracked frames, and both in the state before their memories are encoded.
pub const COND: usize = 0;
pub const NON_COND: usize = 1;

impl State {
    pub fn of(p: &VideoPredictor) -> State {
        let mut bytes = Vec::new();
        p.save_state(&mut bytes).unwrap();
        let data = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header = serde_json::from_slice(&bytes[8..data]).unwrap();
        State { bytes, header, data }
    }

    fn place(&self, name: &str) -> Option<std::ops::Range<usize>> {
        let offsets = &self.header.get(name)?["data_offsets"];
        let at = |i: usize| self.data + offsets[i].as_u64().unwrap() as usize;
        Some(at(0)..at(1))
    }

    /// A tensor of floats. `None` if there is no tensor with that name.
    pub fn floats(&self, name: &str) -> Option<Vec<f32>> {
        let bytes = &self.bytes[self.place(name)?];
        Some(bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect())
    }

    /// The kept mask of an object on a frame. The mask of the latest prompt comes first.
    pub fn low_res(&self, object: usize, frame: usize) -> Option<Vec<f32>> {
        [2, 3, COND, NON_COND].iter().find_map(|kind| self.floats(&format!("{object}.{kind}.{frame}.low_res")))
    }

    pub fn pointer(&self, object: usize, kind: usize, frame: usize) -> Vec<f32> {
        self.floats(&format!("{object}.{kind}.{frame}.pointer")).unwrap()
    }

    /// Replaces the values of a tensor of floats.
    pub fn set(&mut self, name: &str, values: &[f32]) {
        let place = self.place(name).unwrap_or_else(|| panic!("no tensor {name}"));
        let bytes: Vec<u8> = if place.len() == values.len() * 4 {
            values.iter().flat_map(|v| v.to_le_bytes()).collect()
        } else {
            values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect()
        };
        self.bytes[place].copy_from_slice(&bytes);
    }

    /// The state with another history.
    pub fn rewritten(&self, change: impl Fn(&mut Value)) -> State {
        let mut header = self.header.clone();
        let mut saved: Value = serde_json::from_str(header["__metadata__"]["state"].as_str().unwrap()).unwrap();
        change(&mut saved);
        header["__metadata__"]["state"] = saved.to_string().into();
        let mut text = header.to_string();
        text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
        let bytes = [&(text.len() as u64).to_le_bytes(), text.as_bytes(), &self.bytes[self.data..]].concat();
        State { bytes, header, data: 8 + text.len() }
    }

    /// The file, with the right checksum.
    pub fn sealed(mut self) -> Vec<u8> {
        let end = self.bytes.len() - 4;
        let sum = crc32fast::hash(&self.bytes[..end]);
        self.bytes[end..].copy_from_slice(&sum.to_le_bytes());
        self.bytes
    }
}
