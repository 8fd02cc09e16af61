//! What the fuzz targets of the server do with an input. Tests replay their corpora.

use axum::body::Body;
use axum::extract::Request;
use sam2::Size;
use sam2_server::body;
use sam2_server::compat::meta::graphql::{Asked, Document};
use sam2_server::everything::Everything;
use sam2_server::masks::{FramePrompt, MasksJson};
use sam2_server::propagate::Plan;

/// The targets and their names.
pub const TARGETS: [(&str, fn(&[u8])); 3] = [("graphql", graphql), ("multipart", multipart), ("requests", requests)];

/// The JSON of requests with prompts, masks and options.
pub fn requests(data: &[u8]) {
    let size = Size::new(40, 30);
    if let Ok(request) = serde_json::from_slice::<MasksJson>(data)
        && request.check().is_ok()
    {
        for prompt in &request.prompts {
            let _ = prompt.logits(size, 16).map(|logits| drop(prompt.prompt(logits.as_deref())));
        }
    }
    if let Ok(prompt) = serde_json::from_slice::<FramePrompt>(data)
        && prompt.check().is_ok()
    {
        let _ = prompt.mask.as_ref().map(|mask| mask.rle.decode(size));
        drop(prompt.prompt());
    }
    let _ = serde_json::from_slice::<Everything>(data);
    let _ = serde_json::from_slice::<Plan>(data);
}

/// A GraphQL request: the document, or JSON with a document and variables.
pub fn graphql(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let _ = Document::new(&Asked { query: text, ..Default::default() });
    if let Ok(asked) = serde_json::from_slice::<Asked>(data) {
        let _ = Document::new(&asked);
    }
}

/// A form whose boundary is `x`.
pub fn multipart(data: &[u8]) {
    let request = Request::builder().header("content-type", "multipart/form-data; boundary=x");
    let Ok(request) = request.body(Body::from(data.to_vec())) else { return };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
    runtime.block_on(async {
        let Ok(mut form) = body::form(request).await else { return };
        let mut seen = 0;
        while let Ok(Some(field)) = body::part(&mut form, &mut seen).await {
            let _ = (field.name().map(String::from), field.file_name().map(String::from));
            if let Err(e) = field.bytes().await {
                drop(body::form_problem(&e));
                return;
            }
        }
    });
}
