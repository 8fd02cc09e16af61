//! The interface of Meta's video demo, beside the library. Video files need ffmpeg.

mod common;

use common::*;
use libtest_mimic::{Arguments, Trial};
use sam2::rle::Rle;
use sam2::{Direction, FrameMasks, Frames, PointOptions, Prompt, Size, VideoPredictor, VideoPredictorOptions, picture};
use sam2_server::compat::meta::graphql::{Asked, Document};
use sam2_server::lane::Lane;
use sam2_server::options::Options;
use sam2_server::schedule::Class;
use serde_json::{Value, json};
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const START: &str = "mutation Start($input: StartSessionInput!) { startSession(input: $input) { sessionId } }";
const CLOSE: &str = "mutation Close($input: CloseSessionInput!) { closeSession(input: $input) { success } }";
const CLEAR_VIDEO: &str =
    "mutation Clear($input: ClearPointsInVideoInput!) { clearPointsInVideo(input: $input) { success } }";
const CANCEL: &str =
    "mutation Cancel($input: CancelPropagateInVideoInput!) { cancelPropagateInVideo(input: $input) { success } }";
const ADD: &str = "mutation Add($input: AddPointsInput!) { addPoints(input: $input) {
    frameIndex rleMaskList { objectId rleMask { counts size } } } }";
const CLEAR_FRAME: &str = "mutation Clear($input: ClearPointsInFrameInput!) { clearPointsInFrame(input: $input) {
    frameIndex rleMaskList { objectId rleMask { counts size } } } }";
const REMOVE: &str = "mutation Remove($input: RemoveObjectInput!) { removeObject(input: $input) {
    frameIndex rleMaskList { objectId rleMask { counts size } } } }";
const UPLOAD: &str = "mutation Upload($file: Upload!) { uploadVideo(file: $file) {
    id height width url path posterPath posterUrl } }";
const DEFAULT: &str = "query Default { defaultVideo { path posterUrl url height width id } }";
const GALLERY: &str = "query Gallery { videos { edges { node { id path posterPath url posterUrl height width } } } }";
const CHANGE: &str =
    "query Change { videos { edges { node { id ...V } } pageInfo { hasNextPage } } } fragment V on Video { path }";

