//! Objects that one call or job uses at a time, and how their use is ended.

use crate::handles::{Lookup, Table};
use crate::limits;
use engine::CancellationToken;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

/// An object for one user at a time.
pub(crate) struct Exclusive<T> {
    state: Mutex<State<T>>,
    /// Tells that the use has ended.
    returned: Condvar,
}

enum State<T> {
    Idle(Box<T>),
    InUse {
        /// Ends the work of the user.
        token: CancellationToken,
        /// The thread that does the work.
        thread: Option<ThreadId>,
    },
    Destroyed,
}

impl<T> Exclusive<T> {
    pub fn new(value: T) -> Self {
        Exclusive { state: Mutex::new(State::Idle(Box::new(value))), returned: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the object, and leaves another state.
    fn replace(&self, what: &'static str, next: State<T>) -> Result<Box<T>, Lookup> {
        let mut state = self.state();
        match std::mem::replace(&mut *state, next) {
            State::Idle(value) => Ok(value),
            before => {
                let failure = before.failure(what);
                *state = before;
                Err(failure)
            }
        }
    }
}

impl<T> State<T> {
    /// Returns why an object that is not idle cannot be used.
    fn failure(&self, what: &'static str) -> Lookup {
        match self {
            State::InUse { thread, .. } if *thread == Some(std::thread::current().id()) => Lookup::InCallback(what),
            State::InUse { .. } => Lookup::Busy(what),
            State::Idle(_) | State::Destroyed => Lookup::Stale(what),
        }
    }
}

impl<T> Table<Exclusive<T>> {
    /// Looks up the object of a handle, for exclusive use. The time limit of the use begins now.
    pub fn lease<H>(&self, handle: *const H) -> Result<Lease<T>, Lookup> {
        let (of, token) = (self.get(handle)?, limits::token());
        let value = of.replace(self.what(), State::InUse { token: token.clone(), thread: None })?;
        let lease = Lease { value: Some(value), token, of };
        #[cfg(test)]
        crate::panics::at(crate::panics::PanicSite::Held);
        Ok(lease)
    }

    /// Takes the object of a handle, which becomes stale. Fails while the object is in use.
    pub fn take<H>(&self, handle: *const H) -> Result<T, Lookup> {
        let object = self.get(handle)?;
        let value = object.replace(self.what(), State::Destroyed)?;
        self.remove(handle)?;
        Ok(*value)
    }

    /// Ends the work that uses the object of a handle, if there is any. Does not wait for the end.
    pub fn cancel<H>(&self, handle: *const H) -> Result<(), Lookup> {
        if let State::InUse { token, .. } = &*self.get(handle)?.state() {
            token.cancel();
        }
        Ok(())
    }

    /// Destroys the object of a handle. Ends the work that uses it, and waits for the end. Fails if that work is a
    /// callback on this thread.
    pub fn destroy<H>(&self, handle: *const H) -> Result<(), Lookup> {
        let object = self.get(handle)?;
        if let Lookup::InCallback(what) = object.state().failure(self.what()) {
            return Err(Lookup::InCallback(what));
        }
        self.remove(handle)?;
        let mut state = object.state();
        loop {
            match std::mem::replace(&mut *state, State::Destroyed) {
                State::InUse { token, thread } => {
                    token.cancel();
                    *state = State::InUse { token, thread };
                    state = object.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                before => {
                    drop(state);
                    drop(before);
                    return Ok(());
                }
            }
        }
    }
}

/// Exclusive access to an object, which may move between threads. The value is returned after a panic too. It is
/// consistent, because values change only after everything that can fail.
pub(crate) struct Lease<T> {
    value: Option<Box<T>>,
    token: CancellationToken,
    of: Arc<Exclusive<T>>,
}

impl<T> Lease<T> {
    /// Returns the token that ends the work of [`Lease::run`].
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Does work with the object on this thread. [`Table::cancel`], [`Table::destroy`] and the time limit end it.
    pub fn run<R>(&mut self, work: impl FnOnce(&mut T) -> R) -> R {
        if let State::InUse { thread, .. } = &mut *self.of.state() {
            *thread = Some(std::thread::current().id());
        }
        let token = self.token();
        token.run(|| work(self))
    }
}

impl<T> Deref for Lease<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value.as_ref().expect("present until dropped")
    }
}

impl<T> DerefMut for Lease<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("present until dropped")
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            *self.of.state() = State::Idle(value);
            self.of.returned.notify_all();
        }
    }
}
