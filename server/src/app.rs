//! What all routes share.

use crate::fetch::Origin;
use crate::images::Images;
use crate::lane::Lane;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::problem::Problem;
use crate::projects::Projects;
use crate::schedule::{Class, Scheduler};
use crate::sessions::Sessions;
use crate::videos::Videos;
use sam2::{Model, Retention, VideoPredictor};
use serde_json::{Value, json};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Images that are decoded at once, outside of the lanes.
const DECODERS: usize = 4;
/// A session that was not used for this time is saved to disk.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// A session that was not used for this time is ended.
const GONE: Duration = Duration::from_secs(24 * 3600);

/// The state of the server.
#[derive(Debug)]
pub struct App {
    /// The model, of which there is one copy.
    pub model: Model,
    /// Searches for all objects that may run at once.
    pub searches: Arc<Semaphore>,
    /// Images that may be decoded at once.
    pub decoders: Arc<Semaphore>,
    /// Exports that may be made at once.
    pub exports: Arc<Semaphore>,
    /// The lanes.
    pub lanes: Scheduler<Lane>,
    /// The images.
    pub images: Images,
    /// The videos.
    pub videos: Videos,
    /// Files that clients saved.
    pub projects: Projects,
    /// Where images of Label Studio are fetched.
    pub label_studio: Option<Origin>,
    /// The sessions.
    pub sessions: Sessions,
    /// The predictor whose worker all sessions share; none if the model is for images alone.
    root: Option<Mutex<VideoPredictor>>,
    /// Whether the server ends.
    closing: AtomicBool,
    /// What the server counts.
    pub metrics: Metrics,
    /// The options.
    pub options: Options,
    about: Value,
}

impl App {
    /// The state of a server with this model.
    ///
    /// # Errors
    ///
    /// The data folder cannot be read or written, the address of Label Studio is none, or the system gives no more
    /// threads.
    ///
    /// # Panics
    ///
    /// A lane panics if there is no memory for its predictor.
    pub fn new(model: Model, options: &Options) -> io::Result<App> {
        let here = model.clone();
        let lane = move || {
            // Memory for a predictor was there a moment ago; without it there is no server.
            let image = here.image_predictor(Default::default());
            Lane::new(image.unwrap_or_else(|e| panic!("a lane has no predictor: {e}")))
        };
        let wrong = |e: &dyn std::fmt::Debug| io::Error::other(format!("{e:?}"));
        let videos = Videos::open(&options.data, options.data_limit)?;
        let projects = Projects::open(&options.data, &videos)?;
        let key = options.label_studio_key.as_deref();
        let label_studio = options.label_studio_url.as_deref().map(|url| Origin::parse(url, key)).transpose();
        let label_studio = label_studio.map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        let half = options.memory_limit / 2;
        let sessions = Sessions::open(&options.data, &videos, options.max_sessions, half)?;
        let root = model.video_stream(Retention::Window(0), Default::default());
        let root = root.map_err(|e| log::warn!("no videos: {e}")).ok().map(Mutex::new);
        let about = json!({
            "version": env!("CARGO_PKG_VERSION"), "device": model.device(), "precision": model.precision().name(),
            "isa": model.isa().map(|isa| isa.name()), "model": options.model_name,
            "image_size": model.config().image_size, "limits": options.limits(), "videos": root.is_some(),
        });
        Ok(App {
            searches: Arc::new(Semaphore::new(1)),
            decoders: Arc::new(Semaphore::new(DECODERS)),
            exports: Arc::new(Semaphore::new(1)),
            lanes: Scheduler::new(1, options.max_queue, lane)?,
            images: Images::new(options.max_images, half).map_err(|e| wrong(&e))?,
            videos,
            projects,
            label_studio,
            sessions,
            root,
            closing: AtomicBool::new(false),
            metrics: Metrics::default(),
            options: options.clone(),
            model,
            about,
        })
    }

    /// The predictor whose worker all sessions share.
    ///
    /// # Errors
    ///
    /// `input` if the model is for images alone.
    pub fn root(&self) -> Result<&Mutex<VideoPredictor>, Problem> {
        self.root.as_ref().ok_or_else(|| Problem::input("the model is for images alone"))
    }

    /// Whether the server takes work, and no unit of work takes too long.
    ///
    /// # Errors
    ///
    /// `draining` if the server ends, `full` if a unit of work takes too long.
    pub fn check_ready(&self) -> Result<(), Problem> {
        let most = self.options.unit_timeout;
        match self.is_closing() {
            true => Err(Problem::draining("the server takes no work")),
            false if self.lanes.longest() > most => {
                Err(Problem::full(format!("a unit of work takes more than {} s", most.as_secs())))
            }
            false => Ok(()),
        }
    }

    /// Whether the server ends.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Has the server take no more work. Propagations end after their frame.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// The name of the model, for people.
    #[must_use]
    pub fn model_name(&self) -> &str {
        self.about["model"].as_str().unwrap_or_default()
    }

    /// What `GET /api/v1/models` says: the models, of which there is one.
    #[must_use]
    pub fn models(&self) -> Value {
        let about = |name: &str| self.about[name].clone();
        json!({"models": [{
            "name": about("model"), "image_size": about("image_size"), "precision": about("precision"),
            "videos": about("videos"),
        }]})
    }

    /// What `GET /api/v1/system` says.
    #[must_use]
    pub fn about(&self) -> Value {
        let mut about = self.about.clone();
        about["memory_bytes"] = json!(self.images.feature_bytes() + self.sessions.bytes());
        about["waiting"] = json!(self.lanes.waiting());
        about
    }

    /// Saves or ends sessions over the limits, as a unit of work.
    pub fn tidy(self: &Arc<App>) {
        let here = self.clone();
        // A server without room for one more unit tidies later.
        let _ = self.lanes.submit(Class::Bulk, 0, move |_| here.sessions.tidy(IDLE, GONE));
    }
}
