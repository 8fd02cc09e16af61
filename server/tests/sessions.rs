//! Videos and sessions through the API, beside the library. Video files need ffmpeg.

mod common;

use common::*;
use sam2::rle::Rle;
use sam2::{
    Direction, FrameMasks, Frames, PointOptions, Prompt, Retention, VideoPredictor, VideoPredictorOptions, picture,
};
use sam2_server::options::Options;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// A library's predictor for the clip, as sessions have it.
fn library(clip: &Path) -> VideoPredictor {
    let options = VideoPredictorOptions { legacy_corrections: true, ..Default::default() };
    MODEL.video_predictor(Frames::video(clip).unwrap(), options).unwrap()
}

/// Object and run lengths of the masks of objects that have an output.
type Masks = Vec<(i64, String)>;

fn of_library(found: &FrameMasks, predictor: &VideoPredictor) -> Masks {
    let size = predictor.video_size();
    let mask = |i: usize| -> String {
        let logits = &found.masks[i * size.pixels()..][..size.pixels()];
        let mask: Vec<u8> = logits.iter().map(|&logit| u8::from(logit > 0.0)).collect();
        Rle::encode(&mask, size).unwrap().to_coco().unwrap()
    };
    let has_output = |&i: &usize| !found.object_score_logits[i].is_nan();
    (0..found.obj_ids.len()).filter(has_output).map(|i| (found.obj_ids[i], mask(i))).collect()
}

fn of_json(frame: &Value) -> Masks {
    let mask = |mask: &Value| (mask["object"].as_i64().unwrap(), mask["rle"]["counts"].as_str().unwrap().to_string());
    frame["masks"].as_array().unwrap_or_else(|| panic!("{frame}")).iter().map(mask).collect()
}

/// Frames and their masks of a stream of events.
fn tracked(events: &[(String, Value)]) -> Vec<(u64, Masks)> {
    let frames = events.iter().filter(|(name, _)| name == "frame");
    frames.map(|(_, data)| (data["frame"].as_u64().unwrap(), of_json(data))).collect()
}

fn by_library(predictor: &mut VideoPredictor, start: usize, direction: Direction) -> Vec<(u64, Masks)> {
    let mut found = Vec::new();
    predictor
        .propagate_in_video(Some(start), None, direction, |masks| {
            found.push(masks);
            true
        })
        .unwrap();
    found.iter().map(|masks| (masks.frame_idx as u64, of_library(masks, predictor))).collect()
}

