//! Masks of all objects through the API, beside the library.

mod common;

use common::*;
use sam2::{AutomaticMaskGeneratorOptions, picture};
use serde_json::{Value, json};

#[test]
fn masks_of_all_objects_are_the_librarys() {
    let server = Server::new(&options());
    let to = server.to;
    let png = [("Content-Type", "image/png")];
    let image = ask(to, "POST", "/api/v1/images", &png, &demo("samples/images/image1.png")).json();
    let path = format!("/api/v1/images/{}/everything", image["id"].as_str().unwrap());
    let request = json!({"points_per_side": 8, "pred_iou_thresh": 0.5, "stability_score_thresh": 0.5}).to_string();
    let headers = [("Content-Type", "application/json"), ("Accept", "text/event-stream")];
    let stream = ask(to, "POST", &path, &headers, request.as_bytes());
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    let events = events(&stream.body);
    let masks: Vec<&Value> = events.iter().filter(|(name, _)| name == "mask").map(|(_, data)| data).collect();
    assert_eq!(events.last().unwrap(), &("done".into(), json!({"count": masks.len()})));

    let options = AutomaticMaskGeneratorOptions {
        points_per_side: Some(8),
        pred_iou_thresh: 0.5,
        stability_score_thresh: 0.5,
        ..Default::default()
    };
    let decoded = picture::decode("image", &demo("samples/images/image1.png")).unwrap();
    let want = MODEL.automatic_mask_generator(options).unwrap().generate(&decoded.frame().unwrap()).unwrap();
    assert!(!want.is_empty());
    assert_eq!(masks.len(), want.len());
    for (got, want) in masks.iter().zip(&want) {
        assert_eq!(got["rle"]["counts"].as_str(), Some(&*want.segmentation.to_coco().unwrap()));
        assert_eq!(got["area"], json!(want.area));
    }
    let plain = ask(to, "POST", &path, &headers[..1], request.as_bytes());
    assert_eq!(plain.json()["masks"].as_array().unwrap().len(), want.len());
    for wrong in [json!({"points_per_side": 0}), json!({"points_per_side": 65}), json!({"crop_n_layers": 3})] {
        assert_eq!(ask(to, "POST", &path, &headers, wrong.to_string().as_bytes()).status, 422, "{wrong}");
    }
}
