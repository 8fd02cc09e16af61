//! Tracking for X-AnyLabeling, beside the library.

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::*;
use sam2::rle::Rle;
use sam2::{Direction, FrameMasks, Frames, PointOptions, Prompt, Size, VideoPredictorOptions};
use sam2_server::options::{Compat, Options};
use serde_json::{Value, json};
use std::net::SocketAddr;

const MODEL_ID: &str = "segment_anything_2_video";
/// The object's id, which the client sends for all objects.
const OBJECT: i64 = 10_000;

fn on() -> Options {
    Options { compat: vec![Compat::XAnyLabeling], ..options() }
}

fn frame(number: usize) -> String {
    let bytes = std::fs::read(format!("{FRAMES}/{number:05}.jpg")).unwrap();
    format!("data:image/jpeg;base64,{}", STANDARD.encode(bytes))
}

fn init(to: SocketAddr, frames: &[String]) -> Answer {
    post(to, "/v1/video/init", &json!({"model": MODEL_ID, "frames": frames, "start_frame_index": 0}))
}

fn begun(to: SocketAddr, frames: usize) -> String {
    let frames: Vec<String> = (0..frames).map(frame).collect();
    let answer = init(to, &frames).json();
    assert_eq!((&answer["success"], &answer["data"]["num_frames"]), (&json!(true), &json!(frames.len())), "{answer}");
    answer["data"]["session_id"].as_str().unwrap().into()
}

fn prompt(session: &str, frame: usize, points: &[[f32; 2]]) -> Value {
    json!({
        "session_id": session, "model": MODEL_ID, "frame_index": frame, "obj_id": OBJECT,
        "points": points, "point_labels": vec![1; points.len()],
        "params": {"conf_threshold": 0.0, "epsilon_factor": 0},
    })
}

