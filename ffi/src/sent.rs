//! Pointers of callers that move to threads of the library.

/// A pointer of the caller that moves to another thread, as documented.
pub(crate) struct Sent<T>(T);

// SAFETY: contract of callers: memory of a job remains valid and unused by others until the job ends.
unsafe impl<T> Send for Sent<T> {}

impl<T> Sent<T> {
    /// # Safety
    /// Any one thread may use the value until the job ends.
    pub unsafe fn new(value: T) -> Self {
        Sent(value)
    }

    pub fn get(&self) -> &T {
        &self.0
    }
}
