//! `maru-gateway` over real HTTP, before services that are scripted here.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod attacks;
mod balancing;
mod bodies;
mod browsers;
mod caller;
mod failures;
mod heads;
mod identity;
mod limits;
mod pages;
mod paths;
mod routes;
mod scripted;
mod seen;
mod stage;
mod tickets;
mod tunnels;

pub(crate) use caller::Caller;
pub(crate) use stage::Stage;
