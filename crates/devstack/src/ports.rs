//! Ports.
//!
//! The gateway's port is a person's choice; all others are found here. They lie between 20000 and 32000, below the
//! range from which Linux and macOS take the ports of outgoing connections, so that no such connection can be in the
//! way. A port that was used before is used again when it is free: addresses noted by a person stay valid.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
};

use crate::{fault::Fault, files, secrets};

/// Where ports are looked for.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;

/// The gateway's port unless `MARU_PORT` says otherwise.
const GATEWAY_DEFAULT: u16 = 8080;

/// How many ports from the default on `MARU_PORT=auto` tries.
const GATEWAY_ATTEMPTS: u16 = 100;

/// What `MARU_PORT` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GatewayPort {
    /// This one or none.
    Exactly(u16),
    /// The first free one from the default on.
    NextFree,
}

impl GatewayPort {
    /// Reads `MARU_PORT`.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, Fault> {
        match text {
            None => Ok(Self::Exactly(GATEWAY_DEFAULT)),
            Some("auto") => Ok(Self::NextFree),
            Some(text) => match text.parse() {
                Ok(port) if port > 0 => Ok(Self::Exactly(port)),
                _ => Err(Fault::new(
                    format!("MARU_PORT={text} is no port"),
                    "set a number from 1 to 65535, or `auto` for the next free port",
                )),
            },
        }
    }

    /// The port to listen on, proven free a moment ago.
    pub(crate) fn choose(self) -> Result<u16, Fault> {
        match self {
            Self::Exactly(port) => match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                Ok(_) => Ok(port),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    Err(Fault::new(format!("no rights to listen on port {port}"), "set MARU_PORT to one above 1023"))
                }
                Err(_) => Err(Fault::new(
                    format!("port {port} is taken"),
                    "stop the program that uses it, or run this with MARU_PORT=auto for the next free port",
                )),
            },
            Self::NextFree => {
                (GATEWAY_DEFAULT..GATEWAY_DEFAULT + GATEWAY_ATTEMPTS).find(|port| is_free(*port)).ok_or_else(|| {
                    Fault::new(
                        format!("no port from {GATEWAY_DEFAULT} on is free"),
                        "set MARU_PORT to a port of your choice",
                    )
                })
            }
        }
    }
}

/// Whether a listener on the loopback address could be opened.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The ports of one stack.
pub(crate) struct Ports {
    kept_in: Option<PathBuf>,
    remembered: BTreeMap<String, u16>,
    given: BTreeSet<u16>,
}

impl Ports {
    /// The ports of a stack that comes back: remembered in a file.
    pub(crate) fn remembered_in(path: PathBuf) -> Self {
        let remembered = files::read_json(&path).unwrap_or_default();
        Self { kept_in: Some(path), remembered, given: BTreeSet::new() }
    }

    /// The ports of a stack that does not.
    pub(crate) fn transient() -> Self {
        Self { kept_in: None, remembered: BTreeMap::new(), given: BTreeSet::new() }
    }

    /// A free port for `name`, never given to anyone else of this stack.
    pub(crate) fn pick(&mut self, name: &str) -> Result<u16, Fault> {
        self.pick_where(name, |_any| true)
    }

    /// A free port for `name` with another one at this distance behind it, which is free and nobody else's too.
    pub(crate) fn pick_pair(&mut self, name: &str, distance: u16) -> Result<u16, Fault> {
        let taken: BTreeSet<u16> = self.given.iter().chain(self.remembered.values()).copied().collect();
        let port = self.pick_where(name, |port| {
            let other = port.saturating_add(distance);
            other < LAST && !taken.contains(&other) && is_free(other)
        })?;
        self.given.insert(port + distance);
        Ok(port)
    }

    fn pick_where(&mut self, name: &str, fits: impl Fn(u16) -> bool) -> Result<u16, Fault> {
        let before = self.remembered.get(name).copied().filter(|port| (FIRST..LAST).contains(port));
        let reserved: BTreeSet<u16> = self.remembered.values().copied().collect();
        let start = secrets::random_u16()? % (LAST - FIRST);
        let fresh = (0..LAST - FIRST).map(|step| FIRST + (start + step) % (LAST - FIRST));
        let port = before
            .into_iter()
            .chain(fresh.filter(|port| !reserved.contains(port)))
            .find(|port| !self.given.contains(port) && fits(*port) && is_free(*port))
            .ok_or_else(|| {
                Fault::new(format!("no port from {FIRST} to {LAST} is free"), "end programs that hold many ports")
            })?;
        self.given.insert(port);
        self.remembered.insert(name.to_owned(), port);
        Ok(port)
    }

    /// A port for `name` after the last one turned out to be taken by someone faster.
    pub(crate) fn pick_another(&mut self, name: &str) -> Result<u16, Fault> {
        self.forget(name);
        self.pick(name)
    }

    /// Forgets the port of `name`: it turned out to be taken.
    pub(crate) fn forget(&mut self, name: &str) {
        self.remembered.remove(name);
    }

    /// Remembers the ports for the next start.
    pub(crate) fn save(&self) -> Result<(), Fault> {
        match &self.kept_in {
            Some(path) => files::replace_json(path, &self.remembered),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateways_port_is_a_number_or_auto() {
        assert_eq!(GatewayPort::parse(None), Ok(GatewayPort::Exactly(8080)));
        assert_eq!(GatewayPort::parse(Some("9000")), Ok(GatewayPort::Exactly(9000)));
        assert_eq!(GatewayPort::parse(Some("auto")), Ok(GatewayPort::NextFree));
        for wrong in ["0", "65536", "eighty", "-1"] {
            assert!(GatewayPort::parse(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_taken_port_is_named_with_the_way_out() {
        let mut ports = Ports::transient();
        let port = ports.pick("x").expect("a free port");
        let _holder = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("just proven free");
        let sentence = GatewayPort::Exactly(port).choose().expect_err("taken").to_string();
        assert!(sentence.contains(&port.to_string()) && sentence.contains("MARU_PORT=auto"), "{sentence}");
    }

    #[test]
    fn a_pair_is_nobody_elses() {
        let mut ports = Ports::transient();
        let pairs = ["a", "b"].map(|name| ports.pick_pair(name, 10_000).expect("a free pair"));
        let mut all: BTreeSet<u16> = pairs.iter().flat_map(|port| [*port, port + 10_000]).collect();
        assert!(all.len() == 4 && all.iter().all(|port| (FIRST..LAST).contains(port)), "{all:?}");
        assert!(all.insert(ports.pick("c").expect("a free port")));
    }

    #[test]
    fn a_name_keeps_its_port_while_it_is_free() {
        let mut ports = Ports::transient();
        let first = ports.pick("a").expect("a free port");
        let mut later = Ports { kept_in: None, remembered: ports.remembered.clone(), given: BTreeSet::new() };
        assert_ne!(later.pick("b").expect("a free port"), first);
        assert_eq!(later.pick("a").expect("a free port"), first);
        let _holder = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).expect("just proven free");
        let mut latest = Ports { kept_in: None, remembered: later.remembered.clone(), given: BTreeSet::new() };
        assert_ne!(latest.pick("a").expect("a free port"), first);
    }
}
