//! The scenarios: what is started, what is measured, and what the figures are put beside.

pub(crate) mod accounts;
pub(crate) mod all;
pub(crate) mod emotion;
pub(crate) mod focus;
pub(crate) mod gateway;
pub(crate) mod hot_sale;
pub(crate) mod hot_seats;
pub(crate) mod latency;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod memos;
pub(crate) mod sessions;
pub(crate) mod sockets;
pub(crate) mod tunnel;
pub(crate) mod viewers;
pub(crate) mod waiting_room;

/// What a scenario says by its exit code; a missed goal of speed is no failure, a lost message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
}
