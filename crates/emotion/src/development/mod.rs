//! The demo conversation of development machines.

mod seed;

pub(crate) use seed::run as seed;
