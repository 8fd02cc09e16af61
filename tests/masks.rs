//! Masks in every format, with areas and boxes: all equal those that plain loops compute from logits.

mod common;

use common::masks::*;
use common::*;
use sam2::engine::{backend::Backend, cpu::Cpu};
use sam2::{
    Direction, Error, FrameMasks, Frames, ImagePredictorOptions, MaskBuffer, MaskFormat, Model, Precision,
    PredictOptions, Prediction, PredictionBuffers, Prompt, Retention, Size, VideoPredictor,
};
use sam2_cuda::{Cuda, emulator::Emulator};

/// Their width is not a multiple of eight.
fn frames() -> Frames {
    Frames::pictures(small_frames(59))
}

fn small(settings: &[&str], backend: impl Backend) -> Model {
    small_demo(backend, Precision::F32, settings)
}

fn cpu() -> Cpu {
    Cpu::new(2).unwrap()
}

/// The output of every call, in order, each with its masks in a buffer if there is a format for them.
fn calls(p: &mut VideoPredictor, form: Option<(MaskFormat, bool)>) -> Vec<(FrameMasks, Vec<u8>)> {
    let (size, mut all) = (p.video_size(), Vec::new());
    let click = Prompt::new().point(26.0, 31.0, 1);
    let bounds = Prompt::new().bounds([43.0, 22.0, 53.0, 33.0]);
    let over: Vec<u8> = (0..size.pixels()).map(|i| (i % size.width > 20 && i / size.width > 15) as u8).collect();
    let nothing = vec![0; size.pixels()];
    let room = |objects: usize| form.map(|(format, _)| Room::new(format, objects, size));
    for (objects, frame, what) in [(1, 0, 0), (2, 0, 1), (3, 0, 2), (4, 1, 3), (4, 0, 4), (4, 1, 5)] {
        let mut room = room(objects);
        let buffer = room.as_mut().zip(form).map(|(room, (format, flipped))| room.buffer(format, flipped));
        let got = match (what, buffer) {
            (0, None) => p.add_new_points_or_box(frame, 7, &click, Default::default()),
            (0, Some(to)) => p.add_new_points_or_box_into(frame, 7, &click, Default::default(), to),
            (1, None) => p.add_new_points_or_box(frame, 3, &bounds, Default::default()),
            (1, Some(to)) => p.add_new_points_or_box_into(frame, 3, &bounds, Default::default(), to),
            (2, None) => p.add_new_mask(frame, 9, &over, size),
            (2, Some(to)) => p.add_new_mask_into(frame, 9, &over, size, to),
            (3, None) => p.add_new_mask(frame, 4, &nothing, size),
            (3, Some(to)) => p.add_new_mask_into(frame, 4, &nothing, size, to),
            (_, None) => p.clear_all_prompts_in_frame(frame, 3),
            (_, Some(to)) => p.clear_all_prompts_in_frame_into(frame, 3, to),
        };
        all.push((got.unwrap(), room.map_or(Vec::new(), |room| room.bytes().to_vec())));
    }
    p.add_new_points_or_box(1, 3, &bounds, Default::default()).unwrap();
    match form {
        None => p.propagate_in_video(None, None, Direction::Forward, |got| {
            all.push((got, Vec::new()));
            true
        }),
        Some((format, flipped)) => {
            let mut room = Room::new(format, 4, size);
            p.propagate_in_video_into(None, None, Direction::Forward, room.buffer(format, flipped), |got, to| {
                assert_eq!((to.format(), to.is_flipped()), (format, flipped));
                all.push((got, to.contents().unwrap().to_vec()));
                true
            })
        }
    }
    .unwrap();
    all
}

