//! Decides which objects are tracked together, from which frame and with which input masks.

use super::annotations::Annotations;
use super::args::Args;
use crate::error::Failure;
use sam2::Error;
use std::collections::BTreeMap;

/// The groups of objects to track in a video.
pub struct Plan {
    /// Groups in the order of their first frames.
    pub groups: Vec<Group>,
    /// The palette of the input masks, if they have one.
    pub palette: Option<Vec<u8>>,
}

/// Objects with the same first frame. They are tracked together.
pub struct Group {
    pub first: usize,
    /// The objects whose input masks are used, by frame.
    pub inputs: BTreeMap<usize, Vec<i64>>,
}

impl Group {
    /// The objects in ascending order.
    pub fn objects(&self) -> Vec<i64> {
        let mut ids: Vec<i64> = self.inputs.values().flatten().copied().collect();
        ids.sort();
        ids.dedup();
        ids
    }
}

const HINT: &str = "give --track-object-appearing-later-in-video if not all objects are on the first frame";

impl Plan {
    pub fn new(args: &Args, annotations: &Annotations) -> Result<Plan, Failure> {
        if args.track_object_appearing_later_in_video {
            each_from_its_first(annotations, args.use_all_masks)
        } else {
            all_from_the_first(annotations, args.use_all_masks)
        }
    }
}

/// One group of all objects. All objects must be on its first frame: frame 0 or, with `use_all_masks`, the first frame
/// with a mask.
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
        None => Err(Error::Input("no input masks".into()).into()),
        Some((frame, ids)) if ids.is_empty() => Err(wrong(format!("no object on frame {frame}"))),
        Some((&first, _)) => Ok(Plan { groups: vec![Group { first, ..group }], palette }),
    }
}

/// Groups objects by the first frame on which their mask is not empty.
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
        return Err(Error::Input("no input masks".into()).into());
    }
    Ok(Plan { groups: groups.into_values().collect(), palette })
}
