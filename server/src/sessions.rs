//! Sessions: objects that are tracked through a video or a stream.
//!
//! A session has its prompts, its masks as run lengths, and a predictor. Over a limit of memory, the predictor of the
//! session that was used least recently is saved to a file, and restored when the session is used again.

use crate::ids;
use crate::lane::{Lane, State, Track};
use crate::lock::lock;
use crate::masks::FramePrompt;
use crate::problem::{Problem, disk};
use crate::tracks::Tracks;
use crate::videos::{Video, Videos, write_whole};
use axum::http::StatusCode;
use sam2::{Retention, Size, VideoPredictor, VideoPredictorOptions};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::OwnedMutexGuard;

/// The most frames before the last one that a stream keeps.
pub const MAX_WINDOW: usize = 64;
/// The most objects of a session.
pub const MAX_OBJECTS: usize = 255;

/// What a session tracks through.
#[derive(Clone, Debug)]
pub enum Media {
    /// A video.
    Video(Arc<Video>),
    /// Frames that are pushed. The number says how many frames before the last one are kept.
    Stream(usize),
}

/// What a session knows beside its predictor.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Record {
    /// The prompts, by frame and object.
    #[serde(with = "entries")]
    pub prompts: BTreeMap<(usize, i64), FramePrompt>,
    /// The masks.
    pub tracks: Tracks,
    /// The objects, in the order in which they were added.
    pub objects: Vec<i64>,
    /// The size of the frames; zeros before the first one.
    pub size: [usize; 2],
    /// The number of frames.
    pub frames: usize,
}

/// A map whose keys are no texts, as a list.
mod entries {
    use super::FramePrompt;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    type Map = BTreeMap<(usize, i64), FramePrompt>;

    pub fn serialize<S: Serializer>(map: &Map, to: S) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Map, D::Error> {
        Ok(Vec::deserialize(from)?.into_iter().collect())
    }
}

impl Record {
    /// The size of the frames.
    #[must_use]
    pub fn size(&self) -> Size {
        Size::new(self.size[0], self.size[1])
    }
}

/// A session.
#[derive(Debug)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// Its key in the scheduler.
    pub key: u64,
    /// What it tracks through.
    pub media: Media,
    /// Whether corrections last when tracking reaches their frames again.
    pub legacy_corrections: bool,
    track: Arc<Mutex<Track>>,
    record: Mutex<Record>,
    /// Held by the call that changes the session.
    turn: Arc<tokio::sync::Mutex<()>>,
    tracking: AtomicBool,
    cancelled: AtomicBool,
    /// The number of the latest request for a preview.
    hover: AtomicU64,
    /// The number of the latest use.
    used: AtomicU64,
    used_at: Mutex<Instant>,
}

impl Session {
    /// What the session knows beside its predictor.
    pub fn record(&self) -> MutexGuard<'_, Record> {
        lock(&self.record)
    }

    /// Takes the turn to change the session. With `interrupt`, a propagation is cancelled first.
    ///
    /// # Errors
    ///
    /// `busy`.
    pub async fn turn(&self, interrupt: bool) -> Result<OwnedMutexGuard<()>, Problem> {
        if let Ok(turn) = self.turn.clone().try_lock_owned() {
            return Ok(turn);
        }
        if self.is_tracking() && !interrupt {
            return Err(Problem::busy("the session tracks; cancel it, or send \"interrupt\": true"));
        }
        if interrupt {
            self.cancel();
        }
        // Other calls take the time of a unit.
        let turn = tokio::time::timeout(Duration::from_secs(60), self.turn.clone().lock_owned()).await;
        turn.map_err(|_| Problem::busy("another call on the session takes long"))
    }

    /// Marks the begin or the end of a propagation.
    pub fn set_tracking(&self, tracking: bool) {
        self.cancelled.store(false, Ordering::Relaxed);
        self.tracking.store(tracking, Ordering::Relaxed);
    }

    /// Whether a propagation runs.
    pub fn is_tracking(&self) -> bool {
        self.tracking.load(Ordering::Relaxed)
    }

    /// Has a propagation end after its frame.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether the propagation is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Registers a request for a preview. An earlier one is not needed any more.
    pub fn begin_hover(&self) -> u64 {
        self.hover.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether no later request for a preview has come.
    pub fn is_latest_hover(&self, hover: u64) -> bool {
        self.hover.load(Ordering::Relaxed) == hover
    }

    /// Bytes of the session in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // A unit that runs now counts when it has ended.
        self.track.try_lock().map_or(0, |track| track.bytes()) + self.record().tracks.bytes()
    }

    /// Runs work with the session's predictor, on a lane. See [`Lane::visit`].
    ///
    /// # Errors
    ///
    /// Those of the work, and of restoring a saved session.
    pub fn visit<R>(
        &self,
        lane: &mut Lane,
        root: &Mutex<VideoPredictor>,
        shown: Option<usize>,
        work: impl FnOnce(&mut VideoPredictor) -> Result<R, Problem>,
    ) -> Result<R, Problem> {
        self.restore(root)?;
        lane.visit(&self.track, shown, work)
    }

    fn restore(&self, root: &Mutex<VideoPredictor>) -> Result<(), Problem> {
        let mut track = lock(&self.track);
        let State::Saved(file) = &track.state else { return Ok(()) };
        let mut predictor = self.media.predictor(root, self.legacy_corrections)?;
        let bytes = fs::read(file).map_err(|e| disk(&e))?;
        predictor.load_state(&bytes)?;
        track.state = State::Live(Box::new(predictor));
        Ok(())
    }

    /// Saves the predictor to a file and drops it. Returns whether it was in memory.
    fn save(&self, folder: &Path) -> Result<bool, Problem> {
        let mut track = lock(&self.track);
        let State::Live(predictor) = &track.state else { return Ok(false) };
        let mut bytes = Vec::new();
        predictor.save_state(&mut bytes)?;
        let file = folder.join(format!("{}.safetensors", self.id));
        write_whole(&file, &bytes).map_err(|e| disk(&e))?;
        track.drop_features();
        track.state = State::Saved(file);
        Ok(true)
    }

    /// The session in JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let record = self.record();
        let video = match &self.media {
            Media::Video(video) => json!(video.id),
            Media::Stream(_) => Value::Null,
        };
        let prompt = |((frame, object), prompt): (&(usize, i64), &FramePrompt)| {
            json!({
                "frame": frame, "object": object, "points": prompt.points, "box": prompt.bounds,
                "mask": prompt.mask.is_some(),
            })
        };
        json!({
            "id": self.id, "video": video, "width": record.size[0], "height": record.size[1], "frames": record.frames,
            "objects": record.objects,
            "prompts": record.prompts.iter().map(prompt).collect::<Vec<_>>(),
            "tracked": record.tracks.ranges(),
            "state": if self.is_tracking() { "tracking" } else { "idle" },
        })
    }
}

