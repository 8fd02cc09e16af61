//! The `OpenAPI` document is one of the routes, and of what they answer.

mod common;

use common::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn document() -> Value {
    serde_json::from_str(include_str!("../openapi.json")).unwrap()
}

/// The calls of the document, such as `GET /version`.
fn documented() -> BTreeSet<String> {
    let paths = document()["paths"].as_object().unwrap().clone();
    let calls = |(path, calls): (&String, &Value)| -> Vec<String> {
        calls.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())).collect()
    };
    paths.iter().flat_map(calls).collect()
}

/// The calls that the source of the routes has: `.route("/images/{id}", get(describe).delete(forget))`.
fn routed() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("src/routes").unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        // `upload` stands for its two methods.
        let text = text.replace("\"/videos\", upload", "\"/videos\", get(list).post(upload)");
        let mut api = false;
        for line in text.lines() {
            if line.starts_with("pub fn ") {
                api = line.contains("fn api");
            }
            for route in line.split(".route(\"").skip(1) {
                let (path, methods) = route.split_once("\", ").unwrap();
                for method in ["get", "post", "delete", "put", "patch"] {
                    if methods.split(|c: char| !c.is_alphanumeric()).any(|word| word == method) {
                        let prefix = if api { "/api/v1" } else { "" };
                        found.insert(format!("{} {prefix}{path}", method.to_uppercase()));
                    }
                }
            }
        }
    }
    found
}

#[test]
fn the_document_lists_the_routes() {
    assert_eq!(documented(), routed());
    assert!(documented().len() > 30);
}

/// Whether a value is what a schema of the document says. It knows the words that the document uses.
fn conforms(value: &Value, schema: &Value, document: &Value) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what}: {value} is not {schema}"));
    if let Some(name) = schema["$ref"].as_str() {
        let schema = name.trim_start_matches('#').split('/').skip(1).fold(document, |at, key| &at[key]);
        return conforms(value, schema, document);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        return match choices.iter().filter(|choice| conforms(value, choice, document).is_ok()).count() {
            1 => Ok(()),
            _ => wrong("one of"),
        };
    }
    if let Some(values) = schema["enum"].as_array() {
        return if values.contains(value) { Ok(()) } else { wrong("enum") };
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    let is = |kind: &Value| match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("null") => value.is_null(),
        _ => false,
    };
    if !kinds.iter().any(is) {
        return wrong("type");
    }
    if value.as_f64().is_some_and(|v| schema["minimum"].as_f64().is_some_and(|least| v < least)) {
        return wrong("minimum");
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            return wrong("required");
        }
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(schema) => conforms(value, schema, document)?,
            None if schema["properties"].is_object() => return wrong("a member that is not documented"),
            None => {}
        }
    }
    value.as_array().into_iter().flatten().try_for_each(|value| conforms(value, &schema["items"], document))
}

#[test]
fn answers_are_as_the_document_says() {
    let server = Server::new(&options());
    let (to, document) = (server.to, document());
    let check = |call: &str, path: &str, answer: &Answer| {
        let (method, pattern) = call.split_once(' ').unwrap();
        let responses = &document["paths"][pattern][method.to_lowercase()]["responses"];
        let (status, kind) = match answer.status {
            200..300 => (answer.status.to_string(), "application/json"),
            400..500 => ("4XX".into(), "application/problem+json"),
            other => panic!("{path}: {other}"),
        };
        let mut response = &responses[status.as_str()];
        if response["$ref"].is_string() {
            response = &document["components"]["responses"]["Problem"];
        }
        let schema = &response["content"][kind]["schema"];
        assert!(response.is_object(), "{call} {status} is not documented");
        if schema.is_object() {
            let found = conforms(&answer.json(), schema, &document);
            assert_eq!(found, Ok(()), "{call}");
        } else {
            assert!(answer.body.is_empty(), "{call} {status} has a body that is not documented");
        }
    };
    let get = |pattern: &str, path: &str| check(&format!("GET {pattern}"), path, &ask(to, "GET", path, &[], b""));
    let sent = |pattern: &str, path: &str, body: &Value| {
        let answer = post(to, path, body);
        check(&format!("POST {pattern}"), path, &answer);
        answer
    };
    let png = [("Content-Type", "image/png")];
    let image = ask(to, "POST", "/api/v1/images?wait=1", &png, &demo("samples/images/image1.png"));
    check("POST /api/v1/images", "/api/v1/images", &image);
    let image = format!("/api/v1/images/{}", image.json()["id"].as_str().unwrap());
    for path in [
        "/api/v1/system",
        "/api/v1/models",
        "/api/v1/openapi.json",
        "/health",
        "/health/live",
        "/health/ready",
        "/version",
    ] {
        get(path, path);
    }
    for path in ["/api/v1/images", "/api/v1/videos", "/api/v1/sessions"] {
        get(path, path);
    }
    get("/api/v1/images/{id}", &image);
    for format in ["rle", "polygon", "png", "bits"] {
        let request =
            json!({"prompts": [{"points": [click(64.0, 64.0, 1)]}, {"box": [1, 2, 90, 99]}], "format": format});
        assert_eq!(sent("/api/v1/images/{id}/masks", &format!("{image}/masks"), &request).status, 200);
    }
    let few = json!({"points_per_side": 4, "pred_iou_thresh": 0.3, "stability_score_thresh": 0.3});
    sent("/api/v1/images/{id}/everything", &format!("{image}/everything"), &few);
    let session = sent("/api/v1/sessions", "/api/v1/sessions", &json!({"stream": true})).json();
    let session = format!("/api/v1/sessions/{}", session["id"].as_str().unwrap());
    let frame = std::fs::read(format!("{FRAMES}/00000.jpg")).unwrap();
    let pushed = ask(to, "POST", &format!("{session}/frames"), &[("Content-Type", "image/jpeg")], &frame);
    check("POST /api/v1/sessions/{id}/frames", &session, &pushed);
    let prompt = json!({"frame": 0, "object": 3, "points": [click(390.0, 215.0, 1)], "format": "polygon"});
    assert_eq!(sent("/api/v1/sessions/{id}/prompts", &format!("{session}/prompts"), &prompt).status, 200);
    sent("/api/v1/sessions/{id}/encode", &format!("{session}/encode"), &json!({"frame": 0}));
    sent("/api/v1/sessions/{id}/cancel", &format!("{session}/cancel"), &json!({}));
    sent("/api/v1/sessions/{id}/propagate", &format!("{session}/propagate"), &json!({}));
    get("/api/v1/sessions/{id}", &session);
    get("/api/v1/sessions/{id}/masks", &format!("{session}/masks"));
    let removed = ask(to, "DELETE", &format!("{session}/objects/3"), &[], b"");
    check("DELETE /api/v1/sessions/{id}/objects/{object}", &session, &removed);
    sent("/api/v1/sessions/{id}/reset", &format!("{session}/reset"), &json!({}));
    check("DELETE /api/v1/sessions/{id}", &session, &ask(to, "DELETE", &session, &[], b""));
    check("DELETE /api/v1/images/{id}", &image, &ask(to, "DELETE", &image, &[], b""));
    get("/api/v1/images/{id}", &image);
}
