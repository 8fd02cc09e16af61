//! What the interface knows beside the core: who began which session, and which propagations are about to begin.

use crate::app::App;
use crate::lock::lock;
use crate::problem::Problem;
use crate::sessions::Session;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// The most sessions of an address. The page of the demo begins a session at every "Start over" and ends none.
const MAX_SESSIONS: usize = 8;

/// The state of the interface.
#[derive(Debug, Default)]
pub struct State {
    /// The sessions that were begun here, and the addresses that began them.
    owners: Mutex<HashMap<String, Option<IpAddr>>>,
    /// The propagations that are about to begin: how many, and whether they are cancelled.
    starting: Mutex<HashMap<String, (usize, bool)>>,
}

impl State {
    /// Takes note of a session of an address. Of too many sessions, the one that was used least recently ends.
    ///
    /// # Errors
    ///
    /// `limit` if all others track. The new session is ended then.
    pub fn own(&self, app: &App, session: &Session, client: Option<IpAddr>) -> Result<(), Problem> {
        let mut owners = lock(&self.owners);
        let all = app.sessions.list();
        owners.retain(|id, _| all.iter().any(|session| session.id == *id));
        owners.insert(session.id.clone(), client);
        let mut own: Vec<_> = all.iter().filter(|session| owners.get(&session.id) == Some(&client)).collect();
        while own.len() > MAX_SESSIONS {
            let idle = own.iter().rposition(|other| other.id != session.id && !other.is_tracking());
            let ended = idle.map_or(&session.id, |i| &own[i].id).clone();
            // Another call may have ended it.
            let _ = app.sessions.remove(&ended);
            if ended == session.id {
                return Err(Problem::limit("all sessions of this address track"));
            }
            own.retain(|other| other.id != ended);
        }
        Ok(())
    }

    /// Says that a propagation of a session is about to begin, until the value is dropped.
    pub fn starting<'a>(&'a self, session: &'a str) -> Starting<'a> {
        lock(&self.starting).entry(session.into()).or_default().0 += 1;
        Starting { state: self, session }
    }

    /// Cancels the propagation that is about to begin, if there is one.
    pub fn cancel(&self, session: &str) {
        if let Some((_, cancelled)) = lock(&self.starting).get_mut(session) {
            *cancelled = true;
        }
    }
}

/// A propagation that is about to begin.
#[derive(Debug)]
pub struct Starting<'a> {
    state: &'a State,
    session: &'a str,
}

impl Starting<'_> {
    /// Cancels the propagation, which runs by now, if it was cancelled while it was about to begin.
    pub fn pass_on(&self, session: &Arc<Session>) {
        if lock(&self.state.starting).get(self.session).is_some_and(|(_, cancelled)| *cancelled) {
            session.cancel();
        }
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        let mut all = lock(&self.state.starting);
        if let Some((count, _)) = all.get_mut(self.session) {
            *count -= 1;
            if *count == 0 {
                all.remove(self.session);
            }
        }
    }
}