impl Media {
    fn predictor(&self, root: &Mutex<VideoPredictor>, legacy_corrections: bool) -> Result<VideoPredictor, Problem> {
        let options = VideoPredictorOptions { legacy_corrections, ..Default::default() };
        Ok(match self {
            Media::Video(video) => {
                let frames = video.frames.reopen();
                lock(root).beside(frames, options)?
            }
            Media::Stream(window) => lock(root).stream_beside(Retention::Window(*window), options)?,
        })
    }
}

/// A session on disk.
#[derive(Deserialize, Serialize)]
struct Stored {
    video: Option<String>,
    window: usize,
    legacy_corrections: bool,
    record: Record,
}

/// The sessions of the server.
#[derive(Debug)]
pub struct Sessions {
    all: Mutex<HashMap<String, Arc<Session>>>,
    folder: PathBuf,
    /// The most sessions.
    most: usize,
    /// The most bytes in memory.
    most_bytes: usize,
    uses: AtomicU64,
}

impl Sessions {
    /// The sessions of a data folder.
    ///
    /// # Errors
    ///
    /// The folder cannot be read or made.
    pub fn open(data: &Path, videos: &Videos, most: usize, most_bytes: usize) -> std::io::Result<Sessions> {
        let folder = data.join("sessions");
        fs::create_dir_all(&folder)?;
        let sessions = Sessions { all: Mutex::default(), folder, most, most_bytes, uses: AtomicU64::new(1 << 32) };
        for entry in fs::read_dir(&sessions.folder)? {
            let path = entry?.path();
            let id = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_string();
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
            // A crash leaves predictors without a record.
            match extension {
                "part" => fs::remove_file(&path)?,
                "safetensors" if !path.with_extension("json").exists() => sessions.delete_files(&id),
                _ => {}
            }
            if extension == "json" {
                match sessions.load(&id, &path, videos) {
                    Ok(session) => drop(lock(&sessions.all).insert(id, session)),
                    Err(problem) if problem.status() == StatusCode::NOT_FOUND => sessions.delete_files(&id),
                    Err(problem) => log::warn!("a stored session is left out: {problem:?}"),
                }
            }
        }
        Ok(sessions)
    }