/// The answer to a document.
fn graphql(to: SocketAddr, query: &str, variables: &Value) -> Value {
    let answer = post(to, "/graphql", &json!({"query": query, "variables": variables}));
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

/// The value of the only field of a document with an input.
fn call(to: SocketAddr, query: &str, input: &Value) -> Value {
    let answer = graphql(to, query, &json!({"input": input}));
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"].as_object().unwrap().values().next().unwrap().clone()
}

/// The message of the error of a document.
fn fault(answer: &Value) -> String {
    assert!(answer["data"].is_null(), "{answer}");
    answer["errors"][0]["message"].as_str().unwrap_or_else(|| panic!("{answer}")).into()
}

/// A clip in H.264, which browsers play.
fn playable(folder: &Path) -> PathBuf {
    let file = folder.join("clip.mp4");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-loglevel", "error", "-nostdin", "-framerate", "12", "-i", &format!("{FRAMES}/%05d.jpg")]);
    let codec =
        ["-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2", "-frames:v", "14", "-c:v", "libx264", "-pix_fmt", "yuv420p"];
    assert!(ffmpeg.args(codec).arg("-y").arg(&file).status().unwrap().success());
    file
}

/// Sends a form as the page does. `more` is added to the variables.
fn upload_with(to: SocketAddr, query: &str, more: &Value, bytes: &[u8]) -> Answer {
    let mut operations = json!({"query": query, "variables": {"file": {}}});
    for (name, value) in more.as_object().unwrap() {
        operations["variables"][name] = value.clone();
    }
    let part = |name: &str, text: &str| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n").into_bytes()
    };
    let head = b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"my clip.mp4\"\r\n\r\n";
    let map = part("map", r#"{"file":["variables.file"]}"#);
    let form = [&part("operations", &operations.to_string())[..], &map, head, bytes, b"\r\n--x--\r\n"].concat();
    ask(to, "POST", "/graphql", &[("Content-Type", "multipart/form-data; boundary=x")], &form)
}

fn upload(to: SocketAddr, file: &Path) -> Value {
    let answer = upload_with(to, UPLOAD, &json!({}), &std::fs::read(file).unwrap()).json();
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"]["uploadVideo"].clone()
}

/// Begins a session of a path.
fn begin(to: SocketAddr, path: &Value) -> String {
    call(to, START, &json!({"path": path}))["sessionId"].as_str().unwrap().into()
}

fn add(to: SocketAddr, session: &str, frame: usize, object: i64, points: &[[f32; 2]], labels: &[i32]) -> Value {
    let input = json!({
        "sessionId": session, "frameIndex": frame, "objectId": object, "labels": labels, "points": points,
        "clearOldPoints": true,
    });
    call(to, ADD, &input)
}

/// Object and run lengths of the masks of all objects.
type Masks = Vec<(i64, String)>;

fn of_json(frame: &Value) -> (u64, Masks) {
    let mask = |mask: &Value| -> (i64, String) {
        (mask["objectId"].as_i64().unwrap(), mask["rleMask"]["counts"].as_str().unwrap().into())
    };
    (frame["frameIndex"].as_u64().unwrap(), frame["rleMaskList"].as_array().unwrap().iter().map(mask).collect())
}

/// As the reference: a pixel is on an object if its logit is above 0, and every object has a mask.
fn of_library(found: &FrameMasks, predictor: &VideoPredictor) -> (u64, Masks) {
    let size = predictor.video_size();
    let mask = |i: usize| -> String {
        let logits = &found.masks[i * size.pixels()..][..size.pixels()];
        let mask: Vec<u8> = logits.iter().map(|&logit| u8::from(logit > 0.0)).collect();
        Rle::encode(&mask, size).unwrap().to_coco().unwrap()
    };
    (found.frame_idx as u64, (0..found.obj_ids.len()).map(|i| (found.obj_ids[i], mask(i))).collect())
}

/// A library's predictor for a stored video, as the reference has it.
fn library(server: &Server) -> VideoPredictor {
    let file = server.app.videos.list()[0].file.clone();
    MODEL.video_predictor(Frames::video(file).unwrap(), VideoPredictorOptions::default()).unwrap()
}

/// The parts of a stream: none for an empty one. Every byte is looked at.
fn parts(mut body: &[u8]) -> Vec<Option<Value>> {
    let mut parts = Vec::new();
    while !body.is_empty() {
        let end = body.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        let head = std::str::from_utf8(&body[..end]).unwrap();
        if head == "--frame\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n" {
            parts.push(None);
            body = &body[end..];
            continue;
        }
        let start = "--frame\r\nContent-Type: application/json; charset=utf-8\r\nFrame-Current: -1\r\n\
                     Frame-Total: -1\r\nMask-Type: RLE[]\r\nContent-Length: ";
        let length: usize = head.strip_prefix(start).unwrap_or_else(|| panic!("{head}")).trim().parse().unwrap();
        parts.push(Some(serde_json::from_slice(&body[end..end + length]).unwrap()));
        body = &body[end + length..];
    }
    parts
}

/// Frames and masks of the parts of a stream.
fn tracked(parts: &[Option<Value>]) -> Vec<(u64, Masks)> {
    let mask = |found: &Value| -> (i64, String) {
        (found["object_id"].as_i64().unwrap(), found["mask"]["counts"].as_str().unwrap().into())
    };
    let frame = |part: &Value| {
        (part["frame_index"].as_u64().unwrap(), part["results"].as_array().unwrap().iter().map(mask).collect())
    };
    parts.iter().flatten().map(frame).collect()
}

fn propagate(to: SocketAddr, session: &str, start: usize) -> Vec<(u64, Masks)> {
    let answer = post(to, "/propagate_in_video", &json!({"session_id": session, "start_frame_index": start}));
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.header("content-type"), Some("multipart/x-savi-stream; boundary=frame"));
    tracked(&parts(&answer.body))
}

fn by_library(predictor: &mut VideoPredictor, start: usize) -> Vec<(u64, Masks)> {
    let mut found = Vec::new();
    for direction in [Direction::Forward, Direction::Backward] {
        let each = |masks| {
            found.push(masks);
            true
        };
        predictor.propagate_in_video(Some(start), None, direction, each).unwrap();
    }
    found.iter().map(|masks| of_library(masks, predictor)).collect()
}

