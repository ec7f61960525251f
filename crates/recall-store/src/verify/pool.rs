//! Work on all processors, with results in the order of the jobs.
//!
//! It must not know what the work is.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Jobs that may be done before the first that is not: bounds the results that wait.
const AHEAD: usize = 128;

struct Desk<R> {
    state: Mutex<State<R>>,
    /// A result has come.
    came: Condvar,
    /// A result was taken, or all is over.
    taken: Condvar,
}

struct State<R> {
    /// The next job that nobody has begun.
    next: usize,
    /// The next whose result is to be handed on.
    awaited: usize,
    over: bool,
    results: BTreeMap<usize, Option<R>>,
}

impl<R> Desk<R> {
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job of `count`, once it is not too far ahead.
    fn take(&self, count: usize) -> Option<usize> {
        let far = |state: &mut State<R>| !state.over && state.next < count && state.next >= state.awaited.saturating_add(AHEAD);
        let mut state = self.taken.wait_while(self.lock(), far).unwrap_or_else(PoisonError::into_inner);
        if state.over || state.next >= count {
            return None;
        }
        let job = state.next;
        state.next = job.saturating_add(1);
        Some(job)
    }

    fn give(&self, job: usize, result: Option<R>) {
        self.lock().results.insert(job, result);
        self.came.notify_one();
    }

    /// Waits for the result of the job that is awaited.
    fn result(&self) -> Option<R> {
        let mut state =
            self.came.wait_while(self.lock(), |state| !state.results.contains_key(&state.awaited)).unwrap_or_else(PoisonError::into_inner);
        let awaited = state.awaited;
        state.awaited = awaited.saturating_add(1);
        let result = state.results.remove(&awaited);
        drop(state);
        self.taken.notify_all();
        result.flatten()
    }
}

/// Ends the work of all threads, also when the one that takes results panics.
struct Over<'d, R>(&'d Desk<R>);

impl<R> Drop for Over<'_, R> {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.taken.notify_all();
    }
}

/// Does `work` on each of `jobs` with as many threads, each with tools of its own, and hands the results to `each` in order, `None` where
/// the work panicked. `each` ends it by returning false.
pub(super) fn in_order<J: Sync, T, R: Send>(
    jobs: &[J],
    threads: usize,
    tools: impl Fn() -> T + Sync,
    work: impl Fn(&mut T, &J) -> R + Sync,
    mut each: impl FnMut(&J, Option<R>) -> bool,
) {
    let desk = Desk {
        state: Mutex::new(State { next: 0, awaited: 0, over: false, results: BTreeMap::new() }),
        came: Condvar::new(),
        taken: Condvar::new(),
    };
    thread::scope(|scope| {
        let _over = Over(&desk);
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(|| {
                let mut own = None;
                while let Some(number) = desk.take(jobs.len()) {
                    let job = jobs.get(number);
                    let done = catch_unwind(AssertUnwindSafe(|| job.map(|job| work(own.get_or_insert_with(&tools), job))));
                    if done.is_err() {
                        own = None;
                    }
                    desk.give(number, done.ok().flatten());
                }
            });
        }
        for job in jobs {
            if !each(job, desk.result()) {
                break;
            }
        }
    });
}

#[cfg(test)]
mod tests;
