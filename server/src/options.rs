//! The options of the server.

use crate::guard::Guard;
use crate::{body, images, sessions, videos};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// A client of another server, whose requests this server can answer too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compat {
    /// The frontend of the reference's demo of videos.
    Meta,
    /// The frontend of a demo of images.
    ImageDemo,
    /// Label Studio, for which the server is an ML backend.
    LabelStudio,
    /// The SDK of Roboflow's inference server.
    Roboflow,
    /// X-AnyLabeling, for which the server is a remote server.
    XAnyLabeling,
}

impl Compat {
    /// All clients with their names.
    pub const ALL: [(&str, Compat); 5] = [
        ("meta", Compat::Meta),
        ("image-demo", Compat::ImageDemo),
        ("label-studio", Compat::LabelStudio),
        ("roboflow", Compat::Roboflow),
        ("x-anylabeling", Compat::XAnyLabeling),
    ];
}

impl FromStr for Compat {
    type Err = String;

    fn from_str(name: &str) -> Result<Compat, String> {
        let found = Compat::ALL.iter().find(|(known, _)| *known == name).map(|(_, compat)| *compat);
        found.ok_or_else(|| format!("`{name}` is none of {}", Compat::ALL.map(|(known, _)| known).join(", ")))
    }
}

/// The options of the server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who may ask.
    pub guard: Guard,
    /// The name of the model, for people.
    pub model_name: String,
    /// The folder of videos and saved sessions.
    pub data: PathBuf,
    /// The most bytes of the data folder.
    pub data_limit: u64,
    /// The most bytes of memory for features and sessions, beside the weights.
    pub memory_limit: usize,
    /// The most images.
    pub max_images: usize,
    /// The most sessions.
    pub max_sessions: usize,
    /// The most units of work that wait.
    pub max_queue: usize,
    /// Whether `/metrics` needs no key.
    pub metrics_public: bool,
    /// The most connections.
    pub max_connections: usize,
    /// The most connections of one address other than loopback, behind which a proxy may be.
    pub max_per_address: usize,
    /// The head of a request must come within this time.
    pub head_timeout: Duration,
    /// A body of which nothing comes for this time is given up.
    pub body_timeout: Duration,
    /// A client that reads nothing of a stream for this time is cut off.
    pub stall_timeout: Duration,
    /// The server is not ready while a unit of work takes longer than this.
    pub unit_timeout: Duration,
    /// Whether the lines about requests are JSON.
    pub log_json: bool,
    /// The clients of other servers whose requests are answered.
    pub compat: Vec<Compat>,
    /// The address of Label Studio, such as `http://localhost:8080`, from which images of its tasks are fetched. Without
    /// it, tasks must contain their images.
    pub label_studio_url: Option<String>,
    /// The key that Label Studio gave out for its API. It is sent to that address alone.
    pub label_studio_key: Option<String>,
}

impl Options {
    /// Options with the default limits.
    #[must_use]
    pub fn new(guard: Guard, model_name: String, data: PathBuf) -> Options {
        Options {
            guard,
            model_name,
            data,
            data_limit: 10 << 30,
            memory_limit: half_of_memory(),
            max_images: 64,
            max_sessions: 64,
            max_queue: 256,
            metrics_public: false,
            max_connections: 256,
            max_per_address: 32,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(60),
            unit_timeout: Duration::from_secs(300),
            log_json: false,
            compat: vec![Compat::Meta, Compat::ImageDemo],
            label_studio_url: None,
            label_studio_key: None,
        }
    }

    /// The limits in JSON.
    #[must_use]
    pub fn limits(&self) -> Value {
        json!({
            "image_bytes": images::MAX_IMAGE, "json_bytes": body::MAX_JSON, "video_bytes": videos::MAX_VIDEO,
            "video_frames": videos::MAX_FRAMES, "video_side": videos::MAX_SIDE, "objects": sessions::MAX_OBJECTS,
            "window": sessions::MAX_WINDOW, "images": self.max_images, "sessions": self.max_sessions,
            "queue": self.max_queue, "memory_bytes": self.memory_limit, "data_bytes": self.data_limit,
        })
    }
}

/// Half of the machine's memory, or 4 GiB where it is not known.
fn half_of_memory() -> usize {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    total.map_or(4 << 30, |kib: usize| kib.saturating_mul(512))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clients() {
        assert!(Compat::ALL.iter().all(|(name, compat)| name.parse() == Ok(*compat)));
        let wrong = "Meta".parse::<Compat>().unwrap_err();
        assert_eq!(wrong, "`Meta` is none of meta, image-demo, label-studio, roboflow, x-anylabeling");
    }
}