fn masks_are_the_librarys() {
    let server = Server::new(&options());
    let to = server.to;
    let video = upload(to, &playable(&folder()));
    let session = begin(to, &video["path"]);
    let mut predictor = library(&server);
    let options = PointOptions { normalize_coords: false, ..Default::default() };
    let prompt = |predictor: &mut VideoPredictor, frame, object, points: &[[f32; 2]], labels: &[i32]| {
        let prompt = points.iter().zip(labels).fold(Prompt::new(), |p, (&[x, y], &label)| p.point(x, y, label));
        let found = predictor.add_new_points_or_box(frame, object, &prompt, options).unwrap();
        of_library(&found, predictor)
    };
    let both = |predictor: &mut VideoPredictor, frame, object, points: &[[f32; 2]], labels: &[i32]| {
        let got = of_json(&add(to, &session, frame, object, points, labels));
        assert_eq!(got, prompt(predictor, frame, object, points, labels));
        got
    };
    both(&mut predictor, 3, 0, &[[0.5, 0.5]], &[1]);
    both(&mut predictor, 3, 1, &[[0.2, 0.3], [0.8, 0.8]], &[1, 0]);
    // An object has an empty mask on a frame without its output.
    let other = both(&mut predictor, 5, 1, &[[0.31, 0.4]], &[1]);
    assert_eq!(other.1.len(), 2);
    let first = propagate(to, &session, 3);
    assert_eq!(first, by_library(&mut predictor, 3));
    let order: Vec<u64> = first.iter().map(|(frame, _)| *frame).collect();
    let last = predictor.num_frames() as u64 - 1;
    assert_eq!(order, (3..=last).chain((0..=3).rev()).collect::<Vec<_>>());
    // Nothing is tracked backwards from the first frame.
    assert_eq!(propagate(to, &session, 0), by_library(&mut predictor, 0));

    // A correction is lost when tracking reaches its frame again, as in the reference.
    both(&mut predictor, 6, 0, &[[0.5, 0.45], [0.1, 0.1]], &[1, 0]);
    assert_eq!(propagate(to, &session, 3), by_library(&mut predictor, 3));

    // Points are cleared, and the object stays, also without points.
    let place = |frame: usize, object: i64| json!({"sessionId": session, "frameIndex": frame, "objectId": object});
    let clear = |predictor: &mut VideoPredictor, frame, object| {
        let cleared = of_json(&call(to, CLEAR_FRAME, &place(frame, object)));
        let found = predictor.clear_all_prompts_in_frame(frame, object).unwrap();
        assert_eq!(cleared, of_library(&found, predictor));
        cleared.1.len()
    };
    assert_eq!(clear(&mut predictor, 5, 1), 2);
    assert_eq!(propagate(to, &session, 3), by_library(&mut predictor, 3));
    both(&mut predictor, 4, 2, &[[0.6, 0.6]], &[1]);
    assert_eq!(clear(&mut predictor, 4, 2), 3);
    // An object without points is left out, where the library refuses.
    assert!(predictor.propagate_in_video(None, None, Direction::Forward, |_| true).is_err());
    predictor.remove_object(2).unwrap();
    assert_eq!(propagate(to, &session, 3), by_library(&mut predictor, 3));
    both(&mut predictor, 4, 2, &[[0.6, 0.6]], &[1]);
    assert_eq!(clear(&mut predictor, 4, 2), 3);

    // Objects are removed, also one that never was.
    for (object, is_shown) in [(1, true), (2, false)] {
        let removed = call(to, REMOVE, &json!({"sessionId": session, "objectId": object}));
        let got: Vec<_> = removed.as_array().unwrap().iter().map(of_json).collect();
        let found = predictor.remove_object(object).unwrap();
        assert_eq!(got, found.iter().map(|f| of_library(f, &predictor)).collect::<Vec<_>>());
        assert_eq!(!got.is_empty(), is_shown);
    }
    assert_eq!(call(to, REMOVE, &json!({"sessionId": session, "objectId": 77})), json!([]));
    assert_eq!(propagate(to, &session, 2), by_library(&mut predictor, 2));

    // Everything is cleared.
    assert_eq!(call(to, CLEAR_VIDEO, &json!({"sessionId": session})), json!({"success": true}));
    predictor.reset_state();
    both(&mut predictor, 1, 0, &[[0.4, 0.4]], &[1]);
    assert_eq!(propagate(to, &session, 1), by_library(&mut predictor, 1));
    assert_eq!(call(to, CLOSE, &json!({"sessionId": session})), json!({"success": true}));
    assert_eq!(call(to, CLOSE, &json!({"sessionId": session})), json!({"success": false}));
    assert!(fault(&graphql(to, CANCEL, &json!({"input": {"sessionId": session}}))).contains("no such session"));
}

