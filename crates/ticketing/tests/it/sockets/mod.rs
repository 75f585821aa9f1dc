//! Socket.IO over real sockets, on two replicas.

mod counting;
mod crowds;
mod doors;
mod faults;
mod hall;
mod polling;
mod resuming;
mod stock_clients;
mod telling;
mod words;

pub(crate) use hall::Hall;