fn masks_are_the_librarys() {
    let server = Server::new(&options());
    let to = server.to;
    let clip = clip(&folder());
    let video = upload(to, &clip);
    let session = begin(to, &json!({"video": video}));
    let mut predictor = library(&clip);
    let add = |predictor: &mut VideoPredictor, frame, object, prompt: Prompt<'_>| {
        let found = predictor.add_new_points_or_box(frame, object, &prompt, PointOptions::default()).unwrap();
        of_library(&found, predictor)
    };
    let first = prompt(to, &session, 2, 1, &[click(60.0, 60.0, 1)]);
    assert_eq!(of_json(&first), add(&mut predictor, 2, 1, Prompt::new().point(60.0, 60.0, 1)));
    // A preview changes nothing.
    let hover = json!({"frame": 2, "object": 9, "points": [click(30.0, 30.0, 1)], "hover": true});
    let preview = post(to, &format!("{session}/prompts"), &hover).json();
    assert_eq!(of_json(&preview).iter().map(|(object, _)| *object).collect::<Vec<_>>(), [9]);
    let both = json!({"frame": 2, "object": 5, "box": [10, 10, 50, 70]});
    let second = post(to, &format!("{session}/prompts"), &both).json();
    assert_eq!(of_json(&second), add(&mut predictor, 2, 5, Prompt::new().bounds([10.0, 10.0, 50.0, 70.0])));

    let events = propagate(to, &session, &json!({"start": 2, "direction": "both"}));
    let mut want = by_library(&mut predictor, 2, Direction::Forward);
    want.extend(by_library(&mut predictor, 2, Direction::Backward));
    assert_eq!(tracked(&events), want);
    assert_eq!(events.last().unwrap(), &("done".into(), json!({"cancelled": false})));
    let progress = events.iter().rev().find(|(name, _)| name == "progress").unwrap();
    assert_eq!(progress.1, json!({"done": want.len(), "total": want.len()}));

    // A correction, and what follows from it.
    let corrected = prompt(to, &session, 4, 1, &[click(62.0, 61.0, 1), click(5.0, 5.0, 0)]);
    let points = Prompt::new().point(62.0, 61.0, 1).point(5.0, 5.0, 0);
    assert_eq!(of_json(&corrected), add(&mut predictor, 4, 1, points));
    let again = propagate(to, &session, &json!({"start": 4}));
    assert_eq!(tracked(&again), by_library(&mut predictor, 4, Direction::Forward));

    // Points that are added to earlier ones.
    let more = json!({"frame": 6, "object": 1, "points": [click(60.0, 60.0, 1)]});
    post(to, &format!("{session}/prompts"), &more);
    let more = json!({"frame": 6, "object": 1, "points": [click(9.0, 9.0, 0)], "clear": false});
    let added = post(to, &format!("{session}/prompts"), &more).json();
    add(&mut predictor, 6, 1, Prompt::new().point(60.0, 60.0, 1));
    let options = PointOptions { clear_old_points: false, ..Default::default() };
    let found = predictor.add_new_points_or_box(6, 1, &Prompt::new().point(9.0, 9.0, 0), options).unwrap();
    assert_eq!(of_json(&added), of_library(&found, &predictor));
    let state = ask(to, "GET", &session, &[], b"").json();
    let points = state["prompts"].as_array().unwrap().iter().find(|p| p["frame"] == 6).unwrap();
    assert_eq!(points["points"], json!([click(60.0, 60.0, 1), click(9.0, 9.0, 0)]));

    // Prompts that are cleared, and objects that are removed.
    let cleared = ask(to, "DELETE", &format!("{session}/prompts?frame=4&object=1"), &[], b"");
    let found = predictor.clear_all_prompts_in_frame(4, 1).unwrap();
    assert_eq!(of_json(&cleared.json()), of_library(&found, &predictor));
    let removed = ask(to, "DELETE", &format!("{session}/objects/5"), &[], b"").json();
    let frames: Vec<Masks> = removed["frames"].as_array().unwrap().iter().map(of_json).collect();
    let want: Vec<Masks> = predictor.remove_object(5).unwrap().iter().map(|f| of_library(f, &predictor)).collect();
    assert_eq!(frames, want);
    let state = ask(to, "GET", &session, &[], b"").json();
    assert_eq!((&state["objects"], &state["state"]), (&json!([1]), &json!("idle")));
    assert_eq!(state["prompts"].as_array().unwrap().len(), 2);
    ask(to, "DELETE", &format!("{session}/prompts?frame=6&object=1"), &[], b"");
    // The last prompt of an object takes the object along.
    let last = ask(to, "DELETE", &format!("{session}/prompts?frame=2&object=1"), &[], b"").json();
    assert_eq!(last["masks"], json!([]));
    assert_eq!(post(to, &format!("{session}/propagate"), &json!({})).status, 422);
}

