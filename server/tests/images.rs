//! Images and masks through the API, beside the library.

mod common;

use common::*;
use sam2::rle::Rle;
use sam2::{Masks, PredictOptions, Prompt, Size, picture};
use sam2_server::options::Options;
use serde_json::{Value, json};
use std::net::SocketAddr;

const PNG: &[(&str, &str)] = &[("Content-Type", "image/png")];
const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];

fn upload(to: SocketAddr) -> String {
    let answer = ask(to, "POST", "/api/v1/images?wait=1", PNG, &demo("samples/images/image1.png"));
    assert_eq!(answer.status, 201, "{}", answer.json());
    let image = answer.json();
    assert_eq!((&image["encoded"], &image["width"]), (&json!(true), &json!(480)));
    let id = image["id"].as_str().unwrap().to_string();
    assert_eq!(answer.header("location"), Some(&*format!("/api/v1/images/{id}")));
    id
}

fn masks(to: SocketAddr, id: &str, request: &Value) -> Answer {
    ask(to, "POST", &format!("/api/v1/images/{id}/masks"), JSON, request.to_string().as_bytes())
}

#[test]
fn masks_are_the_librarys() {
    let server = Server::new(&options());
    let to = server.to;
    let id = upload(to);
    let request = json!({"prompts": [
        {"points": [{"x": 64, "y": 64, "label": 1}]},
        {"points": [{"x": 64, "y": 64, "label": 1}, {"x": 20, "y": 30, "label": 0}]},
        {"box": [10, 20, 90, 100]},
    ]});
    let answer = masks(to, &id, &request);
    assert_eq!(answer.status, 200);
    let found = answer.json();
    let decoded = picture::decode("image", &demo("samples/images/image1.png")).unwrap();
    let mut predictor = MODEL.image_predictor(Default::default()).unwrap();
    predictor.set_image(&decoded.frame().unwrap()).unwrap();
    let prompts = [
        (true, Prompt::new().point(64.0, 64.0, 1)),
        (false, Prompt::new().point(64.0, 64.0, 1).point(20.0, 30.0, 0)),
        (false, Prompt::new().bounds([10.0, 20.0, 90.0, 100.0])),
    ];
    let size: Size = decoded.size();
    for (i, (multimask_output, prompt)) in prompts.iter().enumerate() {
        let options = PredictOptions { multimask_output: *multimask_output, ..Default::default() };
        let want = predictor.predict(std::slice::from_ref(prompt), options).unwrap();
        let Masks::Binary(bytes) = &want.masks else { panic!("binary masks") };
        let got = found["results"][i]["masks"].as_array().unwrap();
        assert_eq!(got.len(), want.masks_per_prompt);
        for (got, (mask, iou)) in got.iter().zip(bytes.chunks(size.pixels()).zip(&want.iou_predictions)) {
            let counts = got["rle"]["counts"].as_str().unwrap();
            assert_eq!(Rle::from_coco(counts, size).unwrap().decode().unwrap(), mask, "prompt {i}");
            assert_eq!(got["predicted_iou"].as_f64().unwrap() as f32, *iou);
        }
    }
    // The same bytes are the same image, and a form is as good as a body.
    let form = [
        b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n",
        &*demo("samples/images/image1.png"),
        b"\r\n--x--\r\n",
    ]
    .concat();
    let again = ask(to, "POST", "/api/v1/images", &[("Content-Type", "multipart/form-data; boundary=x")], &form);
    assert_eq!((again.status, again.json()["id"].as_str()), (201, Some(&*id)));
    // A mask is a prompt.
    let mask = &found["results"][2]["masks"][0]["rle"];
    let refined =
        masks(to, &id, &json!({"prompts": [{"mask": {"rle": mask}, "points": [{"x": 50, "y": 60, "label": 1}]}]}));
    assert_eq!(refined.status, 200, "{}", refined.json());
}

/// Whether an image that the server has is encoded.
fn is_encoded(to: SocketAddr, id: &str) -> bool {
    ask(to, "GET", &format!("/api/v1/images/{id}"), &[], b"").json()["encoded"] == true
}

#[test]
fn features_over_the_limit_are_dropped_and_made_again() {
    let server = Server::new(&Options { memory_limit: 2, ..options() });
    let to = server.to;
    let first = upload(to);
    let request = json!({"prompts": [{"points": [{"x": 64, "y": 64, "label": 1}]}]});
    let before = masks(to, &first, &request).json();
    let second = ask(to, "POST", "/api/v1/images?wait=1", PNG, &demo("samples/images/image2.png")).json();
    assert!(!is_encoded(to, &first) && is_encoded(to, second["id"].as_str().unwrap()));
    assert_eq!(masks(to, &first, &request).json(), before);
    assert!(is_encoded(to, &first));
}

