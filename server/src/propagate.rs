//! Propagation: a session's objects are tracked frame by frame, and each frame is one unit of work.
//!
//! The masks go to a channel of a few frames. A client that does not read stops its own propagation and nothing else.

use crate::app::App;
use crate::lane::Lane;
use crate::masks::Format;
use crate::problem::Problem;
use crate::schedule::Class;
use crate::sessions::{Media, Session};
use crate::tracking::Visit;
use crate::tracks::{Tracked, frame_json};
use axum::response::sse::Event;
use sam2::{Direction, Size};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Frames that wait for a client.
const AHEAD: usize = 8;

/// The direction of a propagation.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// To the end.
    #[default]
    Forward,
    /// To the first frame.
    Backward,
    /// To the end, then from the start frame to the first one.
    Both,
}

/// A propagation, as it is asked for.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The first frame; by default the earliest frame with a prompt.
    pub start: Option<usize>,
    /// The direction.
    #[serde(default)]
    pub direction: Way,
    /// The most frames after the first one, in each direction.
    pub max_frames: Option<usize>,
    /// How masks are written.
    #[serde(default)]
    pub format: Format,
}

/// What a propagation tells, in order.
#[derive(Clone, Debug)]
pub enum Told {
    /// The masks of a frame.
    Frame(usize, Vec<Tracked>),
    /// How far it is.
    Progress {
        /// Frames that were tracked.
        done: usize,
        /// All frames.
        total: usize,
    },
    /// The end.
    Done {
        /// Whether it was cancelled.
        cancelled: bool,
    },
    /// The server ends.
    Shutdown,
    /// The end of a propagation that failed.
    Failed(Problem),
}

impl Told {
    /// The server-sent event.
    pub fn event(&self, size: Size, format: Format) -> Event {
        let (name, data) = match self {
            Told::Frame(frame, masks) => match frame_json(*frame, masks, size, format) {
                Ok(value) => return Event::default().event("frame").id(frame.to_string()).data(value.to_string()),
                Err(problem) => ("error", problem.json()),
            },
            Told::Progress { done, total } => ("progress", json!({"done": done, "total": total})),
            Told::Done { cancelled } => ("done", json!({"cancelled": cancelled})),
            Told::Shutdown => ("shutdown", json!({})),
            Told::Failed(problem) => ("error", problem.json()),
        };
        Event::default().event(name).data(data.to_string())
    }
}

/// Starts a propagation. The receiver gets what it tells. It ends early when the receiver is dropped.
///
/// # Errors
///
/// `busy` if the session is at work, and `input` if there is nothing to track.
pub async fn start(app: &Arc<App>, session: Arc<Session>, plan: Plan) -> Result<Receiver<Told>, Problem> {
    if matches!(session.media, Media::Stream(_)) {
        return Err(Problem::input("a stream is tracked as its frames are pushed"));
    }
    let turn = session.turn(false).await?;
    {
        let record = session.record();
        if record.objects.is_empty() {
            return Err(Problem::input("nothing to track: give points, a box or a mask first"));
        }
        if plan.start.is_some_and(|start| start >= record.frames) {
            return Err(Problem::input(format!("no start frame: the video has {} frames", record.frames)));
        }
    }
    session.set_tracking(true);
    let (send, receive) = channel(AHEAD);
    let app = app.clone();
    tokio::spawn(async move {
        let end = follow(&app, &session, plan, &send).await;
        session.set_tracking(false);
        drop(turn);
        if let Some(end) = end {
            let _ = send.send_timeout(end, app.options.stall_timeout).await;
        }
    });
    Ok(receive)
}

/// Tracks to one frame as a unit of work.
async fn track(
    app: &Arc<App>,
    session: &Arc<Session>,
    frame: Option<usize>,
    direction: Direction,
) -> Result<(usize, Vec<Tracked>), Problem> {
    let (here, of) = (app.clone(), session.clone());
    let unit = move |lane: &mut Lane| Visit { lane, root: here.root()?, session: &of }.track(frame, direction);
    app.lanes.run(Class::Bulk, session.key, unit).await?
}

/// Tracks to all frames. Returns how it ended, or nothing if the client is gone.
async fn follow(app: &Arc<App>, session: &Arc<Session>, plan: Plan, to: &Sender<Told>) -> Option<Told> {
    let first_way = if plan.direction == Way::Backward { Direction::Backward } else { Direction::Forward };
    let frames = session.record().frames;
    let most = plan.max_frames.unwrap_or(frames);
    // The start is known when the first frame is tracked.
    if plan.direction == Way::Backward && plan.start == Some(0) {
        return Some(Told::Done { cancelled: false });
    }
    let (start, masks) = match track(app, session, plan.start, first_way).await {
        Ok(found) => found,
        Err(problem) => return Some(Told::Failed(problem)),
    };
    // As in the reference, the start frame comes again before those before it, and nothing is tracked backwards from
    // the first frame.
    let forward = (start + 1..=start.saturating_add(most).min(frames - 1)).map(|frame| (frame, Direction::Forward));
    let backward = (start.saturating_sub(most)..=start).rev().map(|frame| (frame, Direction::Backward));
    let order: Vec<(usize, Direction)> = match plan.direction {
        Way::Forward => forward.collect(),
        Way::Backward => backward.skip(1).collect(),
        Way::Both if start == 0 => forward.collect(),
        Way::Both => forward.chain(backward).collect(),
    };
    let total = order.len() + 1;
    let mut next = Some((start, masks));
    for done in 1..=total {
        let (frame, masks) = match next.take() {
            Some(found) => found,
            None => match track(app, session, Some(order[done - 2].0), order[done - 2].1).await {
                Ok(found) => found,
                Err(problem) => return Some(Told::Failed(problem)),
            },
        };
        for told in [Told::Frame(frame, masks), Told::Progress { done, total }] {
            if let Err(e) = to.send_timeout(told, app.options.stall_timeout).await {
                if !to.is_closed() {
                    app.metrics.stalled();
                    log::warn!("a client that reads nothing was cut off: {e}");
                }
                return None;
            }
        }
        if done < total && session.is_cancelled() {
            return Some(Told::Done { cancelled: true });
        }
        if app.is_closing() {
            return Some(Told::Shutdown);
        }
    }
    Some(Told::Done { cancelled: false })
}