fn frames_and_files() {
    let server = Server::new(&options());
    let to = server.to;
    let clip = clip(&folder());
    let bytes = std::fs::read(&clip).unwrap();
    let head = b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"my clip.mp4\"\r\n\r\n";
    let form = [&head[..], &bytes, b"\r\n--x--\r\n"].concat();
    let made = ask(to, "POST", "/api/v1/videos", &[("Content-Type", "multipart/form-data; boundary=x")], &form).json();
    let frames = Frames::video(&clip).unwrap();
    assert_eq!((&made["name"], &made["frames"]), (&json!("my clip.mp4"), &json!(frames.len())));
    assert_eq!(made["fps"], json!(12.0));
    let video = format!("/api/v1/videos/{}", made["id"].as_str().unwrap());
    let last = frames.len() - 1;
    let jpeg = ask(to, "GET", &format!("{video}/frames/{last}.jpg"), &[], b"");
    assert_eq!((jpeg.status, jpeg.header("content-type")), (200, Some("image/jpeg")));
    let (shown, decoded) = (picture::decode("frame", &jpeg.body).unwrap(), frames.read(last).unwrap());
    assert_eq!(shown.size(), decoded.size());
    let far = shown.pixels.iter().zip(&decoded.pixels).map(|(a, b)| a.abs_diff(*b) as u64).sum::<u64>();
    assert!(far / (shown.pixels.len() as u64) < 4);
    for wrong in ["frames/999.jpg", "frames/x.jpg", "frames/1.png", "frames/-1.jpg", "frames/..%2f..%2fvideo"] {
        assert_eq!(ask(to, "GET", &format!("{video}/{wrong}"), &[], b"").status, 404, "{wrong}");
    }
    let part = ask(to, "GET", &format!("{video}/file"), &[("Range", "bytes=10-19")], b"");
    assert_eq!((part.status, &part.body[..]), (206, &bytes[10..20]));
    let session = begin(to, &json!({"video": made["id"]}));
    assert_eq!(ask(to, "DELETE", &video, &[], b"").status, 409);
    assert_eq!(ask(to, "DELETE", &session, &[], b"").status, 204);
    assert_eq!(ask(to, "DELETE", &video, &[], b"").status, 204);
    assert_eq!(ask(to, "GET", &format!("{video}/frames/0.jpg"), &[], b"").status, 404);
    // What is no video is refused, and nothing is left of it.
    for wrong in
        [&b"no video"[..], b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", b"ffconcat version 1.0\nfile /etc/passwd\n"]
    {
        let answer = ask(to, "POST", "/api/v1/videos", &[("Content-Type", "video/mp4")], wrong);
        assert_eq!(answer.status, 422);
        assert!(!String::from_utf8_lossy(&answer.body).contains("root:"));
    }
    let cut = ask(to, "POST", "/api/v1/videos", &[("Content-Type", "video/mp4")], &bytes[..bytes.len() / 2]);
    assert_eq!(cut.status, 422, "{}", cut.json());
    let data = server.app.videos.parts.parent().unwrap().to_path_buf();
    for folder in ["parts", "videos"] {
        assert_eq!(std::fs::read_dir(data.join(folder)).unwrap().count(), 0, "{folder}");
    }
}

fn a_client_that_does_not_read_is_cut_off_alone() {
    let server = Server::new(&Options { stall_timeout: Duration::from_millis(400), ..options() });
    let to = server.to;
    let video = upload(to, &clip(&folder()));
    let sessions: Vec<String> = (0..2).map(|_| begin(to, &json!({"video": video}))).collect();
    for session in &sessions {
        prompt(to, session, 0, 1, &[click(390.0, 215.0, 1)]);
    }
    let slow = server.app.sessions.list().into_iter().find(|s| sessions[0].ends_with(&s.id)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    // This channel has no reader.
    let plan = sam2_server::propagate::Plan::default();
    let unread = runtime.block_on(sam2_server::propagate::start(&server.app, slow.clone(), plan)).unwrap();
    let frames = tracked(&propagate(to, &sessions[1], &json!({})));
    assert_eq!(frames.len(), 24);
    wait_until("it is cut off", || !slow.is_tracking());
    assert!(slow.record().tracks.frames(0, 99).count() < 10);
    let text = String::from_utf8(ask(to, "GET", "/metrics", &[], b"").body).unwrap();
    assert!(text.contains("sam2_stream_stalls_total 1\n"), "{text}");
    drop(unread);
    // The session goes on.
    assert_eq!(tracked(&propagate(to, &sessions[0], &json!({}))).len(), 24);
}

fn clicks_come_before_tracking() {
    let server = Server::new(&options());
    let to = server.to;
    let video = upload(to, &clip(&folder()));
    let sessions: Vec<String> = (0..4).map(|_| begin(to, &json!({"video": video}))).collect();
    for session in &sessions {
        prompt(to, session, 0, 1, &[click(390.0, 215.0, 1)]);
    }
    let streams: Vec<_> =
        sessions.iter().map(|session| open(to, &format!("{session}/propagate"), &json!({}))).collect();
    wait_until("all track", || server.app.sessions.list().iter().all(|session| session.is_tracking()));
    // What ran before the click, of which units of work begin in the meantime.
    let bulk = || {
        let text = String::from_utf8(ask(to, "GET", "/metrics", &[], b"").body).unwrap();
        let line = text.lines().find_map(|l| l.strip_prefix("sam2_unit_seconds_count{class=\"bulk\"} ")).unwrap();
        line.parse::<u64>().unwrap()
    };
    let png = [("Content-Type", "image/png")];
    let image = ask(to, "POST", "/api/v1/images?wait=1", &png, &demo("samples/images/image1.png")).json();
    let path = format!("/api/v1/images/{}/masks", image["id"].as_str().unwrap());
    let request = json!({"prompts": [{"points": [click(64.0, 64.0, 1)]}]});
    for _ in 0..5 {
        let before = bulk();
        assert_eq!(post(to, &path, &request).status, 200);
        let units = bulk() - before;
        // One runs when the click comes, one in eight goes first, and one may begin while the count is read.
        assert!(units <= 3, "{units} units of tracking while a click waited");
    }
    drop(streams);
}

fn one_call_at_a_time_and_interrupts() {
    let server = Server::new(&options());
    let to = server.to;
    let video = upload(to, &clip(&folder()));
    let session = begin(to, &json!({"video": video}));
    prompt(to, &session, 0, 1, &[click(60.0, 60.0, 1)]);
    let tracks = || server.app.sessions.list()[0].is_tracking();
    // The lane is kept from tracking, so that the calls meet a propagation.
    let (open_gate, gate) = std::sync::mpsc::channel::<()>();
    let hold = move |_: &mut sam2_server::lane::Lane| _ = gate.recv();
    server.app.lanes.submit(sam2_server::schedule::Class::Interactive, 1, hold).unwrap();
    let stream = open(to, &format!("{session}/propagate"), &json!({}));
    wait_until("it tracks", tracks);
    assert_eq!(ask(to, "GET", &session, &[], b"").json()["state"], "tracking");
    let body = json!({"frame": 1, "object": 1, "points": [click(60.0, 60.0, 1)]});
    assert_eq!(post(to, &format!("{session}/prompts"), &body).status, 409);
    assert_eq!(post(to, &format!("{session}/propagate"), &json!({})).status, 409);
    let mut interrupting = body.clone();
    interrupting["interrupt"] = json!(true);
    let waiting = {
        let path = format!("{session}/prompts");
        std::thread::spawn(move || post(to, &path, &interrupting).status)
    };
    wait_until("it is cancelled", || server.app.sessions.list()[0].is_cancelled());
    open_gate.send(()).unwrap();
    assert_eq!(waiting.join().unwrap(), 200);
    assert!(!tracks());
    drop(stream);
    // A client that goes away ends its propagation.
    for _ in 0..20 {
        let mut stream = open(to, &format!("{session}/propagate"), &json!({}));
        std::io::Read::read_exact(&mut stream, &mut [0; 100]).unwrap();
        drop(stream);
        wait_until("it has ended", || !tracks());
    }
    let done = propagate(to, &session, &json!({"start": 0, "max_frames": 2}));
    assert_eq!(tracked(&done).iter().map(|(frame, _)| *frame).collect::<Vec<_>>(), [0, 1, 2]);
    for wrong in [json!({"start": 99}), json!({"start": -1}), json!({"direction": "up"})] {
        assert!([400, 422].contains(&post(to, &format!("{session}/propagate"), &wrong).status), "{wrong}");
    }
}

fn sessions_are_saved_and_restored() {
    let data = folder();
    let small = Options { data: data.clone(), memory_limit: 2, ..options() };
    let mut server = Server::new(&small);
    let clip = clip(&folder());
    let video = upload(server.to, &clip);
    let sessions: Vec<String> = (0..2).map(|_| begin(server.to, &json!({"video": video}))).collect();
    let mut predictors: Vec<VideoPredictor> = (0..2).map(|_| library(&clip)).collect();
    let points = [(60.0, 60.0), (30.0, 40.0)];
    for (i, session) in sessions.iter().enumerate() {
        let (x, y) = points[i];
        let got = prompt(server.to, session, i, 1, &[click(x, y, 1)]);
        let point = Prompt::new().point(x, y, 1);
        let found = predictors[i].add_new_points_or_box(i, 1, &point, PointOptions::default()).unwrap();
        assert_eq!(of_json(&got), of_library(&found, &predictors[i]));
    }
    let saved =
        |id: &str| data.join("sessions").join(format!("{}.safetensors", id.rsplit('/').next().unwrap())).exists();
    server.app.tidy();
    wait_until("both are saved", || sessions.iter().all(|session| saved(session)));
    // A saved session continues as if nothing had been.
    let got = tracked(&propagate(server.to, &sessions[0], &json!({"start": 0, "max_frames": 3})));
    assert_eq!(got[..4], by_library(&mut predictors[0], 0, Direction::Forward)[..4]);
    // So does one of a server that ended and started again.
    server.end();
    drop(server);
    let server = Server::new(&small);
    let state = ask(server.to, "GET", &sessions[1], &[], b"").json();
    assert_eq!(state["prompts"][0]["points"], json!([click(30.0, 40.0, 1)]));
    let got = tracked(&propagate(server.to, &sessions[1], &json!({"start": 1})));
    assert_eq!(got, by_library(&mut predictors[1], 1, Direction::Forward));
    assert_eq!(ask(server.to, "GET", &format!("/api/v1/videos/{video}/frames/0.jpg"), &[], b"").status, 200);
}

fn a_session_keeps_the_features_of_its_frame() {
    let server = Server::new(&options());
    let to = server.to;
    let clip = clip(&folder());
    let video = upload(to, &clip);
    let sessions: Vec<String> = (0..2).map(|_| begin(to, &json!({"video": video}))).collect();
    let encode = post(to, &format!("{}/encode", sessions[0]), &json!({"frame": 3}));
    assert_eq!(encode.status, 204);
    prompt(to, &sessions[1], 5, 1, &[click(60.0, 60.0, 1)]);
    let list = server.app.sessions.list();
    let first = list.iter().find(|session| sessions[0].ends_with(&session.id)).unwrap();
    assert!(first.bytes() > 0, "it has left its features on the worker");
    let mut predictor = library(&clip);
    let got = prompt(to, &sessions[0], 3, 1, &[click(60.0, 60.0, 1)]);
    let point = Prompt::new().point(60.0, 60.0, 1);
    let found = predictor.add_new_points_or_box(3, 1, &point, PointOptions::default()).unwrap();
    assert_eq!(of_json(&got), of_library(&found, &predictor));
}

fn streams_are_the_librarys() {
    let server = Server::new(&options());
    let to = server.to;
    let session = begin(to, &json!({"stream": true, "window": 3}));
    let mut stream = MODEL
        .video_stream(Retention::Window(3), VideoPredictorOptions { legacy_corrections: true, ..Default::default() })
        .unwrap();
    let push = |i: usize| {
        let bytes = std::fs::read(format!("{FRAMES}/{i:05}.jpg")).unwrap();
        let answer = ask(to, "POST", &format!("{session}/frames"), &[("Content-Type", "image/jpeg")], &bytes);
        assert_eq!(answer.status, 200, "{}", answer.json());
        (answer.json(), picture::decode("frame", &bytes).unwrap())
    };
    for i in 0..8 {
        let (got, decoded) = push(i);
        let found = stream.push_frame(&decoded.frame().unwrap()).unwrap();
        assert_eq!((got["frame"].as_u64(), of_json(&got)), (Some(i as u64), of_library(&found, &stream)));
        if i == 1 {
            let got = prompt(to, &session, 1, 7, &[click(60.0, 60.0, 1)]);
            let point = Prompt::new().point(60.0, 60.0, 1);
            let found = stream.add_new_points_or_box(1, 7, &point, PointOptions::default()).unwrap();
            assert_eq!(of_json(&got), of_library(&found, &stream));
        }
    }
    let kept = ask(to, "GET", &format!("{session}/masks"), &[], b"").json();
    let kept: Vec<u64> = kept["frames"].as_array().unwrap().iter().map(|f| f["frame"].as_u64().unwrap()).collect();
    assert_eq!(kept, [4, 5, 6, 7]);
    let old = json!({"frame": 1, "object": 7, "points": [click(60.0, 60.0, 1)]});
    assert_eq!(post(to, &format!("{session}/prompts"), &old).status, 422);
    assert_eq!(post(to, &format!("{session}/propagate"), &json!({})).status, 422);
    assert_eq!(post(to, "/api/v1/sessions", &json!({"stream": true, "window": 65})).status, 422);
    assert_eq!(post(to, "/api/v1/sessions", &json!({})).status, 422);
}

fn exports() {
    let server = Server::new(&options());
    let to = server.to;
    let clip = clip(&folder());
    let video = upload(to, &clip);
    let session = begin(to, &json!({"video": video}));
    let get = |how: &str| ask(to, "GET", &format!("{session}/export?format={how}"), &[], b"");
    assert_eq!(get("png").status, 422);
    for (object, x, y) in [(1, 390.0, 215.0), (2, 208.0, 249.0)] {
        prompt(to, &session, 0, object, &[click(x, y, 1)]);
    }
    let frames = tracked(&propagate(to, &session, &json!({})));
    let (size, count) = (Frames::video(&clip).unwrap().read(0).unwrap().size(), frames.len());
    let mask = |frame: usize, object: i64| -> Vec<u8> {
        let (_, counts) = frames[frame].1.iter().find(|(o, _)| *o == object).unwrap();
        Rle::from_coco(counts, size).unwrap().decode().unwrap()
    };
    let archive = |how: &str| zip::ZipArchive::new(std::io::Cursor::new(get(how).body)).unwrap();
    let file = |archive: &mut zip::ZipArchive<_>, name: &str| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut archive.by_name(name).unwrap(), &mut bytes).unwrap();
        bytes
    };
    let mut masks = archive("png");
    assert_eq!(masks.len(), 2 * count);
    let png = picture::decode("mask", &file(&mut masks, "2/00003.png")).unwrap();
    assert!(png.pixels.iter().zip(mask(3, 2)).all(|(a, b)| *a == b * 255));
    let mut labels = archive("labels");
    assert_eq!(labels.len(), count);
    let (first, second) = (mask(5, 1), mask(5, 2));
    let want: Vec<u8> = first.iter().zip(second).map(|(a, b)| if *a == 1 { 1 } else { b * 2 }).collect();
    let read = sam2::labels::decode("labels", &file(&mut labels, "00005.png")).unwrap();
    assert_eq!(read.numbers, want);

    let coco = get("coco").json();
    let shown = |object: i64| (0..count).filter(|&f| mask(f, object).contains(&1)).count();
    assert_eq!(coco["annotations"].as_array().unwrap().len(), shown(1) + shown(2));
    assert_eq!(coco["images"].as_array().unwrap().len(), count);
    let ytvis = get("ytvis").json();
    assert_eq!(ytvis["annotations"][1]["segmentations"][3]["counts"], json!(frames[3].1[1].1));
    let sav = get("sav").json();
    assert_eq!(sav["masklet"].as_array().unwrap().len(), count.div_ceil(4));
    assert_eq!(sav["masklet"][2][1]["counts"], json!(frames[8].1[1].1));
    assert_eq!((&sav["masklet_num"], &sav["masklet_first_appeared_frame"]), (&json!(2), &json!([0, 0])));

    for (how, name) in
        [("mp4&effect=blur", "a.mp4"), ("mp4&effect=overlay", "b.mp4"), ("gif&effect=spotlight", "c.gif")]
    {
        let answer = get(how);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()));
        let path = folder().join(name);
        std::fs::write(&path, &answer.body).unwrap();
        let film = Frames::video(&path).unwrap();
        assert_eq!((film.len(), film.read(0).unwrap().size()), (count, size), "{how}");
    }
    assert_eq!(get("tar").status, 400);
    assert_eq!(get("mp4&effect=none").status, 400);
    wait_until("exports are deleted", || std::fs::read_dir(&server.app.videos.parts).unwrap().count() == 0);
}

fn main() {
    run_with_ffmpeg(&[
        ("masks_are_the_librarys", masks_are_the_librarys, true),
        ("frames_and_files", frames_and_files, true),
        ("one_call_at_a_time_and_interrupts", one_call_at_a_time_and_interrupts, true),
        ("sessions_are_saved_and_restored", sessions_are_saved_and_restored, true),
        ("a_session_keeps_the_features_of_its_frame", a_session_keeps_the_features_of_its_frame, true),
        ("exports", exports, true),
        ("a_client_that_does_not_read_is_cut_off_alone", a_client_that_does_not_read_is_cut_off_alone, true),
        ("clicks_come_before_tracking", clicks_come_before_tracking, true),
        ("streams_are_the_librarys", streams_are_the_librarys, false),
    ]);
}