/// Areas and boxes are those of the masks, and every call writes every format.
fn every_form(model: &Model, frames: &Frames, formats: &[MaskFormat]) {
    let predictor = || model.guarded_video_predictor(frames.clone(), Default::default()).unwrap();
    let want = calls(&mut predictor(), None);
    let size = predictor().video_size();
    for (got, _) in &want {
        assert_measured(&format!("frame {}", got.frame_idx), got, &got.masks, size);
    }
    let seen = want.iter().flat_map(|(got, _)| &got.areas);
    assert!(seen.clone().any(|&area| area == 0) && seen.clone().any(|&area| area > 20), "{seen:?}");
    for &format in formats {
        for flipped in [false, true] {
            let got = calls(&mut predictor(), Some((format, flipped)));
            assert_eq!(got.len(), want.len());
            for (i, ((got, bytes), (want, _))) in got.iter().zip(&want).enumerate() {
                let what = format!("call {i}, {format:?}, flipped {flipped}");
                assert!(got.masks.is_empty() && (&got.areas, &got.boxes) == (&want.areas, &want.boxes), "{what}");
                let bits = |m: &FrameMasks| m.object_score_logits.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                assert_eq!((bits(got), &got.obj_ids), (bits(want), &want.obj_ids), "{what}");
                assert!(*bytes == formed(&want.masks, size, 0.0, format, flipped), "{what}");
            }
        }
    }
}

#[test]
fn every_form_of_every_call() {
    every_form(&small(&[], cpu()), &frames(), &FORMATS);
}

/// Masks that do not overlap: areas and boxes are those of the remaining pixels, and a label map follows the same rule.
#[test]
fn masks_that_do_not_overlap() {
    let apart = ["++model.non_overlap_masks=true"];
    every_form(&small(&apart, cpu()), &frames(), &[MaskFormat::Labels]);
    // They differ from the overlapping ones.
    let run = |settings: &[&str]| {
        let mut p = small(settings, cpu()).video_predictor(frames(), Default::default()).unwrap();
        calls(&mut p, None)
    };
    let areas = |all: Vec<(FrameMasks, Vec<u8>)>| all.into_iter().map(|(got, _)| got.areas).collect::<Vec<_>>();
    assert_ne!(areas(run(&apart)), areas(run(&[])));
    let mut p = small(&apart, cpu()).video_predictor(frames(), Default::default()).unwrap();
    let mut room = Room::new(MaskFormat::Bits, 1, p.video_size());
    let to = room.buffer(MaskFormat::Bits, false);
    let refused = p.add_new_points_or_box_into(0, 1, &Prompt::new().point(26.0, 31.0, 1), Default::default(), to);
    assert!(matches!(&refused, Err(Error::Input(e)) if e.contains("as labels only")), "{refused:?}");
    assert!(p.obj_ids().is_empty());
}

/// More objects than one batch, some of them with a known mask: all are there, in their order.
#[test]
fn more_objects_than_a_pass() {
    let (model, objects, frames) = (small(&[], cpu()), 19, frames());
    let picture = |i: usize| frames.read(i).unwrap();
    let mut p = model.video_stream(Retention::Window(1), Default::default()).unwrap();
    let nobody = p.push_frame(&picture(0).frame().unwrap()).unwrap();
    assert!(nobody.areas.is_empty() && nobody.boxes.is_empty());
    let size = p.video_size();
    let say = |p: &mut VideoPredictor, id: usize| {
        let mask: Vec<u8> =
            (0..size.pixels()).map(|i| (i % size.width / 3 == id || i / size.width == id) as u8).collect();
        p.add_new_mask(0, id as i64, &mask, size).unwrap()
    };
    let said = (0..objects).map(|id| say(&mut p, id)).last().unwrap();
    let want = p.fork().push_frame(&picture(1).frame().unwrap()).unwrap();
    assert_measured("said", &said, &said.masks, size);
    assert_measured("all", &want, &want.masks, size);
    for id in 0..objects {
        let mut alone = model.video_stream(Retention::Window(1), Default::default()).unwrap();
        alone.push_frame(&picture(0).frame().unwrap()).unwrap();
        let one = |all: &FrameMasks| all.masks.chunks(size.pixels()).nth(id).unwrap().to_vec();
        assert!(say(&mut alone, id).masks == one(&said), "object {id} as it was said");
        let found = alone.push_frame(&picture(1).frame().unwrap()).unwrap();
        assert!(found.masks == one(&want), "object {id} alone");
    }
    for format in FORMATS {
        let mut room = Room::new(format, objects, size);
        let mut got = FrameMasks::default();
        p.fork().push_frame_into(&picture(1).frame().unwrap(), room.buffer(format, true), &mut got).unwrap();
        assert_eq!((got.areas, got.boxes), (want.areas.clone(), want.boxes.clone()), "{format:?}");
        assert!(room.bytes() == formed(&want.masks, size, 0.0, format, true), "{format:?}");
    }
    // One object alone, and no object.
    let mut map = Room::new(MaskFormat::Labels, 1, size);
    p.reset_state();
    p.push_frame_into(&picture(2).frame().unwrap(), map.buffer(MaskFormat::Labels, false), &mut FrameMasks::default())
        .unwrap();
    assert!(map.bytes().iter().all(|&b| b == 0), "a map of nobody");
}

