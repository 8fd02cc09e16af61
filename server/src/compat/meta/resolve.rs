//! What each field of the root does.

use super::graphql::{Document, Fault, Field, select};
use super::masks;
use super::mp4;
use super::state::State;
use super::transcode::{self, Cut};
use super::upload::{FILE, Upload};
use crate::app::App;
use crate::masks::{FramePrompt, PointJson};
use crate::problem::Problem;
use crate::routes::sessions::visit;
use crate::sessions::{Media, Session};
use crate::tracking::Ask;
use crate::tracks::Tracked;
use crate::videos::Video;
use crate::work;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::net::IpAddr;
use std::sync::Arc;

/// The most videos of a page.
const PAGE: usize = 100;
/// What a cursor is before it is written in base64.
const CURSOR: &str = "arrayconnection:";

/// A request that is being answered.
#[derive(Debug)]
pub struct Call {
    /// What all routes share.
    pub app: Arc<App>,
    /// The state of the interface.
    pub state: Arc<State>,
    /// The address under which the client reached the server.
    pub base: String,
    /// The address of the client.
    pub client: Option<IpAddr>,
    /// The file of the form.
    pub file: Option<Upload>,
}

#[derive(Deserialize)]
struct Input<T> {
    input: T,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StartSession {
    path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct OfSession {
    session_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct AddPoints {
    session_id: String,
    frame_index: usize,
    clear_old_points: bool,
    object_id: i64,
    labels: Vec<i32>,
    points: Vec<[f32; 2]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ClearPoints {
    session_id: String,
    frame_index: usize,
    object_id: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RemoveObject {
    session_id: String,
    object_id: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UploadVideo {
    file: Value,
    start_time_sec: Option<f64>,
    duration_time_sec: Option<f64>,
}

#[derive(Deserialize)]
struct Page {
    before: Option<String>,
    after: Option<String>,
    first: Option<usize>,
    last: Option<usize>,
}

fn read<T: for<'de> Deserialize<'de>>(arguments: &Map<String, Value>) -> Result<T, Problem> {
    serde_json::from_value(Value::Object(arguments.clone())).map_err(|e| Problem::request(e.to_string()))
}

fn input<T: for<'de> Deserialize<'de>>(arguments: &Map<String, Value>) -> Result<T, Problem> {
    read::<Input<T>>(arguments).map(|Input { input }| input)
}

/// The video of a path such as `uploads/ID.mp4`.
fn of_path(app: &App, path: &str) -> Result<Arc<Video>, Problem> {
    let name = path.strip_prefix("uploads/").or_else(|| path.strip_prefix("gallery/"));
    let id = name.and_then(|name| name.strip_suffix(".mp4"));
    app.videos.get(id.ok_or_else(|| Problem::not_found("no such video"))?)
}

/// The videos that browsers play. Others came by another way than the interface.
async fn playable(app: &Arc<App>) -> Result<Vec<Arc<Video>>, Problem> {
    let videos = app.videos.list();
    let read = move || {
        let is_playable = |video: &Arc<Video>| mp4::playable(&video.file).is_ok_and(|found| found.is_some());
        videos.into_iter().filter(is_playable).collect()
    };
    tokio::task::spawn_blocking(read).await.map_err(|_| Problem::internal("the videos could not be read"))
}

fn cursor(i: usize) -> String {
    STANDARD.encode(format!("{CURSOR}{i}"))
}

/// The range of a page of `count` things.
fn page(count: usize, page: &Page) -> Result<std::ops::Range<usize>, Problem> {
    let index = |cursor: &String| -> Result<usize, Problem> {
        let bytes = STANDARD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let index = bytes.as_ref().and_then(|text| text.strip_prefix(CURSOR)?.parse().ok());
        index.ok_or_else(|| Problem::input("a cursor that did not come from here"))
    };
    let after = page.after.as_ref().map(index).transpose()?.map_or(0, |i| i.saturating_add(1).min(count));
    let before = page.before.as_ref().map(index).transpose()?.map_or(count, |i| i.min(count)).max(after);
    if [page.first, page.last].into_iter().flatten().any(|n| n > PAGE) {
        return Err(Problem::input(format!("a page has at most {PAGE} videos")));
    }
    let end = page.first.map_or(before, |n| before.min(after + n));
    let start = page.last.map_or(after, |n| after.max(end.saturating_sub(n)));
    Ok(start..end.min(start + PAGE))
}

impl Call {
    /// Does what a document asks for, one field after the other. The first failure ends it.
    pub async fn answer(&mut self, document: &Document) -> Value {
        let mut data = Map::new();
        for field in &document.fields {
            let found = match field.entry.kind {
                None => Ok(json!(document.kind)),
                Some(kind) => self.value(field).await.map(|value| select(&value, kind, &field.fields)),
            };
            match found {
                Ok(value) => _ = data.insert(field.key.clone(), value),
                Err(problem) => {
                    let (message, path) = (problem.detail().into(), Some(field.key.clone()));
                    let fault = Fault { message, place: Some(field.place), path };
                    return json!({"data": null, "errors": [fault.json()]});
                }
            }
        }
        json!({"data": data})
    }

    async fn value(&mut self, field: &Field) -> Result<Value, Problem> {
        let arguments = &field.arguments;
        match field.entry.name {
            "defaultVideo" => {
                let videos = playable(&self.app).await?;
                let first = videos.first().ok_or_else(|| Problem::not_found("there are no videos; upload one"))?;
                Ok(self.video(first))
            }
            "videos" => self.videos(&read(arguments)?).await,
            "uploadVideo" => self.upload(read(arguments)?).await,
            "startSession" => self.start(input(arguments)?).await,
            "closeSession" => {
                let asked: OfSession = input(arguments)?;
                Ok(json!({"success": self.app.sessions.remove(&asked.session_id).is_ok()}))
            }
            "addPoints" => self.add_points(input(arguments)?).await,
            "clearPointsInFrame" => self.clear_points(input(arguments)?).await,
            "clearPointsInVideo" => {
                let asked: OfSession = input(arguments)?;
                let session = self.app.sessions.get(&asked.session_id)?;
                let _turn = session.turn(true).await?;
                visit(&self.app, &session, |visit| visit.reset()).await?;
                Ok(json!({"success": true}))
            }
            "removeObject" => self.remove(input(arguments)?).await,
            "cancelPropagateInVideo" => {
                let asked: OfSession = input(arguments)?;
                let session = self.app.sessions.get(&asked.session_id)?;
                self.state.cancel(&session.id);
                session.cancel();
                Ok(json!({"success": true}))
            }
            other => Err(Problem::internal(format!("the field {other} does nothing"))),
        }
    }

    fn video(&self, video: &Video) -> Value {
        let (path, poster) = (format!("uploads/{}.mp4", video.id), format!("posters/{}.jpg", video.id));
        json!({
            "id": STANDARD.encode(format!("Video:{path}")), "width": video.size.width, "height": video.size.height,
            "url": format!("{}/{path}", self.base), "posterUrl": format!("{}/{poster}", self.base),
            "path": path, "posterPath": poster,
        })
    }

    async fn videos(&self, asked: &Page) -> Result<Value, Problem> {
        let videos = playable(&self.app).await?;
        let range = page(videos.len(), asked)?;
        let edge = |i: usize| json!({"cursor": cursor(i), "node": self.video(&videos[i])});
        Ok(json!({
            "edges": range.clone().map(edge).collect::<Vec<_>>(),
            "pageInfo": {
                "hasNextPage": range.end < videos.len(), "hasPreviousPage": range.start > 0,
                "startCursor": range.clone().next().map(cursor), "endCursor": range.last().map(cursor),
            },
        }))
    }

    async fn upload(&mut self, asked: UploadVideo) -> Result<Value, Problem> {
        let file = self.file.take().filter(|_| asked.file == FILE);
        let Upload { part, name } = file.ok_or_else(|| Problem::request("file is no file of the form"))?;
        let cut = Cut { start: asked.start_time_sec, duration: asked.duration_time_sec };
        let video = work::aside(&self.app, move |app| transcode::add(app, part, name, cut)).await?;
        Ok(self.video(&video))
    }

    async fn start(&self, asked: StartSession) -> Result<Value, Problem> {
        let media = Media::Video(of_path(&self.app, &asked.path)?);
        self.app.root()?;
        let here = self.app.clone();
        // As in the reference, a correction is lost when tracking reaches its frame again.
        let begun = tokio::task::spawn_blocking(move || here.sessions.begin(here.root()?, media, false));
        let session = begun.await.map_err(|_| Problem::internal("the session could not begin"))??;
        self.state.own(&self.app, &session, self.client)?;
        self.app.tidy();
        Ok(json!({"sessionId": session.id}))
    }

    /// The masks of all objects on a frame.
    fn on_frame(&self, session: &Session, frame: usize, tracked: &[Tracked]) -> Result<Value, Problem> {
        let (objects, size) = {
            let record = session.record();
            (record.objects.clone(), record.size())
        };
        Ok(masks::on_frame(frame, masks::of_all(&objects, size, tracked)?))
    }

    async fn add_points(&self, asked: AddPoints) -> Result<Value, Problem> {
        let AddPoints { session_id, frame_index, clear_old_points, object_id, labels, points } = asked;
        if labels.len() != points.len() {
            return Err(Problem::input(format!("{} labels for {} points", labels.len(), points.len())));
        }
        let point = |(&[x, y], label): (&[f32; 2], i32)| PointJson::new(x, y, label);
        let points = points.iter().zip(labels).map(point).collect();
        let prompt = FramePrompt { points, ..Default::default() };
        prompt.check()?;
        let ask = Ask { frame: frame_index, object: object_id, prompt, clear: clear_old_points, normalized: true };
        let session = self.app.sessions.get(&session_id)?;
        let _turn = session.turn(true).await?;
        let tracked = visit(&self.app, &session, move |visit| visit.prompt(&ask)).await?;
        self.on_frame(&session, frame_index, &tracked)
    }

    async fn clear_points(&self, asked: ClearPoints) -> Result<Value, Problem> {
        let session = self.app.sessions.get(&asked.session_id)?;
        let (frame, object) = (asked.frame_index, asked.object_id);
        let _turn = session.turn(true).await?;
        {
            let record = session.record();
            if !record.objects.contains(&object) {
                // As in the reference, whose page may ask late, the object has an empty mask. It is not kept here.
                let objects = [&record.objects[..], &[object]].concat();
                let masks = masks::of_all(&objects, record.size(), record.tracks.on(frame))?;
                return Ok(masks::on_frame(frame, masks));
            }
        }
        let tracked = visit(&self.app, &session, move |visit| visit.clear_points(frame, object)).await?;
        self.on_frame(&session, frame, &tracked)
    }

    async fn remove(&self, asked: RemoveObject) -> Result<Value, Problem> {
        let session = self.app.sessions.get(&asked.session_id)?;
        let _turn = session.turn(true).await?;
        // The page removes objects that never had points. As in the reference, that changes nothing.
        if !session.record().objects.contains(&asked.object_id) {
            return Ok(json!([]));
        }
        let frames = visit(&self.app, &session, move |visit| visit.remove(asked.object_id)).await?;
        frames.iter().map(|(frame, tracked)| self.on_frame(&session, *frame, tracked)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let of = |count, before: Option<usize>, after: Option<usize>, first, last| {
            page(count, &Page { before: before.map(cursor), after: after.map(cursor), first, last }).ok()
        };
        assert_eq!(of(5, None, None, None, None), Some(0..5));
        assert_eq!(of(5, None, None, Some(2), None), Some(0..2));
        assert_eq!(of(5, None, Some(1), Some(2), None), Some(2..4));
        assert_eq!(of(5, Some(3), None, None, Some(2)), Some(1..3));
        assert_eq!(of(5, Some(1), Some(3), None, None), Some(4..4));
        assert_eq!(of(5, None, Some(usize::MAX), None, None), Some(5..5));
        assert_eq!(of(0, None, None, Some(5), Some(5)), Some(0..0));
        assert_eq!(of(300, None, None, None, None), Some(0..100));
        assert_eq!(of(300, None, None, None, Some(3)), Some(297..300));
        assert_eq!(of(5, None, None, Some(101), None), None);
        assert!(page(5, &Page { before: Some("x".into()), after: None, first: None, last: None }).is_err());
    }
}
