//! Turns the arguments of `sam2 track` into API calls.

use super::args::Args;
use super::calls::{self, Call, Mask};
use crate::error::Failure;
use sam2::Prompt;
use std::collections::{BTreeMap, BTreeSet};

/// The frames of the video or folder that are tracked.
#[derive(Clone, Copy)]
pub struct Chosen {
    pub stride: usize,
    pub first: usize,
}

impl Chosen {
    /// The index of tracked frame `frame` in the video or folder.
    pub fn index(self, frame: usize) -> usize {
        self.first + frame * self.stride
    }
}

/// The calls to make, and the frames to track.
pub fn plan(args: &Args) -> Result<(Vec<Call>, Chosen), Failure> {
    if let Some(file) = &args.script {
        return Ok((calls::read(file)?, Chosen { stride: 1, first: 0 }));
    }
    let mut prompts = BTreeMap::<(usize, i64), Prompt<'static>>::new();
    for p in &args.point {
        prompts.entry((p.frame, p.object)).or_default().points.push(p.what);
    }
    for b in &args.boxes {
        if prompts.entry((b.frame, b.object)).or_default().bounds.replace(b.what).is_some() {
            return Err(Failure::Usage(format!("two boxes for object {} on frame {}", b.object, b.frame)));
        }
    }
    let mut masks = BTreeSet::new();
    if let Some(m) = args.mask.iter().find(|m| !masks.insert((m.frame, m.object))) {
        return Err(Failure::Usage(format!("two masks for object {} on frame {}", m.object, m.frame)));
    }
    if let Some(m) = args.mask.iter().find(|m| prompts.contains_key(&(m.frame, m.object))) {
        return Err(Failure::Usage(format!("a mask and other prompts for object {} on frame {}", m.object, m.frame)));
    }
    let prompted: BTreeSet<usize> =
        prompts.keys().map(|(frame, _)| *frame).chain(args.mask.iter().map(|m| m.frame)).collect();
    let (Some(&first), Some(&last)) = (prompted.first(), prompted.last()) else {
        return Err(Failure::Usage("nothing to track: give --point, --box, --mask or --script".into()));
    };
    let stride = args.stride as usize;
    let chosen = Chosen { stride, first: first % stride };
    let place = |frame: usize| match frame.checked_sub(chosen.first) {
        Some(after) if after % stride == 0 => Ok(after / stride),
        _ => {
            let [first, second] = [0, 1].map(|i| chosen.index(i));
            Err(Failure::Usage(format!("frame {frame}: --stride {stride} tracks frames {first}, {second}, ...")))
        }
    };
    let mut calls = Vec::new();
    for ((frame, obj_id), prompt) in prompts {
        let (clear_old_points, normalize_coords) = (true, true);
        let frame_idx = place(frame)?;
        calls.push(Call::AddNewPointsOrBox { frame_idx, obj_id, prompt, clear_old_points, normalize_coords });
    }
    for m in &args.mask {
        let mask = Mask::Picture(m.what.clone());
        calls.push(Call::AddNewMask { frame_idx: place(m.frame)?, obj_id: m.object, mask });
    }
    let start = place(args.start.unwrap_or(if args.reverse { last } else { first }))?;
    let directions: &[bool] = if args.both { &[false, true] } else { &[args.reverse] };
    calls.extend(directions.iter().map(|&reverse| Call::PropagateInVideo {
        start_frame_idx: Some(start),
        max_frame_num_to_track: args.max_frames,
        reverse,
    }));
    Ok((calls, chosen))
}