/// A buffer without room for a mask changes nothing in any call.
#[test]
fn buffers_without_room() {
    let model = small(&[], cpu());
    let mut p = model.video_predictor(frames(), Default::default()).unwrap();
    let (click, size) = (Prompt::new().point(26.0, 31.0, 1), p.video_size());
    p.add_new_points_or_box(0, 1, &click, Default::default()).unwrap();
    let state = |p: &VideoPredictor| {
        let mut bytes = Vec::new();
        p.save_state(&mut bytes).unwrap();
        bytes
    };
    let before = state(&p);
    for format in FORMATS {
        let bytes = |n: usize| format.bytes(n, size);
        for (new, len) in [(false, bytes(1) - 4), (true, bytes(1) - 4), (true, 0)] {
            let mut room = Room::new(format, 5, Size::new(size.width + 8, size.height));
            room.cut(len);
            let id = if new { 2 } else { 1 };
            let results = [
                p.add_new_points_or_box_into(0, id, &click, Default::default(), room.buffer(format, false)).map(|_| ()),
                p.add_new_mask_into(0, id, &[1, 0], Size::new(2, 1), room.buffer(format, false)).map(|_| ()),
                match new {
                    true => Err(Error::Input("bytes needed".into())),
                    false => p.clear_all_prompts_in_frame_into(0, 1, room.buffer(format, false)).map(|_| ()),
                },
                match new {
                    true => Err(Error::Input("bytes needed".into())),
                    false => {
                        p.propagate_in_video_into(None, None, Direction::Forward, room.buffer(format, false), |_, _| {
                            true
                        })
                    }
                },
            ];
            for result in results {
                assert!(
                    matches!(&result, Err(Error::Input(e)) if e.contains("bytes needed")),
                    "{format:?}, {len}: {result:?}"
                );
            }
            assert_eq!(state(&p), before, "{format:?}, {len}");
        }
    }
    let mut p = model.video_stream(Retention::Window(1), Default::default()).unwrap();
    let frame = frames().read(0).unwrap();
    let mut short = Room::new(MaskFormat::Labels, 1, Size::new(size.width - 1, size.height));
    let refused =
        p.push_frame_into(&frame.frame().unwrap(), short.buffer(MaskFormat::Labels, false), &mut FrameMasks::default());
    assert!(matches!(refused, Err(Error::Input(_))) && p.num_frames() == 0);
}

