//! Both ends of the tunnel that is measured: an echo upstream, and clients that speak before they are spoken to.

pub(crate) mod client;
pub(crate) mod echo;
pub(crate) mod wire;

/// What the upstream says as soon as the upgrade is answered.
pub(crate) const GREETING: &str = "maru-bench: you are through";
