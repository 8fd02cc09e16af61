//! Requests of clients of other servers, beside the library.

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::*;
use sam2::rle::Rle;
use sam2::{AutomaticMaskGeneratorOptions, Masks, PredictOptions, Prediction, Prompt, Size, picture};
use sam2_server::compat::brush;
use sam2_server::options::{Compat, Options};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

const IMAGE: &str = "samples/images/image1.png";
const SURE: &str = "samples/video2/frames/00001.jpg";

/// Options of a server that answers all clients.
fn all() -> Options {
    Options { compat: Compat::ALL.map(|(_, compat)| compat).to_vec(), ..options() }
}

/// The library's prediction on the image.
fn library(prompts: &[Prompt<'_>], multimask_output: bool, return_logits: bool) -> Prediction {
    let decoded = picture::decode("image", &demo(IMAGE)).unwrap();
    let mut predictor = MODEL.image_predictor(Default::default()).unwrap();
    predictor.set_image(&decoded.frame().unwrap()).unwrap();
    let options = PredictOptions { multimask_output, return_logits, ..Default::default() };
    predictor.predict(prompts, options).unwrap()
}

/// A mask of the library by its index.
fn mask(found: &Prediction, index: usize) -> &[u8] {
    let Masks::Binary(bytes) = &found.masks else { panic!("binary masks") };
    &bytes[index * found.size().pixels()..][..found.size().pixels()]
}

fn decoded(rle: &Value, size: Size) -> Vec<u8> {
    assert_eq!(rle["size"], json!([size.height, size.width]));
    Rle::from_coco(rle["counts"].as_str().unwrap(), size).unwrap().decode().unwrap()
}

fn base64() -> String {
    STANDARD.encode(demo(IMAGE))
}

fn data_uri() -> String {
    format!("data:image/png;base64,{}", base64())
}

/// A number as the engine has it. JSON has it with more digits than a float of 32 bits.
fn float(value: &Value) -> f32 {
    value.as_f64().unwrap() as f32
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(float).collect()
}

/// A form as a browser sends it.
fn form(to: SocketAddr, path: &str, parts: &[(&str, &[u8])]) -> Answer {
    let mut body = Vec::new();
    for (name, value) in parts {
        let file = if *name == "image" { "; filename=\"../a.png\"\r\nContent-Type: image/png" } else { "" };
        body.extend(format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").as_bytes());
        body.extend(*value);
        body.extend(b"\r\n");
    }
    body.extend(b"--x--\r\n");
    ask(to, "POST", path, &[("Content-Type", "multipart/form-data; boundary=x")], &body)
}

/// What a client sends wrongly, and the status of the answer, whose error `member` has.
fn refused(answer: &Answer, status: u16, member: &str) {
    assert_eq!(answer.status, status, "{}", answer.json());
    assert!(answer.json().pointer(member).and_then(Value::as_str).is_some_and(|text| !text.is_empty()));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[test]
fn clients_are_off_unless_they_are_asked_for() {
    let server = Server::new(&options());
    let status = |method: &str, path: &str| ask(server.to, method, path, &[], b"").status;
    for path in ["/segment-image", "/refine-segment", "/create-mask", "/save-project"] {
        assert_eq!((status("GET", path), status("POST", path)), (405, 400), "{path}");
    }
    for path in ["/setup", "/predict", "/webhook", "/sam2/segment_image", "/sam2/embed_image", "/v1/predict"] {
        assert_eq!(status("POST", path), 404, "{path}");
    }
    let none = Server::new(&Options { compat: Vec::new(), ..options() });
    assert_eq!(ask(none.to, "POST", "/segment-image", &[], b"").status, 404);
    // A client that is named twice is on once.
    drop(Server::new(&Options { compat: vec![Compat::ImageDemo, Compat::ImageDemo], ..options() }));
    let health = ask(server.to, "GET", "/health", &[], b"").json();
    assert_eq!((&health["status"], &health["model_class"]), (&json!("ok"), &json!("Sam2")));
}

#[test]
fn strangers_get_nothing() {
    let mut options = all();
    options.guard.keys.push("secret".into());
    let server = Server::new(&options);
    let posts = [
        "/segment-image",
        "/refine-segment",
        "/create-mask",
        "/save-project",
        "/setup",
        "/predict",
        "/webhook",
        "/validate",
        "/sam2/segment_image",
        "/sam2/embed_image",
        "/v1/predict",
    ];
    let gets = ["/versions", "/v1/models"];
    for (method, path) in posts.iter().map(|p| ("POST", p)).chain(gets.iter().map(|p| ("GET", p))) {
        let status =
            |headers: &[(&str, &str)]| ask(server.to, method, path, headers, br#"{"api_key": "secret"}"#).status;
        assert_eq!(status(&[]), 401, "{path}");
        assert_eq!(status(&[("Token", "secret"), ("Host", "attacker.example")]), 403, "{path}");
        let attack = [("Token", "secret"), ("Origin", "http://attacker.example")];
        assert_eq!(status(&attack), if method == "POST" { 403 } else { 200 }, "{path}");
        // user:secret
        for key in [("Token", "secret"), ("Authorization", "Basic dXNlcjpzZWNyZXQ=")] {
            assert!(![401, 403, 404, 405].contains(&status(&[key])), "{path}");
        }
        // JSON of another type might come from a form of another site.
        if method == "POST" && !path.contains('-') {
            assert_eq!(status(&[("Token", "secret"), ("Content-Type", "text/plain")]), 415, "{path}");
        }
    }
}

#[test]
fn image_demo_segments_an_image() {
    let options = all();
    let server = Server::new(&options);
    // Of the images of the demo, this one has objects of which the model is so sure.
    let bytes = demo(SURE);
    let answer = form(server.to, "/segment-image", &[("image", &bytes), ("model_size", b"tiny"), ("save", b"1")]);
    assert_eq!(answer.status, 200, "{}", answer.json());
    let found = answer.json();
    let wanted = AutomaticMaskGeneratorOptions {
        points_per_side: Some(32),
        pred_iou_thresh: 0.86,
        stability_score_thresh: 0.92,
        ..Default::default()
    };
    let image = picture::decode("image", &bytes).unwrap();
    let mut want = MODEL.automatic_mask_generator(wanted).unwrap().generate(&image.frame().unwrap()).unwrap();
    want.sort_by(|a, b| b.predicted_iou.total_cmp(&a.predicted_iou));
    let size = image.size();
    assert_eq!(found["image"], json!({"width": size.width, "height": size.height}));
    assert_eq!((&found["count"], &found["model_size"]), (&json!(want.len()), &json!("demo")));
    assert!(!want.is_empty());
    for (i, (got, want)) in found["segments"].as_array().unwrap().iter().zip(&want).enumerate() {
        assert_eq!(decoded(&got["segmentation"], size), want.segmentation.decode().unwrap());
        assert_eq!((&got["id"], got["area"].as_f64()), (&json!(i), Some(want.area as f64)));
        assert_eq!((floats(&got["bbox"]), floats(&got["crop_box"])), (want.bbox.to_vec(), want.crop_box.to_vec()));
        assert_eq!(floats(&got["point_coords"][0]), want.point_coords);
        let scores = (float(&got["predicted_iou"]), float(&got["stability_score"]));
        assert_eq!(scores, (want.predicted_iou, want.stability_score));
    }
    assert_eq!(found["segments"][0]["color"], "#ff5959");
    // The file is in the data folder, under a name of the server.
    let name = found["saved_to"].as_str().unwrap();
    let number = name.strip_prefix("segmentation_").and_then(|name| name.strip_suffix(".json")).unwrap();
    assert!(number.parse::<u64>().is_ok(), "{name}");
    let saved: Value =
        serde_json::from_slice(&std::fs::read(options.data.join("projects").join(name)).unwrap()).unwrap();
    assert_eq!((&saved["segments"], &saved["saved_to"]), (&found["segments"], &Value::Null));
    // The query counts as well.
    let one = form(server.to, "/segment-image?max_masks=1&save=false", &[("image", &bytes)]).json();
    assert_eq!((&one["count"], &one["segments"][0]), (&json!(1), &found["segments"][0]));
    assert_eq!(one.get("saved_to"), None);
    let refused = |path: &str, parts: &[(&str, &[u8])]| refused(&form(server.to, path, parts), 400, "/error");
    refused("/segment-image", &[]);
    refused("/segment-image", &[("image", b"no image")]);
    refused("/segment-image", &[("image", &demo(IMAGE)), ("model_size", b"huge")]);
    refused("/segment-image", &[("image", &demo(IMAGE)), ("max_masks", b"many")]);
    refused("/segment-image", &[("image", &vec![0; (32 << 20) + 1])]);
    let plain = ask(server.to, "POST", "/segment-image", &[("Content-Type", "image/png")], &demo(IMAGE));
    assert_eq!((plain.status, plain.json()["error"].is_string()), (400, true));
}

#[test]
fn image_demo_refines_a_segment() {
    let server = Server::new(&all());
    let to = server.to;
    let image = demo(IMAGE);
    let whole = library(&[Prompt::new().point(64.0, 64.0, 1)], true, false);
    let old = Rle::encode(mask(&whole, whole.best(0)), whole.size()).unwrap();
    let rle = json!({"size": [old.height, old.width], "counts": old.to_coco().unwrap()});
    let segment =
        |id: Value| json!({"id": id, "segmentation": rle, "color": "#123456", "predicted_iou": 0.5, "area": 1});
    let segments = json!([segment(json!(6)), segment(json!(7)), segment(json!("refined_1"))]).to_string();
    let ask = |id: &str, bbox: &str, segments: &str| {
        let parts: [(&str, &[u8]); 4] = [
            ("image", &image),
            ("bbox", bbox.as_bytes()),
            ("segment_id", id.as_bytes()),
            ("segments", segments.as_bytes()),
        ];
        form(to, "/refine-segment", &parts)
    };
    let [left, top, width, height] = old.bbox();
    let bbox = json!([left, top, width / 2, height / 2]);
    let answer = ask("7", &bbox.to_string(), &segments);
    assert_eq!(answer.status, 200, "{}", answer.json());
    let found = answer.json();
    let corners = [left, top, left + width / 2, top + height / 2].map(|v| v as f32);
    let want = library(&[Prompt::new().bounds(corners)], false, false);
    let (refined, size) = (&found["refined_segment"], want.size());
    assert_eq!(decoded(&refined["segmentation"], size), mask(&want, 0));
    assert_eq!(float(&refined["predicted_iou"]), want.iou_predictions[0]);
    assert_eq!((&refined["refined_from"], &refined["color"]), (&json!(7), &json!("#123456")));
    let crop = corners_of(&refined["crop_box"]);
    assert_eq!((crop, refined["id"].as_str().unwrap().starts_with("refined_")), (corners_of(&bbox), true));
    let rest: Vec<u8> = old.decode().unwrap().iter().zip(mask(&want, 0)).map(|(a, b)| a & (1 - b)).collect();
    assert!(rest.contains(&1));
    let remainder = &found["remainder_segment"];
    assert_eq!(decoded(&remainder["segmentation"], size), rest);
    let rest = Rle::encode(&rest, size).unwrap();
    assert_eq!((&remainder["area"], &remainder["bbox"]), (&json!(rest.area()), &json!(rest.bbox())));
    assert_eq!((&remainder["remainder_of"], &remainder["predicted_iou"]), (&json!(7), &json!(0.5)));
    assert_eq!(found["original_segment_id"], 7);
    // Nothing is left of a segment that the new one covers. Segments that were made here have ids of letters.
    let same = json!([{"id": "refined_1", "segmentation": refined["segmentation"]}]).to_string();
    let found = ask("refined_1", &bbox.to_string(), &same).json();
    assert_eq!((&found["remainder_segment"], &found["original_segment_id"]), (&Value::Null, &json!("refined_1")));
    refused(&ask("8", "[1, 1, 9, 9]", &segments), 404, "/error");
    refused(&ask("7", "[1, 1, 9]", &segments), 400, "/error");
    refused(&ask("7", "[5000, 5000, 9, 9]", &segments), 400, "/error");
    refused(&ask("7", "[1, 1, 9, 9]", "{"), 400, "/error");
    refused(&ask("7", "[1, 1, 9, 9]", &json!([{"id": 7}]).to_string()), 400, "/error");
    let other = json!([{"id": 7, "segmentation": {"size": [2, 2], "counts": "04"}}]).to_string();
    refused(&ask("7", "[1, 1, 9, 9]", &other), 400, "/error");
    refused(&form(to, "/refine-segment", &[("image", &image), ("bbox", b"[1, 1, 9, 9]")]), 400, "/error");
}

fn corners_of(bbox: &Value) -> Vec<f64> {
    bbox.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn image_demo_creates_masks() {
    let server = Server::new(&all());
    let answer = form(server.to, "/create-mask", &[("image", &demo(IMAGE)), ("bbox", b"[10, 20, 80, 80]")]);
    assert_eq!(answer.status, 200, "{}", answer.json());
    let found = answer.json();
    let want = library(&[Prompt::new().bounds([10.0, 20.0, 90.0, 100.0])], true, false);
    let mut order = [0, 1, 2];
    order.sort_by(|&a, &b| want.iou_predictions[b].total_cmp(&want.iou_predictions[a]));
    assert_eq!(
        (corners_of(&found["bbox"]), found["masks"].as_array().unwrap().len()),
        (vec![10.0, 20.0, 80.0, 80.0], 3)
    );
    for (got, i) in found["masks"].as_array().unwrap().iter().zip(order) {
        assert_eq!(decoded(&got["segmentation"], want.size()), mask(&want, i));
        assert_eq!((&got["id"], float(&got["predicted_iou"])), (&Value::Null, want.iou_predictions[i]));
        assert_eq!(got["color"], ["#ff5959", "#5989ff", "#b9ff59"][i]);
    }
    refused(&form(server.to, "/create-mask", &[("image", &demo(IMAGE))]), 400, "/error");
    refused(&form(server.to, "/create-mask", &[("bbox", b"[10, 20, 80, 80]")]), 400, "/error");
}

#[test]
fn image_demo_saves_under_the_servers_names() {
    let options = all();
    let data = json!({
        "image": {"width": 480, "height": 480}, "image_filename": "../../evil.png", "labels": ["cat", "dog"],
        "segments": [
            {"id": 0, "label": "dog", "bbox": [1, 2, 3, 4], "area": 5, "predicted_iou": 0.9,
             "segmentation": {"size": [480, 480], "counts": "x"}},
            {"id": 1, "label": "bird"}, {"id": 2},
        ],
    });
    let save = |to: SocketAddr, data: &Value| form(to, "/save-project", &[("data", data.to_string().as_bytes())]);
    let file = {
        let server = Server::new(&options);
        let first = save(server.to, &data);
        assert_eq!(first.status, 200, "{}", first.json());
        let (first, second) = (first.json(), save(server.to, &data).json());
        assert_eq!((&first["annotations_count"], &first["categories_count"]), (&json!(1), &json!(2)));
        assert_eq!(first["status"], "success");
        assert_ne!(first["saved_to"], second["saved_to"]);
        refused(&form(server.to, "/save-project", &[]), 400, "/error");
        refused(&save(server.to, &json!({"labels": 5})), 400, "/error");
        options.data.join("projects").join(first["saved_to"].as_str().unwrap())
    };
    let coco: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(coco["annotations"][0]["category_id"], 2);
    assert_eq!((&coco["annotations"][0]["area"], &coco["categories"][0]["name"]), (&json!(5.0), &json!("cat")));
    // The client's name is what a reader of the file sees, and nothing else.
    assert_eq!(coco["images"][0]["file_name"], "../../evil.png");
    assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 2);
    // What is there counts under the limit, after a start too.
    let used = 2 * std::fs::metadata(&file).unwrap().len();
    let server = Server::new(&Options { data_limit: used + 10, ..options });
    refused(&save(server.to, &data), 503, "/error");
    assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 2);
}

const CONFIG: &str = r#"<View>
  <Image name="image" value="$image" zoom="true"/>
  <BrushLabels name="tag" toName="image"><Label value="Banana"/></BrushLabels>
  <KeyPointLabels name="tag2" toName="image" smart="true"><Label value="Banana" smart="true"/></KeyPointLabels>
  <RectangleLabels name="tag3" toName="image" smart="true"><Label value="Banana" smart="true"/></RectangleLabels>
</View>"#;

/// A request of Label Studio for the regions of a context.
fn task(image: &str, regions: &Value) -> Value {
    json!({
        "tasks": [{"id": 1, "data": {"image": image}, "annotations": [], "predictions": []}], "project": "1.1700000000",
        "label_config": CONFIG, "params": {"login": null, "password": null, "context": {"result": regions}},
    })
}

fn keypoint(x: f64, y: f64, is_positive: Value) -> Value {
    json!({
        "original_width": 480, "original_height": 360, "image_rotation": 0, "is_positive": is_positive, "id": "a",
        "value": {"x": x, "y": y, "width": 0.3, "labels": ["Banana"], "keypointlabels": ["Banana"]},
        "from_name": "tag2", "to_name": "image", "type": "keypointlabels", "origin": "manual",
    })
}

fn rectangle(values: [f64; 4]) -> Value {
    let [x, y, width, height] = values;
    json!({
        "original_width": 480, "original_height": 360, "image_rotation": 0, "from_name": "tag3", "to_name": "image",
        "value": {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": ["Banana"]},
        "type": "rectanglelabels",
    })
}

fn is_the_brush(answer: &Answer, want: &Prediction) {
    assert_eq!(answer.status, 200, "{}", answer.json());
    let found = answer.json();
    let (best, size) = (want.best(0), want.size());
    let region = &found["results"][0]["result"][0];
    let rle: Vec<u8> = serde_json::from_value(region["value"]["rle"].clone()).unwrap();
    let bytes: Vec<u8> = mask(want, best).iter().map(|v| v * 255).collect();
    assert_eq!(brush::decode(&rle, size.pixels()).unwrap(), bytes);
    assert_eq!((&region["value"]["format"], &region["value"]["brushlabels"]), (&json!("rle"), &json!(["Banana"])));
    assert_eq!(
        (&region["type"], &region["from_name"], &region["to_name"]),
        (&json!("brushlabels"), &json!("tag"), &json!("image"))
    );
    assert_eq!((&region["original_width"], &region["original_height"]), (&json!(size.width), &json!(size.height)));
    let result = &found["results"][0];
    assert_eq!((float(&result["score"]), &result["model_version"]), (want.iou_predictions[best], &json!("sam2-demo")));
}

#[test]
fn label_studio_gets_a_brush() {
    let server = Server::new(&all());
    let to = server.to;
    let setup = json!({
        "project": "1.1700000000", "schema": CONFIG, "hostname": "http://attacker.example", "access_token": "token",
        "extra_params": null,
    });
    assert_eq!(post(to, "/setup", &setup).json(), json!({"model_version": "sam2-demo"}));
    assert_eq!(ask(to, "GET", "/versions", &[], b"").json(), json!({"versions": ["sam2-demo"]}));
    assert_eq!(post(to, "/webhook", &json!({"action": "ANNOTATION_CREATED"})).status, 201);
    assert_eq!(post(to, "/validate", &json!({"config": CONFIG})).status, 200);
    assert_eq!(post(to, "/validate", &json!({"config": "<View/>"})).status, 422);
    let points = json!([keypoint(13.75, 12.5, json!(1)), keypoint(5.0, 6.25, json!(0))]);
    let want = library(&[Prompt::new().point(66.0, 45.0, 1).point(24.0, 22.5, 0)], true, false);
    is_the_brush(&post(to, "/predict", &task(&data_uri(), &points)), &want);
    let both = json!([rectangle([2.5, 5.0, 20.0, 15.0]), keypoint(13.75, 12.5, json!(true))]);
    let want = library(&[Prompt::new().bounds([12.0, 18.0, 108.0, 72.0]).point(66.0, 45.0, 1)], true, false);
    is_the_brush(&post(to, "/predict", &task(&data_uri(), &both)), &want);
    // Whole projects have no context.
    let mut plain = task(&data_uri(), &json!([]));
    assert_eq!(post(to, "/predict", &plain).json(), json!({"results": [], "model_version": "sam2-demo"}));
    plain["params"]["context"] = Value::Null;
    assert_eq!(post(to, "/predict", &plain).json()["results"], json!([]));
    let status = |request: &Value| post(to, "/predict", request).status;
    for (pointer, value, want) in [
        ("/label_config", json!("<View/>"), 422),
        ("/tasks/0/data/image", json!("data:image/png,x"), 422),
        ("/tasks/0/data/image", json!("data:image/png;base64,AAAA"), 422),
        ("/tasks/0/data/image", json!("/data/upload/1/x.png"), 422),
        ("/tasks/0/data/image", json!("http://attacker.example/x.png"), 422),
        ("/tasks/0/data/image", json!("file:///etc/passwd"), 422),
        ("/tasks/0/data/image", json!(5), 422),
        ("/tasks/0/data", json!({}), 422),
        ("/params/context/result/0/original_width", json!(481), 422),
        ("/params/context/result/0/type", json!("brushlabels"), 400),
        ("/params/context/result/0/value/keypointlabels", json!([]), 422),
        ("/params/context/result/0/value/x", json!("a"), 400),
    ] {
        let mut request = task(&data_uri(), &json!([keypoint(13.75, 12.5, json!(1))]));
        *request.pointer_mut(pointer).unwrap() = value;
        assert_eq!(status(&request), want, "{pointer}");
    }
    let two = json!([rectangle([2.0, 5.0, 20.0, 15.0]), rectangle([2.0, 5.0, 20.0, 15.0])]);
    assert_eq!(status(&task(&data_uri(), &two)), 422);
    let mut missing =
        post(to, "/predict", &task("/data/upload/1/x.png", &json!([keypoint(1.0, 1.0, json!(1))]))).json();
    assert!(missing["detail"].take().as_str().unwrap().contains("label_studio_url"));
    let large = vec![b' '; (32 << 20) / 3 * 4 + (1 << 20) + 1];
    assert_eq!(ask(to, "POST", "/predict", &[("Content-Type", "application/json")], &large).status, 413);
}

/// A server that gives one answer to each request, and the heads of the requests.
fn files(answers: Vec<Vec<u8>>) -> (SocketAddr, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let answer = move || {
        let answer = |answer: Vec<u8>| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            stream.write_all(&answer).unwrap();
            String::from_utf8(head).unwrap()
        };
        answers.into_iter().map(answer).collect()
    };
    (to, std::thread::spawn(answer))
}

#[test]
fn label_studio_has_the_images() {
    let ok = |head: &str| [format!("HTTP/1.1 200 OK\r\n{head}\r\n").as_bytes(), &demo(IMAGE)].concat();
    let length = format!("Content-Length: {}\r\n", demo(IMAGE).len());
    let (there, asked) = files(vec![
        ok(&length),
        ok(""),
        b"HTTP/1.1 302 Found\r\nLocation: http://attacker.example/\r\n\r\n".to_vec(),
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 33554433\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<html>".to_vec(),
    ]);
    let (url, key) = (Some(format!("http://{there}/")), Some("key-of-label-studio".to_string()));
    let server = Server::new(&Options { label_studio_url: url, label_studio_key: key, ..all() });
    let points = json!([keypoint(13.75, 12.5, json!(1))]);
    let predict = |image: &str| post(server.to, "/predict", &task(image, &points));
    let want = library(&[Prompt::new().point(66.0, 45.0, 1)], true, false);
    is_the_brush(&predict("/data/upload/1/a b.png"), &want);
    is_the_brush(&predict(&format!("http://{there}/data/upload/1/b.png")), &want);
    for (status, what) in [(422, "redirects"), (422, "404"), (413, "bytes"), (422, "image")] {
        let answer = predict("/data/upload/1/x.png");
        assert_eq!(answer.status, status, "{what}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(what), "{}", answer.json());
    }
    let heads = asked.join().unwrap();
    assert!(heads[0].starts_with("GET /data/upload/1/a%20b.png HTTP/1.1\r\n"), "{}", heads[0]);
    assert!(heads.iter().all(|head| head.contains("\r\nAuthorization: Token key-of-label-studio\r\n")));
    assert!(heads[0].contains(&format!("\r\nHost: {there}\r\n")));
    // Nothing listens there any more, and nothing else is asked for.
    for wrong in [
        "/data/upload/1/x.png",
        "/api/users",
        "/data/../api/users",
        "//attacker.example/data/x",
        "http://attacker.example/data/x.png",
        "https://attacker.example/data/x.png",
        "ftp://attacker.example/data/x.png",
        "",
    ] {
        assert_eq!(predict(wrong).status, 422, "{wrong}");
    }
    for wrong in ["https://localhost", "localhost", "http://localhost/path"] {
        let options = Options { label_studio_url: Some(wrong.into()), ..all() };
        assert!(sam2_server::app::App::new(MODEL.clone(), &options).is_err(), "{wrong}");
    }
}

/// A request of Roboflow's SDK.
fn roboflow(prompts: &Value, format: &str) -> Value {
    json!({
        "api_key": "key", "image": {"type": "base64", "value": base64()}, "sam2_version_id": "hiera_tiny",
        "multimask_output": true, "format": format, "prompts": {"prompts": prompts},
    })
}

#[test]
fn roboflows_sdk_gets_the_best_masks() {
    let server = Server::new(&all());
    let to = server.to;
    let prompts = json!([
        {"points": [{"x": 64, "y": 64, "positive": true}, {"x": 20, "y": 30, "positive": false}]},
        {"box": {"x": 50, "y": 60, "width": 80, "height": 80}},
    ]);
    let points = Prompt::new().point(64.0, 64.0, 1).point(20.0, 30.0, 0);
    let given = [points, Prompt::new().bounds([10.0, 20.0, 90.0, 100.0])];
    let want = library(&given, true, false);
    let answer = post(to, "/sam2/segment_image", &roboflow(&prompts, "rle"));
    assert_eq!(answer.status, 200, "{}", answer.json());
    let found = answer.json();
    assert!(found["time"].as_f64().unwrap() > 0.0);
    let all = found["predictions"].as_array().unwrap();
    assert_eq!(all.len(), 2);
    for (i, got) in all.iter().enumerate() {
        assert_eq!(decoded(&got["masks"], want.size()), mask(&want, want.best(i)));
        assert_eq!((float(&got["confidence"]), &got["format"]), (want.iou_predictions[want.best(i)], &json!("rle")));
    }
    let mut single = roboflow(&prompts, "rle");
    single["multimask_output"] = json!(false);
    let found = post(to, "/sam2/segment_image", &single).json();
    assert_eq!(decoded(&found["predictions"][1]["masks"], want.size()), mask(&library(&given, false, false), 1));
    // Polygons are the outlines of the parts.
    let found = post(to, "/sam2/segment_image", &roboflow(&prompts, "json")).json();
    for (i, got) in found["predictions"].as_array().unwrap().iter().enumerate() {
        let polygons: Vec<Vec<[u32; 2]>> = serde_json::from_value(got["masks"].clone()).unwrap();
        let rings = Rle::encode(mask(&want, want.best(i)), want.size()).unwrap().polygons().unwrap();
        assert!(!polygons.is_empty() && polygons.iter().all(|polygon| rings.contains(polygon)));
        assert_eq!(got["format"], "polygon");
    }
    // The archive has logits.
    let answer = post(to, "/sam2/segment_image", &roboflow(&prompts, "binary"));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/octet-stream")));
    let logits = library(&given, true, true);
    let Masks::Logits(values) = &logits.masks else { panic!("logits") };
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(answer.body)).unwrap();
    let mut array = |name: &str, shape: &str| {
        let mut bytes = Vec::new();
        zip.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        let head = std::str::from_utf8(&bytes[10..start]).unwrap();
        assert!(start % 64 == 0 && bytes.starts_with(b"\x93NUMPY\x01\x00") && head.contains(shape), "{head}");
        bytes[start..].chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect::<Vec<f32>>()
    };
    let (pixels, low) = (want.size().pixels(), logits.low_res_masks.len() / logits.iou_predictions.len());
    let best = |values: &[f32], n: usize| [0, 1].map(|i| values[logits.best(i) * n..][..n].to_vec()).concat();
    assert_eq!(array("masks.npy", "'shape': (2, 360, 480)"), best(values, pixels));
    assert_eq!(array("low_res_masks.npy", "'shape': (2, "), best(&logits.low_res_masks, low));
    // An image that the server has is named by its id.
    let embedded = post(to, "/sam2/embed_image", &json!({"image": {"type": "base64", "value": data_uri()}})).json();
    assert!(embedded["time"].is_number());
    let mut by_id = roboflow(&prompts, "rle");
    by_id.as_object_mut().unwrap().remove("image");
    by_id["image_id"] = embedded["image_id"].clone();
    let found = post(to, "/sam2/segment_image", &by_id).json();
    assert_eq!(decoded(&found["predictions"][0]["masks"], want.size()), mask(&want, want.best(0)));
    let click = json!([{"points": [{"x": 64, "y": 64, "positive": true}]}]);
    for (member, value, status) in [
        ("image", json!({"type": "url", "value": "http://attacker.example/a.png"}), 422),
        ("image", json!({"type": "numpy", "value": "gASV"}), 422),
        ("image", json!({"type": "base64", "value": "AAAA"}), 422),
        ("image", json!({"type": "base64", "value": "%"}), 422),
        ("image", json!([{"type": "base64", "value": "AAAA"}]), 400),
        ("image", Value::Null, 422),
        ("prompts", json!({"prompts": null}), 422),
        ("prompts", json!({"prompts": []}), 422),
        ("prompts", json!({"prompts": [{}]}), 422),
        ("prompts", json!({"prompts": [{"box": {"x": 9, "y": 9, "width": 5}}]}), 400),
        ("prompts", json!({"prompts": [{"box": {"x": 9000, "y": 9000, "width": 5, "height": 5}}]}), 422),
        ("prompts", json!({"prompts": vec![click[0].clone(); 257]}), 422),
        ("format", json!("png"), 400),
        ("mask_input", json!([[[1, 2]]]), 422),
    ] {
        let mut request = roboflow(&click, "json");
        request[member] = value;
        refused(&post(to, "/sam2/segment_image", &request), status, "/message");
    }
    by_id["image_id"] = json!("none");
    refused(&post(to, "/sam2/segment_image", &by_id), 404, "/message");
    refused(&post(to, "/sam2/embed_image", &json!({})), 422, "/message");
}

/// A request of X-AnyLabeling.
fn marks(marks: Value) -> Value {
    json!({
        "model": "segment_anything_2", "image": data_uri(),
        "params": {"marks": marks, "conf_threshold": 0.0, "iou_threshold": 0.0, "epsilon_factor": 0.001},
    })
}

#[test]
fn x_anylabeling_gets_polygons() {
    let server = Server::new(&all());
    let to = server.to;
    let models = ask(to, "GET", "/v1/models", &[("Token", "")], b"").json();
    assert_eq!(
        (&models["success"], &models["data"]["segment_anything_2"]["display_name"]),
        (&json!(true), &json!("SAM 2 (demo)"))
    );
    assert!(models["data"]["segment_anything_2"]["widgets"].as_array().unwrap().iter().all(|w| w["name"].is_string()));
    let point = json!({"type": "point", "data": [64, 64], "label": 1});
    let rectangle = json!({"type": "rectangle", "data": [90, 100, 10, 20], "label": 1});
    let shapes = |request: &Value| -> Vec<Value> {
        let answer = post(to, "/v1/predict", request);
        assert_eq!(answer.status, 200, "{}", answer.json());
        let found = answer.json();
        assert_eq!((&found["success"], &found["data"]["description"]), (&json!(true), &json!("")));
        assert_eq!(found["data"]["replace"], false);
        found["data"]["shapes"].as_array().unwrap().clone()
    };
    // Without simplification the polygon of a part is its outline.
    let mut exact = marks(json!([point]));
    exact["params"]["epsilon_factor"] = json!(0);
    let want = library(&[Prompt::new().point(64.0, 64.0, 1)], true, false);
    let rings = Rle::encode(mask(&want, want.best(0)), want.size()).unwrap().polygons().unwrap();
    let rings: Vec<Vec<[f64; 2]>> = rings.iter().map(|ring| ring.iter().map(|c| c.map(f64::from)).collect()).collect();
    let found = shapes(&exact);
    assert!(!found.is_empty());
    for shape in &found {
        let mut points: Vec<[f64; 2]> = serde_json::from_value(shape["points"].clone()).unwrap();
        assert_eq!(points.pop(), points.first().copied());
        assert!(rings.contains(&points));
        assert_eq!((&shape["label"], &shape["shape_type"]), (&json!("AUTOLABEL_OBJECT"), &json!("polygon")));
        assert_eq!(float(&shape["score"]), want.iou_predictions[want.best(0)]);
    }
    let simple = shapes(&marks(json!([point])));
    let corners = |shapes: &[Value]| shapes.iter().map(|s| s["points"].as_array().unwrap().len()).sum::<usize>();
    assert!(corners(&simple) < corners(&found));
    // A rectangle with points is one object, rectangles alone are several.
    let score = |prompt: Prompt<'_>| library(&[prompt], false, false).iou_predictions[0];
    let bounds = Prompt::new().bounds([10.0, 20.0, 90.0, 100.0]);
    let both = bounds.clone().point(64.0, 64.0, 1);
    assert_eq!(float(&shapes(&marks(json!([point, rectangle])))[0]["score"]), score(both));
    let other = json!({"type": "rectangle", "data": [100, 100, 200, 200], "label": 1});
    let two = shapes(&marks(json!([rectangle, other])));
    assert_eq!(float(&two[0]["score"]), score(bounds));
    let second = score(Prompt::new().bounds([100.0, 100.0, 200.0, 200.0]));
    assert!(two.iter().any(|shape| float(&shape["score"]) == second));
    let mut unsure = marks(json!([point]));
    unsure["params"]["conf_threshold"] = json!(2);
    assert_eq!(shapes(&unsure).len() + shapes(&marks(json!([]))).len(), 0);
    for (pointer, value, status, code) in [
        ("/model", json!("yolo"), 404, "MODEL_NOT_FOUND"),
        ("/image", json!("data:image/png;base64,AAAA"), 422, "INVALID_IMAGE"),
        ("/image", json!("http://attacker.example/a.png"), 422, "INVALID_IMAGE"),
        ("/image", json!(5), 400, "INVALID_REQUEST"),
        ("/params/marks", json!([{"type": "circle", "data": [1, 2], "label": 1}]), 400, "INVALID_REQUEST"),
        ("/params/marks", json!([{"type": "point", "data": [1, 2, 3], "label": 1}]), 400, "INVALID_REQUEST"),
        ("/params/marks", json!([{"type": "point", "data": [1, 2], "label": 9}]), 422, "INFERENCE_ERROR"),
        ("/params/marks", json!([{"type": "rectangle", "data": [1, 2, 9, 9], "label": 0}]), 422, "INFERENCE_ERROR"),
        ("/params/marks", json!([point, rectangle, rectangle]), 422, "INFERENCE_ERROR"),
        ("/params/marks", json!(vec![point.clone(); 65]), 422, "INFERENCE_ERROR"),
        ("/params/epsilon_factor", json!(-1), 422, "INFERENCE_ERROR"),
        ("/params", json!({"text_prompt": "a cat"}), 422, "INFERENCE_ERROR"),
    ] {
        let mut request = marks(json!([point]));
        *request.pointer_mut(pointer).unwrap() = value;
        let answer = post(to, "/v1/predict", &request);
        assert_eq!(answer.json()["error"]["code"], code, "{pointer}: {}", answer.json());
        assert_eq!(answer.json()["success"], false);
        refused(&answer, status, "/error/message");
    }
}
