//! The one place that starts tasks.

use tokio::task::JoinHandle;

/// Starts a task. Every caller ends it by a token or a closed channel that the caller owns; `maru-dev` has no service
/// lifecycle that could own it instead.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper that the rest of the crate goes through")]
pub(crate) fn spawn<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(task)
}
