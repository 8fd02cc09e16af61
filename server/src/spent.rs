//! How long the units of work of a request waited and worked.

use std::cell::Cell;
use std::time::Duration;

/// Times of the units of work of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// The time that they waited.
    pub waited: Duration,
    /// The time that they worked.
    pub worked: Duration,
}

tokio::task_local! {
    static SPENT: Cell<Spent>;
}

/// Runs the work of a request, and counts the times of its units.
pub async fn count<T>(work: impl Future<Output = T>) -> (T, Spent) {
    SPENT.scope(Cell::default(), async { (work.await, SPENT.with(Cell::get)) }).await
}

/// Adds the times of a unit to those of the request that runs it. Work outside of a request, such as a propagation whose
/// answer has begun, is not counted.
pub fn spend(waited: Duration, worked: Duration) {
    let add = |spent: &Cell<Spent>| {
        let Spent { waited: w, worked: k } = spent.get();
        spent.set(Spent { waited: w + waited, worked: k + worked });
    };
    // It fails outside of a request.
    let _ = SPENT.try_with(add);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn units_of_a_request_are_counted() {
        let second = Duration::from_secs(1);
        spend(second, second);
        let (answer, spent) = count(async {
            spend(second, 2 * second);
            spend(second, second);
            7
        })
        .await;
        assert_eq!((answer, spent), (7, Spent { waited: 2 * second, worked: 3 * second }));
    }
}
