//! Socket.IO over real sockets, on two replicas.

mod counting;
mod crowds;
mod doors;
mod faults;
mod hall;
mod npm;
mod polling;
mod resuming;
mod telling;
mod words;

pub(crate) use hall::Hall;