fn propagated(to: SocketAddr, body: &Value) -> Vec<Value> {
    let answer = post(to, "/v1/video/propagate/stream", body);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
    let text = String::from_utf8(answer.body).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The outlines of the parts of a mask, as the library has them.
fn outlines(found: &FrameMasks, size: Size) -> Vec<Vec<[f64; 2]>> {
    let mask: Vec<u8> = found.masks.iter().map(|&logit| u8::from(logit > 0.0)).collect();
    let rings = Rle::encode(&mask, size).unwrap().polygons().unwrap();
    rings.iter().map(|ring| ring.iter().map(|corner| corner.map(f64::from)).collect()).collect()
}

/// The polygons of an answer are outlines of the library: one for each part that is no speck.
fn compare(shapes: &Value, found: &FrameMasks, size: Size) {
    let (shapes, rings) = (shapes.as_array().unwrap(), outlines(found, size));
    assert!(!shapes.is_empty() && shapes.len() <= rings.len());
    for shape in shapes {
        let mut points: Vec<[f64; 2]> = serde_json::from_value(shape["points"].clone()).unwrap();
        assert_eq!(points.pop(), points.first().copied());
        assert!(rings.contains(&points));
        assert_eq!((&shape["label"], &shape["shape_type"]), (&json!("AUTOLABEL_OBJECT"), &json!("polygon")));
        assert!(shape["score"].as_f64().unwrap() > 0.5);
    }
}

#[test]
fn polygons_are_those_of_the_library() {
    let server = Server::new(&on());
    let to = server.to;
    let models = ask(to, "GET", "/v1/models", &[], b"").json()["data"].clone();
    assert_eq!(models[MODEL_ID]["batch_processing_mode"], "video");
    assert_eq!(models["segment_anything_2"]["batch_processing_mode"], Value::Null);

    let folder = folder();
    for number in 0..6 {
        let name = format!("{number:05}.jpg");
        std::fs::copy(format!("{FRAMES}/{name}"), folder.join(name)).unwrap();
    }
    let options = VideoPredictorOptions { legacy_corrections: true, ..Default::default() };
    let mut library = MODEL.video_predictor(Frames::open(&folder).unwrap(), options).unwrap();
    let size = library.video_size();
    let point = [390.0 / size.width as f32, 215.0 / size.height as f32];
    let relative = PointOptions { normalize_coords: false, ..Default::default() };
    let want = library.add_new_points_or_box(0, OBJECT, &Prompt::new().point(point[0], point[1], 1), relative).unwrap();

    let session = begun(to, 6);
    let first = post(to, "/v1/video/prompt", &prompt(&session, 0, &[point])).json();
    assert_eq!((&first["data"]["frame_index"], &first["data"]["num_objects"]), (&json!(0), &json!(1)));
    compare(&first["data"]["masks"], &want, size);
    let events = propagated(to, &json!({"session_id": session, "model": MODEL_ID, "start_frame": 0, "end_frame": 3}));
    assert_eq!(events[0], json!({"type": "started", "total_frames": 4, "start_frame_index": 0}));
    let frames: Vec<_> = events[1..5].iter().map(|event| (&event["type"], event["current_frame"].as_u64())).collect();
    assert_eq!(frames, (0..4).map(|frame| (&events[1]["type"], Some(frame))).collect::<Vec<_>>());
    assert_eq!((events.len(), &events[1]["type"], &events[5]["type"]), (6, &json!("progress"), &json!("completed")));
    let results = events[5]["results"].as_object().unwrap();
    assert_eq!(results.len(), 4);
    let each = |found: FrameMasks| {
        compare(&results[&found.frame_idx.to_string()]["masks"], &found, size);
        true
    };
    library.propagate_in_video(Some(0), Some(3), Direction::Forward, each).unwrap();

    // The same points again change nothing. Others after a propagation begin another object.
    let again = post(to, "/v1/video/prompt", &prompt(&session, 0, &[point])).json();
    assert_eq!(again["data"]["masks"].as_array().map(Vec::len), first["data"]["masks"].as_array().map(Vec::len));
    assert_eq!(server.app.sessions.get(&session).unwrap().record().prompts.len(), 1);
    // Points that are refused change nothing.
    assert_eq!(post(to, "/v1/video/prompt", &prompt(&session, 99, &[[0.42, 0.68]])).status, 422);
    assert_eq!(server.app.sessions.get(&session).unwrap().record().prompts.len(), 1);
    let other = post(to, "/v1/video/prompt", &prompt(&session, 2, &[[0.42, 0.68]])).json();
    assert_eq!(other["data"]["num_objects"], 1);
    let prompts: Vec<_> = server.app.sessions.get(&session).unwrap().record().prompts.keys().copied().collect();
    assert_eq!(prompts, [(2, OBJECT)]);
    // Before the next propagation, points on another frame are of the same object.
    post(to, "/v1/video/prompt", &prompt(&session, 4, &[[0.42, 0.68]]));
    assert_eq!(server.app.sessions.get(&session).unwrap().record().prompts.len(), 2);
    // Without frames it tracks from the first prompt to the end.
    let events = propagated(to, &json!({"session_id": session, "model": MODEL_ID}));
    assert_eq!(events[0], json!({"type": "started", "total_frames": 4, "start_frame_index": 2}));
    // A model that tracks answers about images too, since the client asks it when it has no marks.
    let predict = json!({"model": MODEL_ID, "image": frame(0), "params": {"marks": []}});
    assert_eq!(post(to, "/v1/predict", &predict).json()["data"]["shapes"], json!([]));

    assert!(server.app.videos.bytes() > 0 && server.app.videos.list().is_empty());
    let path = format!("/v1/video/cleanup/{session}?model={MODEL_ID}");
    for _ in 0..2 {
        assert_eq!(ask(to, "POST", &path, &[], b"").json()["success"], true);
    }
    assert_eq!(post(to, "/v1/video/prompt", &prompt(&session, 0, &[point])).status, 404);
    assert_eq!(server.app.videos.bytes(), 0);
}

#[test]
fn what_is_wrong_is_told() {
    let server = Server::new(&on());
    let to = server.to;
    let bytes = std::fs::read("../demo/samples/images/image1.png").unwrap();
    let png = format!("data:image/png;base64,{}", STANDARD.encode(bytes));
    // A file of another format is a frame too, unless it has another size.
    let found = init(to, std::slice::from_ref(&png));
    assert_eq!(found.status, 200, "{}", found.json());
    let is_same_size = found.json()["data"]["num_frames"] == 1;
    assert!(is_same_size);
    let small = STANDARD.encode(std::fs::read("../demo/pictures/astronaut.png").unwrap());
    for (frames, status) in [
        (json!([frame(0), small]), 422),
        (json!([frame(0), "data:image/png;base64,AAAA"]), 422),
        (json!(["http://attacker.example/a.png"]), 422),
        (json!([]), 422),
        (json!([5]), 400),
        (json!("x"), 400),
        (Value::Null, 400),
    ] {
        let answer = post(to, "/v1/video/init", &json!({"model": MODEL_ID, "frames": frames}));
        assert_eq!((answer.status, &answer.json()["success"]), (status, &json!(false)), "{}", answer.json());
        assert!(answer.json()["error"]["message"].as_str().is_some_and(|text| !text.is_empty()));
    }
    for (body, status) in [("{\"model\": \"x\", \"frames\": [", 400), ("[]", 400), ("", 400)] {
        let answer = ask(to, "POST", "/v1/video/init", &[("Content-Type", "application/json")], body.as_bytes());
        assert_eq!(answer.status, status, "{body}");
    }
    let wrong = post(to, "/v1/video/init", &json!({"model": "yolo", "frames": [frame(0)]}));
    assert_eq!((wrong.status, &wrong.json()["error"]["code"]), (404, &json!("MODEL_NOT_FOUND")));
    assert_eq!(std::fs::read_dir(&server.app.videos.parts).unwrap().count(), 0);

    let session = begun(to, 2);
    for (member, value, status) in [
        ("/session_id", json!("none"), 404),
        ("/frame_index", json!(2), 422),
        ("/frame_index", json!(-1), 400),
        ("/point_labels", json!([1, 1]), 422),
        ("/points", json!([[0.5]]), 400),
        ("/points", json!(vec![[0.5, 0.5]; 65]), 422),
        ("/params/epsilon_factor", json!(2), 422),
    ] {
        let mut request = prompt(&session, 0, &[[0.5, 0.5]]);
        *request.pointer_mut(member).unwrap() = value;
        let answer = post(to, "/v1/video/prompt", &request);
        assert_eq!(answer.status, status, "{member}: {}", answer.json());
    }
    let text = json!({"session_id": session, "model": MODEL_ID, "frame_index": 0, "text_prompt": "a cat"});
    assert_eq!(post(to, "/v1/video/prompt", &text).status, 422);
    for body in [
        json!({"session_id": "none", "model": MODEL_ID}),
        json!({"session_id": session, "model": MODEL_ID}),
        json!({"session_id": session, "model": MODEL_ID, "start_frame": 1, "end_frame": 0}),
        json!({"session_id": session, "model": MODEL_ID, "start_frame": 9}),
    ] {
        let events = propagated(to, &body);
        assert_eq!((events.len(), &events[0]["type"]), (1, &json!("error")), "{body}");
        assert!(events[0]["message"].as_str().is_some_and(|text| !text.is_empty()));
    }
}

#[test]
fn sessions_that_clients_leave_do_not_pile_up() {
    let options = on();
    let mut server = Server::new(&options);
    let sessions: Vec<String> = (0..10).map(|_| begun(server.to, 1)).collect();
    let status =
        |server: &Server, session: &str| post(server.to, "/v1/video/prompt", &prompt(session, 0, &[[0.5, 0.5]])).status;
    assert_eq!([&sessions[1], &sessions[2]].map(|session| status(&server, session)), [404, 200]);
    let videos = || std::fs::read_dir(options.data.join("videos")).unwrap().count();
    assert_eq!(videos(), 8);
    server.end();
    // The next start has none of them.
    let server = Server::new(&options);
    assert_eq!((videos(), server.app.sessions.list().len()), (0, 0));
    assert_eq!(std::fs::read_dir(options.data.join("sessions")).unwrap().count(), 0);
    assert_eq!(status(&server, &sessions[2]), 404);
}