/// A buffer may be larger than the masks, and have space between rows. Without room for all objects it gets the masks of
/// the first ones, and the frame is tracked all the same.
#[test]
fn buffers_of_other_sizes() {
    let model = small(&[], cpu());
    let mut p = model.video_stream(Retention::Window(1), Default::default()).unwrap();
    let picture = |i: usize| frames().read(i).unwrap();
    p.push_frame(&picture(0).frame().unwrap()).unwrap();
    let size = p.video_size();
    for (id, x) in [(42, 26.0), (7, 12.0), (71, 40.0)] {
        p.add_new_points_or_box(0, id, &Prompt::new().point(x, 31.0, 1), Default::default()).unwrap();
    }
    let want = p.fork().push_frame(&picture(1).frame().unwrap()).unwrap();
    assert_eq!(want.masks_written, 3);
    let push = |buffer: MaskBuffer<'_>| {
        let mut got = FrameMasks::default();
        p.fork().push_frame_into(&picture(1).frame().unwrap(), buffer, &mut got).unwrap();
        assert_eq!((&got.obj_ids, &got.areas, &got.boxes), (&want.obj_ids, &want.areas, &want.boxes));
        got.masks_written
    };
    for format in FORMATS {
        let all = formed(&want.masks, size, 0.0, format, false);
        let (row, each) = (format.row_bytes(size.width), format.bytes(1, size));
        for strides in [[row, each], [row + 8, (row + 8) * size.height + 4]] {
            for room_for in [1, 2, 3, 5] {
                let written = if format == MaskFormat::Labels { 3 } else { room_for.min(3) };
                let planes = if format == MaskFormat::Labels { 1 } else { room_for };
                let bytes = (planes - 1) * strides[1] + (size.height - 1) * strides[0] + row;
                let mut room = Room::of(bytes);
                let buffer = room.buffer(format, false).with_strides(strides[0], strides[1]);
                assert_eq!(push(buffer), written, "{format:?}, room for {room_for}");
                let packed = &all[..if format == MaskFormat::Labels { each } else { written * each }];
                let mut want = spread(packed, row, size.height, strides);
                want.resize(bytes, NINE);
                assert!(room.bytes() == want, "{format:?}, room for {room_for}, {strides:?}");
            }
        }
    }
    let labels = formed(&want.masks, size, 0.0, MaskFormat::Labels, false);
    for format in [MaskFormat::Ids8, MaskFormat::Ids16] {
        let mut room = Room::new(format, 3, size);
        assert_eq!(push(room.buffer(format, false)), 3);
        assert!(room.bytes() == with_ids(&labels, &want.obj_ids, format), "{format:?}");
    }
    // Strides that rows or masks would overlap with, or that values would not be aligned with.
    for (format, strides, says) in [
        (MaskFormat::Binary, [size.width - 1, 0], "the stride is only"),
        (MaskFormat::Binary, [0, size.pixels() - 1], "the stride is only"),
        (MaskFormat::Logits, [4 * size.width + 2, 0], "not aligned"),
        (MaskFormat::Labels, [2 * size.width + 1, 0], "not aligned"),
    ] {
        let mut room = Room::of(20 * size.pixels());
        let buffer = room.buffer(format, false).with_strides(strides[0], strides[1]);
        let refused = p.push_frame_into(&picture(1).frame().unwrap(), buffer, &mut FrameMasks::default());
        assert!(matches!(&refused, Err(Error::Input(e)) if e.contains(says)), "{format:?}, {strides:?}: {refused:?}");
        assert_eq!(p.num_frames(), 1);
    }
    // Ids that a map does not have are refused before the frame is taken, and by the call that would add the object.
    let mut room = Room::of(4 * size.pixels());
    for (format, id) in
        [(MaskFormat::Ids8, 256), (MaskFormat::Ids16, 65536), (MaskFormat::Ids8, 0), (MaskFormat::Ids16, -1)]
    {
        let click = Prompt::new().point(26.0, 31.0, 1);
        let to = room.buffer(format, false);
        let refused = p.add_new_points_or_box_into(0, id, &click, Default::default(), to);
        assert!(matches!(&refused, Err(Error::Input(e)) if e.contains(&format!("not {id}"))), "{id}: {refused:?}");
        assert_eq!(p.obj_ids(), [42, 7, 71]);
    }
    p.add_new_points_or_box(0, 300, &Prompt::new().point(26.0, 31.0, 1), Default::default()).unwrap();
    let to = room.buffer(MaskFormat::Ids8, false);
    let refused = p.push_frame_into(&picture(1).frame().unwrap(), to, &mut FrameMasks::default());
    assert!(matches!(&refused, Err(Error::Input(e)) if e.contains("not 300")), "{refused:?}");
    assert_eq!(p.num_frames(), 1);
    // Masks of images have no ids.
    let mut image = model.image_predictor(Default::default()).unwrap();
    image.set_image(&picture(0).frame().unwrap()).unwrap();
    let out = PredictionBuffers {
        masks: Some(room.buffer(MaskFormat::Ids8, false)),
        iou_predictions: &mut [0.0],
        low_res_masks: None,
        object_score_logits: None,
    };
    let refused = image.predict_into(&[Prompt::new().point(26.0, 31.0, 1)], Default::default(), out);
    assert!(matches!(&refused, Err(Error::Input(e)) if e.contains("objects of a video")), "{refused:?}");
}

