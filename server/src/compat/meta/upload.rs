//! Requests with a document as JSON, and forms with a document and a file.

use super::graphql::Asked;
use crate::app::App;
use crate::body::{self, MAX_JSON};
use crate::parts::Part;
use crate::problem::Problem;
use crate::routes::videos::{UPLOAD, write};
use crate::videos::MAX_VIDEO;
use axum::extract::Request;
use axum::extract::multipart::Field;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The value of a variable that stands for the file of the form.
pub const FILE: &str = "file of the form";

/// A file that a form brought.
#[derive(Debug)]
pub struct Upload {
    /// The file.
    pub part: Part,
    /// The client's name of it.
    pub name: Option<String>,
}

/// Reads a request.
///
/// # Errors
///
/// `media-type`, `size`, `request` or `timeout`.
pub async fn receive(app: &App, request: Request) -> Result<(Asked, Option<Upload>), Problem> {
    if body::media_type(request.headers()) == "multipart/form-data" {
        let received = tokio::time::timeout(UPLOAD, form(app, request)).await;
        return received.map_err(|_| Problem::timeout("the upload took too long"))?;
    }
    let (parts, content) = request.into_parts();
    Ok((body::json(&parts.headers, content).await?, None))
}

/// A text of a form.
async fn text(mut field: Field<'_>) -> Result<Vec<u8>, Problem> {
    let mut text = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|e| body::form_problem(&e))? {
        if text.len() + chunk.len() > MAX_JSON {
            return Err(Problem::size(format!("this part may have {MAX_JSON} bytes")));
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}

/// Reads a form: `operations` is the request, `map` says which variable each file is, and the files come after both.
async fn form(app: &App, request: Request) -> Result<(Asked, Option<Upload>), Problem> {
    let wrong = |e: serde_json::Error| Problem::request(e.to_string());
    let (mut form, mut seen) = (body::form(request).await?, 0);
    let mut asked: Option<Asked> = None;
    let mut map: HashMap<String, Vec<String>> = HashMap::new();
    let mut upload = None;
    while let Some(field) = body::part(&mut form, &mut seen).await? {
        match field.name().unwrap_or_default() {
            "operations" => asked = Some(serde_json::from_slice(&text(field).await?).map_err(wrong)?),
            "map" => map = serde_json::from_slice(&text(field).await?).map_err(wrong)?,
            name => {
                let asked = asked.as_mut().ok_or_else(|| Problem::request("`operations` comes before the files"))?;
                let paths = map.get(name).ok_or_else(|| Problem::request("`map` names each file, and comes before"))?;
                if upload.is_some() {
                    return Err(Problem::request("a form may have one file"));
                }
                paths.iter().try_for_each(|path| set(asked.variables.get_or_insert_default(), path))?;
                let name = field.file_name().map(String::from);
                upload = Some(Upload { part: write(app, field, MAX_VIDEO, |e| body::form_problem(&e)).await?, name });
            }
        }
    }
    Ok((asked.ok_or_else(|| Problem::request("the form has no part `operations`"))?, upload))
}

/// Sets the variable that a path such as `variables.file` names. Clients send it as null or as an empty object.
fn set(variables: &mut Map<String, Value>, path: &str) -> Result<(), Problem> {
    let wrong = || Problem::request("`map` has paths such as `variables.file`");
    let mut names = path.strip_prefix("variables.").ok_or_else(wrong)?.split('.');
    let first = names.next().unwrap_or_default();
    let mut place = variables.entry(first).or_insert(Value::Null);
    for name in names {
        place = place.get_mut(name).ok_or_else(wrong)?;
    }
    *place = json!(FILE);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_by_path() {
        let mut variables = Map::new();
        variables.insert("file".into(), json!({}));
        variables.insert("input".into(), json!({"file": null}));
        for path in ["variables.file", "variables.input.file", "variables.other"] {
            set(&mut variables, path).unwrap();
        }
        assert_eq!(Value::Object(variables.clone()), json!({"file": FILE, "input": {"file": FILE}, "other": FILE}));
        for path in ["", "file", "variables", "variables.file.x", "variables.input.a.b"] {
            assert!(set(&mut variables, path).is_err(), "{path}");
        }
    }
}
