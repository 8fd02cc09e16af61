//! Which objects are followed from which frame, by which masks.

use super::Args;
use super::annotations::Annotations;
use crate::Failure;
use sam2::Error;
use std::collections::BTreeMap;

/// What to do with a video.
pub struct Plan {
    /// In the order of their first frames.
    pub groups: Vec<Group>,
    /// The colours of the input masks, where they have some.
    pub palette: Option<Vec<u8>>,
}

/// Objects that are first seen on the same frame, which are followed together.
pub struct Group {
    pub first: usize,
    /// By frame, the objects whose masks there are used.
    pub inputs: BTreeMap<usize, Vec<i64>>,
}

impl Group {
    /// The objects, sorted.
    pub fn objects(&self) -> Vec<i64> {
        let mut ids: Vec<i64> = self.inputs.values().flatten().copied().collect();
        ids.sort();
        ids.dedup();
        ids
    }
}

const HINT: &str = "give --track-object-appearing-later-in-video where not all objects are on the first frame";

impl Plan {
    pub fn new(args: &Args, annotations: &Annotations) -> Result<Plan, Failure> {
        if args.track_object_appearing_later_in_video {
            each_from_its_first(annotations, args.use_all_masks)
        } else {
            all_from_the_first(annotations, args.use_all_masks)
        }
    }
}

/// All objects must be on the first frame that is used: the video's or, of all masks, the first with a mask.
fn all_from_the_first(annotations: &Annotations, use_all_masks: bool) -> Result<Plan, Failure> {
    let wrong = |what: String| -> Failure { Error::Input(format!("{what}; {HINT}")).into() };
    let annotated = annotations.frames();
    let used = if use_all_masks { annotated.clone() } else { vec![0] };
    let (mut group, mut palette) = (Group { first: 0, inputs: BTreeMap::new() }, None);
    for &frame in &used {
        if !annotated.contains(&frame) {
            return Err(wrong(format!("no mask for frame {frame}")));
        }
        if let Some(id) = annotations.missing(frame) {
            return Err(wrong(format!("no mask of object {id} for frame {frame}")));
        }
        let on_frame = annotations.read(frame)?;
        let ids: Vec<i64> = on_frame.masks.iter().map(|(id, _)| *id).collect();
        if let Some((first, known)) = group.inputs.first_key_value()
            && let Some(id) = ids.iter().find(|id| !known.contains(id))
        {
            return Err(wrong(format!("object {id} is on frame {frame}, but not on frame {first}")));
        }
        palette = on_frame.palette.or(palette);
        group.inputs.insert(frame, ids);
    }
    match group.inputs.first_key_value() {
        None => Err(Error::Input("no masks to start from".into()).into()),
        Some((frame, ids)) if ids.is_empty() => Err(wrong(format!("no object on frame {frame}"))),
        Some((&first, _)) => Ok(Plan { groups: vec![Group { first, ..group }], palette }),
    }
}

/// Each object from the first frame that it has pixels on.
fn each_from_its_first(annotations: &Annotations, use_all_masks: bool) -> Result<Plan, Failure> {
    let mut firsts: BTreeMap<i64, usize> = BTreeMap::new();
    let (mut groups, mut palette) = (BTreeMap::<usize, Group>::new(), None);
    for frame in annotations.frames() {
        let on_frame = annotations.read(frame)?;
        palette = on_frame.palette.or(palette);
        for (id, _) in on_frame.masks.iter().filter(|(_, mask)| !mask.is_empty()) {
            let first = *firsts.entry(*id).or_insert(frame);
            if first == frame || use_all_masks {
                let group = groups.entry(first).or_insert_with(|| Group { first, inputs: BTreeMap::new() });
                group.inputs.entry(frame).or_default().push(*id);
            }
        }
    }
    if groups.is_empty() {
        return Err(Error::Input("no masks to start from".into()).into());
    }
    Ok(Plan { groups: groups.into_values().collect(), palette })
}