fn uploads_and_files() {
    let server = Server::new(&options());
    let to = server.to;
    let bytes = std::fs::read(playable(&folder())).unwrap();
    assert!(fault(&graphql(to, DEFAULT, &json!({}))).contains("no videos"));
    let empty = json!({"data": {"videos": {"edges": []}}});
    assert_eq!(graphql(to, GALLERY, &json!({})), empty);
    // A video that browsers play is kept as it is.
    let video = upload_with(to, UPLOAD, &json!({}), &bytes).json()["data"]["uploadVideo"].clone();
    let id = server.app.videos.list()[0].id.clone();
    let path = format!("uploads/{id}.mp4");
    assert_eq!(video["path"], json!(path));
    assert_eq!(video["url"], json!(format!("http://{to}/{path}")));
    assert_eq!(video["posterUrl"], json!(format!("http://{to}/posters/{id}.jpg")));
    assert_eq!(video["posterPath"], json!(format!("posters/{id}.jpg")));
    assert_eq!(server.app.videos.list()[0].name.as_deref(), Some("my clip.mp4"));
    let whole = ask(to, "GET", &format!("/{path}"), &[], b"");
    assert_eq!((whole.status, whole.header("content-type"), &whole.body), (200, Some("video/mp4"), &bytes));
    let part = ask(to, "GET", &format!("/{path}"), &[("Range", "bytes=10-19")], b"");
    assert_eq!((part.status, &part.body[..], part.header("content-type")), (206, &bytes[10..20], Some("video/mp4")));
    let poster = ask(to, "GET", &format!("/posters/{id}.jpg"), &[], b"");
    let picture = picture::decode("poster", &poster.body).unwrap();
    assert_eq!((json!(picture.width), json!(picture.height)), (video["width"].clone(), video["height"].clone()));
    for query in [DEFAULT, GALLERY, CHANGE] {
        let answer = graphql(to, query, &json!({}));
        assert!(answer.to_string().contains(&path), "{answer}");
    }
    assert_eq!(graphql(to, CHANGE, &json!({}))["data"]["videos"]["pageInfo"], json!({"hasNextPage": false}));
    // A page of another origin is told of it, if the origin is this server behind a proxy.
    let asked = json!({"query": "{ defaultVideo { url } }"}).to_string();
    let headers = [("Content-Type", "application/json"), ("Host", "localhost"), ("Origin", "https://localhost")];
    let answer = ask(to, "POST", "/graphql", &headers, asked.as_bytes()).json();
    assert_eq!(answer["data"]["defaultVideo"]["url"], json!(format!("https://localhost/{path}")));

    // Another codec and odd sides: written anew, with the same frames.
    let odd = folder().join("odd.avi");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-loglevel", "error", "-nostdin", "-framerate", "12", "-i", &format!("{FRAMES}/%05d.jpg")]);
    ffmpeg.args(["-vf", "crop=iw-1:ih-1,scale=iw/2*2-1:ih/2*2-1", "-c:v", "mjpeg", "-q:v", "2", "-y"]).arg(&odd);
    assert!(ffmpeg.status().unwrap().success());
    let original = Frames::video(&odd).unwrap();
    let video = upload(to, &odd);
    let list = server.app.videos.list();
    let added = list.iter().find(|v| video["path"].as_str().unwrap().contains(&v.id)).unwrap();
    assert_eq!(added.frames.len(), original.len());
    let (shown, from) = (added.frames.read(4).unwrap(), original.read(4).unwrap());
    assert_eq!((from.width % 2, from.height % 2), (1, 1));
    assert_eq!((shown.width, shown.height), (from.width + 1, from.height + 1));
    assert_eq!((json!(shown.width), json!(shown.height)), (video["width"].clone(), video["height"].clone()));
    let mut far = 0;
    for y in 0..from.height {
        for x in 0..from.width * 3 {
            far += shown.pixels[y * shown.width * 3 + x].abs_diff(from.pixels[y * from.width * 3 + x]) as usize;
        }
    }
    assert!(far < 4 * from.pixels.len(), "{}", far as f64 / from.pixels.len() as f64);
    let kind = Command::new("ffmpeg").arg("-i").arg(&added.file).output().unwrap();
    let kind = String::from_utf8_lossy(&kind.stderr).into_owned();
    assert!(kind.contains("h264") && kind.contains("mov,mp4") && kind.contains("12 fps"), "{kind}");

    // A part of a video.
    let query = "mutation U($file: Upload!, $start: Float, $duration: Float) {
        uploadVideo(file: $file, startTimeSec: $start, durationTimeSec: $duration) { path } }";
    let answer = upload_with(to, query, &json!({"start": 0.25, "duration": 0.5}), &bytes).json();
    let path = answer["data"]["uploadVideo"]["path"].as_str().unwrap_or_else(|| panic!("{answer}")).to_string();
    let list = server.app.videos.list();
    assert_eq!(list.iter().find(|v| path.contains(&v.id)).unwrap().frames.len(), 6);

    // Forms and files that have no meaning. Nothing is left of them.
    let data = server.app.videos.parts.parent().unwrap().to_path_buf();
    assert!(fault(&upload_with(to, query, &json!({"start": 99}), &bytes).json()).contains("no frames"));
    for wrong in [&b"no video"[..], b"ffconcat version 1.0\nfile /etc/passwd\n", &bytes[..bytes.len() / 2]] {
        fault(&upload_with(to, UPLOAD, &json!({}), wrong).json());
    }
    fault(&graphql(to, UPLOAD, &json!({"file": "file of the form"})));
    fault(&graphql(to, UPLOAD, &json!({"file": null})));
    let form = |text: &str| {
        let headers = [("Content-Type", "multipart/form-data; boundary=x")];
        ask(to, "POST", "/graphql", &headers, text.replace('\n', "\r\n").as_bytes()).status
    };
    let name = |name: &str, text: &str| format!("--x\nContent-Disposition: form-data; name=\"{name}\"\n\n{text}\n");
    let operations = name("operations", r#"{"query": "{ defaultVideo { id } }"}"#);
    for text in [
        "--x--\n".to_string(),
        "nothing".into(),
        name("file", "abc") + "--x--\n",
        operations.clone() + &name("file", "abc") + "--x--\n",
        operations.clone() + &name("map", "[1]") + "--x--\n",
        operations.clone() + &name("map", r#"{"a": ["b"]}"#) + &name("a", "abc") + "--x--\n",
        operations.clone() + &name("map", &"x".repeat(1 << 21)) + "--x--\n",
        (0..20).map(|_| operations.clone()).collect::<String>() + "--x--\n",
    ] {
        let status = form(&text);
        assert!([400, 413].contains(&status), "{status} {}", &text[..text.len().min(200)]);
    }
    assert_eq!(form(&(operations + "--x--\n")), 200);
    assert_eq!(std::fs::read_dir(data.join("parts")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(data.join("videos")).unwrap().count(), 3);
}

fn paths_find_our_files_only() {
    let server = Server::new(&options());
    let to = server.to;
    let video = upload(to, &playable(&folder()));
    let path = video["path"].as_str().unwrap();
    let id = path.strip_prefix("uploads/").unwrap().strip_suffix(".mp4").unwrap();
    assert_eq!(ask(to, "GET", &format!("/gallery/{id}.mp4"), &[], b"").status, 200);
    for wrong in [
        "",
        ".",
        "..",
        "../",
        "../../etc/passwd",
        "/etc/passwd",
        "etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "..%5c..%5cetc%5cpasswd",
        "..\\..\\etc\\passwd",
        "....//....//etc/passwd",
        "%252e%252e%252fetc%252fpasswd",
        "..%c0%af..%c0%afetc%c0%afpasswd",
        "file:///etc/passwd",
        "C:\\Windows\\win.ini",
        "\\\\server\\share",
        "x.mp4",
        "video.json",
        &format!("{id}/video"),
        &format!("{id}/video.json"),
        &format!("../videos/{id}/video"),
        &format!("..%2fvideos%2f{id}%2fvideo"),
        &format!("{id}.mp4%00"),
        &format!("{id}%00.mp4"),
        &format!("{id}.mp4/"),
        &format!("{id}.mp4/../{id}.mp4"),
        &format!("./{id}.mp4"),
        &format!("{id}.MP4"),
        &format!("{id}.mp4.mp4"),
        &format!("{id}.jpg.mp4"),
        &format!("{}.mp4", id.to_uppercase()),
        &format!("{}.mp4", "a".repeat(4000)),
    ] {
        for folder in ["uploads", "gallery", "posters"] {
            let answer = ask(to, "GET", &format!("/{folder}/{}", wrong.replace('\\', "%5c")), &[], b"");
            assert!([400, 404].contains(&answer.status), "{folder}/{wrong}: {}", answer.status);
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(!body.contains("root:") && !body.contains("ftyp"), "{folder}/{wrong}");
        }
        let decoded = wrong.replace("%00", "\0").replace("%2e", ".").replace("%2f", "/");
        for path in [wrong.to_string(), format!("uploads/{wrong}"), format!("uploads/{decoded}"), decoded] {
            let message = fault(&graphql(to, START, &json!({"input": {"path": path}})));
            assert_eq!(message, "no such video", "{path}");
        }
    }
    for path in [json!(null), json!(1), json!([path]), json!({"x": path})] {
        fault(&graphql(to, START, &json!({"input": {"path": path}})));
    }
    begin(to, &video["path"]);
}

/// A server with a session that has an object, and the session.
fn with_an_object() -> (Server, String) {
    let server = Server::new(&options());
    let video = upload(server.to, &playable(&folder()));
    let session = begin(server.to, &video["path"]);
    add(server.to, &session, 2, 0, &[[0.5, 0.5]], &[1]);
    (server, session)
}

/// Keeps the lane from work until the value is dropped.
fn hold(server: &Server) -> std::sync::mpsc::Sender<()> {
    let (open, gate) = std::sync::mpsc::channel::<()>();
    server.app.lanes.submit(Class::Interactive, 1, move |_: &mut Lane| _ = gate.recv()).unwrap();
    open
}

/// Sends a request for a propagation, and returns its body later.
fn in_background(to: SocketAddr, session: &str, start: usize) -> std::thread::JoinHandle<Answer> {
    let asked = json!({"session_id": session, "start_frame_index": start});
    std::thread::spawn(move || post(to, "/propagate_in_video", &asked))
}

fn streams_tell_that_they_live_and_are_cancelled() {
    let (server, session) = with_an_object();
    let to = server.to;
    let of_session = json!({"sessionId": session});
    let tracks = || server.app.sessions.list()[0].is_tracking();
    let count = server.app.videos.list()[0].frames.len();

    // While nothing is computed, empty parts come. A cancellation ends the stream after its frame.
    let gate = hold(&server);
    let stream = in_background(to, &session, 2);
    wait_until("it tracks", tracks);
    std::thread::sleep(Duration::from_millis(450));
    assert_eq!(call(to, CANCEL, &of_session), json!({"success": true}));
    drop(gate);
    let found = parts(&stream.join().unwrap().body);
    let empty = found.iter().take_while(|part| part.is_none()).count();
    assert!((2..=20).contains(&empty), "{empty} empty parts");
    assert_eq!(tracked(&found).len(), 1);

    // A cancellation that comes before the propagation begins is not lost.
    let turn = {
        let session = server.app.sessions.list()[0].clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(session.turn(false)).unwrap()
    };
    let stream = in_background(to, &session, 2);
    for _ in 0..20 {
        call(to, CANCEL, &of_session);
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(turn);
    assert_eq!(tracked(&parts(&stream.join().unwrap().body)).len(), 1);

    // One without a propagation ends no later one.
    wait_until("it has ended", || !tracks());
    call(to, CANCEL, &of_session);
    assert_eq!(propagate(to, &session, 0).len(), count);

    // A click ends a propagation, and so does another propagation.
    let gate = hold(&server);
    let stream = in_background(to, &session, 0);
    wait_until("it tracks", tracks);
    let second = in_background(to, &session, 0);
    wait_until("it is cancelled", || server.app.sessions.list()[0].is_cancelled());
    drop(gate);
    assert_eq!(tracked(&parts(&stream.join().unwrap().body)).len(), 1);
    assert_eq!(tracked(&parts(&second.join().unwrap().body)).len(), count);

    // A client that goes away ends its propagation, and holds nothing.
    for _ in 0..5 {
        let body = json!({"session_id": session, "start_frame_index": 0});
        let mut stream = open(to, "/propagate_in_video", &body);
        stream.read_exact(&mut [0; 100]).unwrap();
        drop(stream);
        wait_until("it has ended", || !tracks());
    }
    // One that does not read stops its own session alone.
    let unread = open(to, "/propagate_in_video", &json!({"session_id": session}));
    let other = begin(to, &json!(format!("uploads/{}.mp4", server.app.videos.list()[0].id)));
    add(to, &other, 0, 0, &[[0.5, 0.5]], &[1]);
    assert_eq!(propagate(to, &other, 0).len(), count);
    drop(unread);
    for (asked, status) in [
        (json!({"session_id": "x"}), 404),
        (json!({}), 400),
        (json!({"session_id": session, "start_frame_index": 9999}), 422),
        (json!({"session_id": session, "start_frame_index": -1}), 400),
        (json!({"session_id": session, "start_frame_index": "../"}), 400),
    ] {
        assert_eq!(post(to, "/propagate_in_video", &asked).status, status, "{asked}");
    }
    // Nothing to track: a stream without parts. An object that is not known has an empty mask.
    call(to, CLEAR_VIDEO, &of_session);
    let empty = post(to, "/propagate_in_video", &json!({"session_id": session}));
    assert_eq!((empty.status, empty.body.len()), (200, 0));
    assert!(empty.header("content-type").unwrap().starts_with("multipart/x-savi-stream; boundary="));
    let input = json!({"sessionId": session, "frameIndex": 0, "objectId": 5});
    let cleared = call(to, CLEAR_FRAME, &input);
    assert_eq!((&cleared["frameIndex"], &cleared["rleMaskList"][0]["objectId"]), (&json!(0), &json!(5)));
    let mask = &cleared["rleMaskList"][0]["rleMask"];
    assert_eq!(mask["counts"], Rle::encode(&[0; 480 * 360], Size::new(480, 360)).unwrap().to_coco().unwrap());
}

fn starting_over_leaves_few_sessions() {
    let server = Server::new(&options());
    let to = server.to;
    let path = upload(to, &playable(&folder()))["path"].clone();
    // Sessions of the native interface are not counted.
    let id = server.app.videos.list()[0].id.clone();
    assert_eq!(post(to, "/api/v1/sessions", &json!({"video": id})).status, 201);
    let first = begin(to, &path);
    let mut last = String::new();
    for i in 0..20 {
        last = begin(to, &path);
        // A session that is used is not the oldest one.
        add(to, &first, i % 4, 0, &[[0.5, 0.5]], &[1]);
    }
    let left: Vec<String> = server.app.sessions.list().iter().map(|session| session.id.clone()).collect();
    assert_eq!(left.len(), 9);
    assert!(left.contains(&first) && left.contains(&last));
}

/// Messages of documents that have no meaning.
fn documents_without_meaning() {
    let server = Server::new(&options());
    let to = server.to;
    let begun = Instant::now();
    let deep = |n: usize| format!("{}{}", "{ videos ".repeat(n), "}".repeat(n));
    let bomb = (0..40).fold("{ videos { ...F0 } } ".to_string(), |text, i| {
        text + &format!("fragment F{i} on VideoConnection {{ ...F{j} ...F{j} }} ", j = i + 1)
    }) + "fragment F40 on VideoConnection { edges { cursor } }";
    for (query, says) in [
        ("", "parse"),
        ("{", "parse"),
        ("}", "parse"),
        ("{ }", "parse"),
        ("\0", "parse"),
        ("{ nothing }", "no field"),
        ("{ videos }", "needs fields"),
        ("{ __schema { types { name } } }", "no field"),
        ("{ __type(name: \"Video\") { name } }", "no field"),
        ("{ defaultVideo { id { x } } }", "has no fields"),
        ("{ defaultVideo { videos } }", "no field"),
        ("{ videos(other: 1) { __typename } }", "no argument"),
        ("{ videos(first: 1, first: 2) { __typename } }", "two arguments"),
        ("{ videos(first: ENUM) { __typename } }", "no known type"),
        ("{ videos(first: $n) { __typename } }", "not declared"),
        ("query($n: Int!) { videos(first: $n) { __typename } }", "has no value"),
        ("{ videos(first: -1) { __typename } }", "invalid"),
        ("{ videos(first: 1e500) { __typename } }", "too large"),
        ("{ videos(first: 99999999999999999999) { __typename } }", "parse"),
        ("{ videos(after: \"x\") { __typename } }", "cursor"),
        ("{ a: videos(first: 1) { __typename } a: videos { __typename } }", "differ"),
        ("{ ...F }", "no fragment"),
        ("{ ...F } fragment F on Query { ...F }", "contains itself"),
        ("{ ...F } fragment F on Query { ...G } fragment G on Query { ...F }", "contains itself"),
        ("{ ...F } fragment F on Video { id }", "where the type is"),
        ("{ ...F } fragment F on Query { __typename } fragment F on Query { __typename }", "two fragments"),
        ("{ ... on Mutation { __typename } }", "where the type is"),
        ("{ videos @defer { __typename } }", "unknown directive"),
        ("{ videos @include(if: 1) { __typename } }", "needs \"if\""),
        ("subscription { x }", "no subscriptions"),
        ("query A { __typename } query B { __typename }", "operationName"),
        ("mutation { startSession { sessionId } }", "missing field"),
        ("mutation { startSession(input: {path: \"a\", x: 1}) { sessionId } }", "unknown field"),
        // White space of several bytes at the indent of a block string.
        ("{ videos(after: \"\"\"\n a\n\u{3000}\n b\"\"\") { __typename } }", "block strings"),
        (&deep(10), "no field"),
        (&deep(2000), "parse"),
        (&"{".repeat(30_000), "parse"),
        (&"[".repeat(30_000), "parse"),
        (&format!("{{ videos(first: {}", "[".repeat(30_000)), "parse"),
        (&format!("query($a: {}", "[".repeat(30_000)), "parse"),
        (&"a".repeat(40_000), "bytes"),
        (&format!("{{ {} }}", "__typename ".repeat(600)), "fields"),
        (&format!("{{ {} }}", (0..17).map(|i| format!("a{i}: __typename ")).collect::<String>()), "at its root"),
        (&bomb, "fields"),
    ] {
        let message = fault(&graphql(to, query, &json!({})));
        assert!(message.contains(says), "{says}: {message}");
    }
    // A large variable that is named often.
    let query = format!("query($v: String) {{ videos(first: [{}]) {{ __typename }} }}", "$v ".repeat(5000));
    assert!(fault(&graphql(to, &query, &json!({"v": "x".repeat(1 << 19)}))).contains("too large"));
    // Wrong inputs of every kind.
    for input in [
        json!({"sessionId": "x", "frameIndex": 0, "objectId": 0, "labels": [1], "points": [], "clearOldPoints": true}),
        json!({"sessionId": "x", "frameIndex": -1, "objectId": 0, "labels": [], "points": [], "clearOldPoints": true}),
        json!({"sessionId": "x", "frameIndex": 0, "objectId": 0, "labels": [1], "points": [[1, 2, 3]],
            "clearOldPoints": true}),
        json!({"sessionId": "x", "frameIndex": 0, "objectId": 0, "labels": vec![1; 65], "points": vec![[0, 0]; 65],
            "clearOldPoints": true}),
        json!({"sessionId": 5}),
        json!([]),
        json!(null),
    ] {
        fault(&graphql(to, ADD, &json!({"input": input})));
    }
    for body in [json!([]), json!("x"), json!({}), json!({"query": 1}), json!({"query": "", "variables": []})] {
        assert_eq!(post(to, "/graphql", &body).status, 400, "{body}");
    }
    assert_eq!(post(to, "/graphql", &json!({"query": "x".repeat(1 << 20)})).status, 413);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());

    // What has a meaning.
    let query = "query Q($yes: Boolean = true, $n: Int) {
        kind: __typename ...F @skip(if: false) videos(first: $n) @include(if: $yes) { pageInfo { hasNextPage } }
        nothing: videos @skip(if: $yes) { __typename } } fragment F on Query { videos(first: $n) { ... { edges { cursor } } t: __typename } }";
    let page = json!({"edges": [], "t": "VideoConnection", "pageInfo": {"hasNextPage": false}});
    assert_eq!(graphql(to, query, &json!({"n": 5})), json!({"data": {"kind": "Query", "videos": page}}));
    let two = json!({"query": "query A { __typename } query B { b: __typename }", "operationName": "B", "id": null});
    assert_eq!(post(to, "/graphql", &two).json(), json!({"data": {"b": "Query"}}));
    let failed = graphql(to, "mutation { x: startSession(input: {path: \"a\"}) { sessionId } }", &json!({}));
    let error = json!({"message": "no such video", "path": ["x"], "locations": [{"line": 1, "column": 12}]});
    assert_eq!(failed, json!({"data": null, "errors": [error]}));
}

/// Documents that are cut or changed somewhere give an error or are read, and nothing else.
fn damaged_documents() {
    let all = [START, CLOSE, CLEAR_VIDEO, CANCEL, ADD, CLEAR_FRAME, REMOVE, UPLOAD, DEFAULT, GALLERY, CHANGE];
    let input = json!({"input": {"path": "a", "points": [[1.5, 2]]}, "file": "x"});
    let read = |query: String| {
        let asked = Asked { query, variables: input.as_object().cloned(), operation: None };
        Document::new(&asked).is_ok()
    };
    for query in all {
        assert!(read(query.into()), "{query}");
        for (at, c) in query.char_indices() {
            read(query[..at].into());
            for new in
                ["", "{", "}", "(", ")", "[", "$", "!", "@", "...", "\"", "\\", "-", "9", "\u{3000}", "\0", "#", "é"]
            {
                read(format!("{}{new}{}", &query[..at], &query[at + c.len_utf8()..]));
                read(format!("{}{new}{}", &query[..at], &query[at..]));
            }
        }
    }
}

fn who_may_ask() {
    let mut with_key: Options = options();
    with_key.guard.keys.push("secret".into());
    let server = Server::new(&with_key);
    let to = server.to;
    let healthy = ask(to, "GET", "/healthy", &[], b"");
    assert_eq!((healthy.status, &healthy.body[..]), (200, &b"OK"[..]));
    let body = json!({"query": "{ __typename }"}).to_string();
    let json = ("Content-Type", "application/json");
    let status =
        |method: &str, path: &str, headers: &[(&str, &str)]| ask(to, method, path, headers, body.as_bytes()).status;
    let key = ("X-Api-Key", "secret");
    assert_eq!(status("POST", "/graphql", &[json, key]), 200);
    for path in ["/graphql", "/propagate_in_video"] {
        assert_eq!(status("POST", path, &[json]), 401, "{path}");
        assert_eq!(status("POST", path, &[json, key, ("Host", "attacker.example")]), 403, "{path}");
        assert_eq!(status("POST", path, &[json, key, ("Origin", "http://attacker.example")]), 403, "{path}");
        assert_eq!(status("POST", path, &[json, key, ("Sec-Fetch-Site", "cross-site")]), 403, "{path}");
        // A form of another site could send this type.
        assert_eq!(status("POST", path, &[("Content-Type", "text/plain"), key]), 415, "{path}");
        assert_eq!(status("GET", path, &[key]), 405, "{path}");
        assert_eq!(status("GET", &format!("{path}?query={{__typename}}"), &[key]), 405, "{path}");
    }
    for path in ["/uploads/x.mp4", "/gallery/x.mp4", "/posters/x.jpg"] {
        assert_eq!(status("GET", path, &[]), 401, "{path}");
        assert_eq!(status("GET", path, &[key]), 404, "{path}");
        assert_eq!(status("GET", path, &[key, ("Host", "attacker.example")]), 403, "{path}");
        assert_eq!(status("POST", path, &[key]), 405, "{path}");
    }
    assert_eq!(status("GET", "/healthy", &[("Host", "attacker.example")]), 403);
}

fn main() {
    let ffmpeg = Command::new("ffmpeg").arg("-version").output().is_ok();
    let lacking = !ffmpeg && std::env::var_os("CI").is_none();
    let trial = |name: &str, test: fn(), needs: bool| {
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(needs && lacking)
    };
    let tests = vec![
        trial("masks_are_the_librarys", masks_are_the_librarys, true),
        trial("uploads_and_files", uploads_and_files, true),
        trial("paths_find_our_files_only", paths_find_our_files_only, true),
        trial("streams_tell_that_they_live", streams_tell_that_they_live_and_are_cancelled, true),
        trial("starting_over_leaves_few_sessions", starting_over_leaves_few_sessions, true),
        trial("documents_without_meaning", documents_without_meaning, false),
        trial("damaged_documents", damaged_documents, false),
        trial("who_may_ask", who_may_ask, false),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}