    /// Loads a session. `not-found` if its video is gone.
    fn load(&self, id: &str, path: &Path, videos: &Videos) -> Result<Arc<Session>, Problem> {
        let bytes = fs::read(path).map_err(|e| disk(&e))?;
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|e| Problem::internal(e.to_string()))?;
        let media = match &stored.video {
            Some(video) => Media::Video(videos.get(video)?),
            None => Media::Stream(stored.window),
        };
        let state = State::Saved(path.with_extension("safetensors"));
        Ok(self.session(id.into(), media, stored.legacy_corrections, state, stored.record))
    }

    fn session(
        &self,
        id: String,
        media: Media,
        legacy_corrections: bool,
        state: State,
        record: Record,
    ) -> Arc<Session> {
        let used = self.uses.fetch_add(1, Ordering::Relaxed);
        Arc::new(Session {
            id,
            key: used,
            media,
            legacy_corrections,
            track: Track::new(state),
            record: Mutex::new(record),
            turn: Arc::default(),
            tracking: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            hover: AtomicU64::new(0),
            used: AtomicU64::new(used),
            used_at: Mutex::new(Instant::now()),
        })
    }

    /// Begins a session. Reads the first frame of a video, which takes time.
    ///
    /// # Errors
    ///
    /// `limit` if all sessions are in use, and those of the engine.
    pub fn begin(
        &self,
        root: &Mutex<VideoPredictor>,
        media: Media,
        legacy_corrections: bool,
    ) -> Result<Arc<Session>, Problem> {
        let id = ids::random().map_err(|e| Problem::internal(e.to_string()))?;
        let predictor = media.predictor(root, legacy_corrections)?;
        let size = predictor.video_size();
        let record = Record { size: [size.width, size.height], frames: predictor.num_frames(), ..Default::default() };
        let state = State::Live(Box::new(predictor));
        let session = self.session(id.clone(), media, legacy_corrections, state, record);
        let dropped = {
            let mut all = lock(&self.all);
            let mut dropped = None;
            if all.len() >= self.most {
                let idle = all.values().filter(|session| !session.is_tracking());
                let oldest = idle.min_by_key(|session| session.used.load(Ordering::Relaxed)).map(|s| s.id.clone());
                let oldest = oldest.ok_or_else(|| Problem::limit("all sessions are in use"))?;
                dropped = all.remove(&oldest);
            }
            all.insert(id, session.clone());
            dropped
        };
        if let Some(old) = dropped {
            self.delete_files(&old.id);
        }
        Ok(session)
    }

    /// A session by its id. It counts as used.
    ///
    /// # Errors
    ///
    /// `not-found`.
    pub fn get(&self, id: &str) -> Result<Arc<Session>, Problem> {
        let session = lock(&self.all).get(id).cloned().ok_or_else(|| Problem::not_found("no such session"))?;
        session.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        *lock(&session.used_at) = Instant::now();
        Ok(session)
    }

    /// All sessions, the latest used first.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Session>> {
        let mut all: Vec<_> = lock(&self.all).values().cloned().collect();
        all.sort_by_key(|session| std::cmp::Reverse(session.used.load(Ordering::Relaxed)));
        all
    }

    /// Whether a session uses a video.
    #[must_use]
    pub fn uses(&self, video: &str) -> bool {
        let uses = |session: &Arc<Session>| matches!(&session.media, Media::Video(v) if v.id == video);
        lock(&self.all).values().any(uses)
    }

    /// Ends a session. A propagation ends after its frame.
    ///
    /// # Errors
    ///
    /// `not-found`.
    pub fn remove(&self, id: &str) -> Result<(), Problem> {
        let session = lock(&self.all).remove(id).ok_or_else(|| Problem::not_found("no such session"))?;
        session.cancel();
        self.delete_files(id);
        Ok(())
    }

    fn delete_files(&self, id: &str) {
        for extension in ["json", "safetensors"] {
            let _ = fs::remove_file(self.folder.join(format!("{id}.{extension}")));
        }
    }

    /// Bytes of all sessions in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.list().iter().map(|session| session.bytes()).sum()
    }

    /// Ends the sessions that were not used for `gone`. Saves the predictors of sessions that were not used for `idle`, and
    /// of the least recently used sessions over the limit of memory. Runs on a lane, so that no session is at work.
    pub fn tidy(&self, idle: Duration, gone: Duration) {
        let mut bytes = self.bytes();
        for session in self.list().iter().rev() {
            let unused = lock(&session.used_at).elapsed();
            if session.is_tracking() {
                continue;
            }
            if unused > gone {
                let _ = self.remove(&session.id);
                continue;
            }
            if unused <= idle && bytes <= self.most_bytes {
                continue;
            }
            let before = session.bytes();
            match session.save(&self.folder) {
                Ok(_) => bytes = bytes.saturating_sub(before - session.bytes()),
                Err(problem) => log::error!("a session was not saved: {problem:?}"),
            }
        }
    }

    /// Saves all sessions, for the next start of the server.
    ///
    /// # Errors
    ///
    /// The first problem; the others are saved nevertheless.
    pub fn save_all(&self) -> Result<(), Problem> {
        let mut first = Ok(());
        for session in self.list() {
            let saved = session.save(&self.folder).and_then(|_| self.store(&session));
            if let Err(problem) = saved {
                log::error!("a session was not saved: {problem:?}");
                first = first.and(Err(problem));
            }
        }
        first
    }

    fn store(&self, session: &Session) -> Result<(), Problem> {
        let (video, window) = match &session.media {
            Media::Video(video) => (Some(video.id.clone()), 0),
            Media::Stream(window) => (None, *window),
        };
        let record = std::mem::take(&mut *session.record());
        let stored = Stored { video, window, legacy_corrections: session.legacy_corrections, record };
        let bytes = serde_json::to_vec(&stored).map_err(|e| Problem::internal(e.to_string()))?;
        *session.record() = stored.record;
        write_whole(&self.folder.join(format!("{}.json", session.id)), &bytes).map_err(|e| disk(&e))
    }
}