#[test]
fn the_image_that_was_used_least_recently_is_dropped() {
    let server = Server::new(&options());
    let to = server.to;
    let first = upload(to);
    let add = |name: &str| ask(to, "POST", "/api/v1/images?wait=1", PNG, &demo(&format!("samples/images/{name}.png")));
    let second = add("image2").json();
    let path = format!("/api/v1/images/{first}");
    assert_eq!(ask(to, "GET", &format!("{path}/file"), &[], b"").body, demo("samples/images/image1.png"));
    assert_eq!(add("image3").status, 201);
    let second = format!("/api/v1/images/{}", second["id"].as_str().unwrap());
    assert_eq!(ask(to, "GET", &second, &[], b"").status, 404);
    assert_eq!(ask(to, "GET", "/api/v1/images", &[], b"").json()["images"].as_array().unwrap().len(), 2);
    assert_eq!(ask(to, "DELETE", &path, &[], b"").status, 204);
    assert_eq!(ask(to, "DELETE", &path, &[], b"").status, 404);
    assert_eq!(masks(to, &first, &json!({"prompts": []})).status, 404);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let server = Server::new(&options());
    let to = server.to;
    let id = upload(to);
    let status = |request: Value| masks(to, &id, &request).status;
    let click = json!({"points": [{"x": 1, "y": 1, "label": 1}]});
    assert_eq!(status(json!({"prompts": [click]})), 200);
    assert_eq!(status(json!({"prompts": []})), 422);
    assert_eq!(status(json!({"prompts": [{}]})), 422);
    assert_eq!(status(json!({"prompts": vec![click.clone(); 257]})), 422);
    assert_eq!(status(json!({"prompts": [{"points": [{"x": 1, "y": 1, "label": 9}]}]})), 422);
    assert_eq!(status(json!({"prompts": [{"box": [5000, 5000, 6000, 6000]}]})), 422);
    assert_eq!(status(json!({"prompts": [click], "other": 1})), 400);
    let path = format!("/api/v1/images/{id}/masks");
    assert_eq!(ask(to, "POST", &path, &[], b"{}").status, 415);
    assert_eq!(ask(to, "POST", &path, &[("Content-Type", "text/plain")], b"{}").status, 415);
    assert_eq!(ask(to, "POST", &path, JSON, b"{").status, 400);
    assert_eq!(ask(to, "POST", &path, JSON, &vec![b' '; (1 << 20) + 1]).status, 413);
    assert_eq!(ask(to, "POST", "/api/v1/images", PNG, b"no image").status, 422);
    assert_eq!(ask(to, "POST", "/api/v1/images", &[("Content-Type", "text/html")], b"x").status, 415);
    assert_eq!(ask(to, "POST", "/api/v1/images", PNG, &vec![0; (32 << 20) + 1]).status, 413);
    assert_eq!(ask(to, "GET", "/api/v1/images/../../etc/passwd", &[], b"").status, 404);
    assert_eq!(ask(to, "GET", "/none", &[], b"").status, 404);
    assert_eq!(ask(to, "PUT", "/version", &[], b"").status, 405);
    let problem = ask(to, "GET", "/none", &[], b"");
    assert_eq!(problem.header("content-type"), Some("application/problem+json"));
    assert_eq!((&problem.json()["type"], &problem.json()["status"]), (&json!("/problems/not-found"), &json!(404)));
    assert!(problem.header("content-security-policy").is_some());
}

#[test]
fn strangers_get_nothing() {
    let mut options = options();
    options.guard.keys.push("secret".into());
    let server = Server::new(&options);
    let to = server.to;
    let key = ("X-Api-Key", "secret");
    assert_eq!(ask(to, "GET", "/health/live", &[], b"").status, 200);
    assert_eq!(ask(to, "GET", "/api/v1/images", &[], b"").status, 401);
    assert_eq!(ask(to, "GET", "/api/v1/images", &[key], b"").status, 200);
    assert_eq!(ask(to, "GET", "/health/live", &[("Host", "attacker.example")], b"").status, 403);
    let attack = [key, ("Origin", "http://attacker.example"), ("Content-Type", "image/png")];
    assert_eq!(ask(to, "POST", "/api/v1/images", &attack, &demo("samples/images/image1.png")).status, 403);
    let answer = ask(to, "GET", "/api/v1/images", &[key, ("Origin", "http://attacker.example")], b"");
    assert_eq!(answer.header("access-control-allow-origin"), None);
}