/// Images in every format, in more than one batch, with and without cleaning.
fn pictures(model: &Model, mended: bool, n: usize, formats: &[MaskFormat]) {
    let area = if mended { 20.0 } else { 0.0 };
    let options = ImagePredictorOptions { mask_threshold: 0.25, max_hole_area: area, max_sprinkle_area: area };
    let mut p = model.guarded_image_predictor(options).unwrap();
    let picture = frames().read(0).unwrap();
    p.set_image(&picture.frame().unwrap()).unwrap();
    let size = picture.size();
    let prompts: Vec<Prompt<'_>> =
        (0..n).map(|i| Prompt::new().point((i * 7 % size.width) as f32, (i * 5 % size.height) as f32, 1)).collect();
    for multimask_output in [false, true] {
        let options = PredictOptions { multimask_output, return_logits: true, ..Default::default() };
        let want: Prediction = p.predict(&prompts, options).unwrap();
        let sam2::Masks::Logits(logits) = &want.masks else { unreachable!() };
        let masks = n * want.masks_per_prompt;
        for (format, flipped) in formats.iter().flat_map(|&format| [(format, false), (format, true)]) {
            let (mut room, mut iou) = (Room::new(format, masks, size), vec![0.0; masks]);
            let out = PredictionBuffers {
                masks: Some(room.buffer(format, flipped)),
                iou_predictions: &mut iou,
                low_res_masks: None,
                object_score_logits: None,
            };
            let result = p.predict_into(&prompts, options, out);
            if multimask_output && format == MaskFormat::Labels {
                assert!(matches!(&result, Err(Error::Input(e)) if e.contains("one mask per prompt")), "{result:?}");
                continue;
            }
            result.unwrap();
            assert_eq!(iou, want.iou_predictions);
            assert!(room.bytes() == formed(logits, size, 0.25, format, flipped), "{format:?}, {flipped}, {mended}");
        }
    }
}

#[test]
fn pictures_in_every_form() {
    let model = small(&[], cpu());
    [false, true].into_iter().for_each(|mended| pictures(&model, mended, 21, &FORMATS));
}

#[test]
fn pictures_on_the_emulator() {
    pictures(&small(&[], Cuda::on(Emulator::new(83))), true, 2, &[MaskFormat::Labels]);
}

/// Labels up to the largest number that fits, and none.
#[test]
fn the_number_of_labels() {
    let mut p = small(&[], cpu()).image_predictor(Default::default()).unwrap();
    p.set_image(&frames().read(0).unwrap().frame().unwrap()).unwrap();
    let Size { width, height } = p.image_sizes()[0];
    let options = PredictOptions { multimask_output: false, ..Default::default() };
    let mut map = vec![9u16; height * width];
    let mut predict = |n: usize, map: &mut [u16]| {
        let out = PredictionBuffers {
            masks: Some(MaskBuffer::labels(map)),
            iou_predictions: &mut vec![0.0; n],
            low_res_masks: None,
            object_score_logits: None,
        };
        p.predict_into(&vec![Prompt::new(); n], options, out)
    };
    let many = predict(65_536, &mut map);
    assert!(matches!(&many, Err(Error::Input(e)) if e.contains("labels tell 65535 apart")), "{many:?}");
    assert!(map.iter().all(|&label| label == 9));
    predict(0, &mut map).unwrap();
    assert!(map.iter().all(|&label| label == 0));
}
