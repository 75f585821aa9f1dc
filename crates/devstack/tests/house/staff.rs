//! Processes that a test starts itself, with an environment of its own, beside a stack that lends them everything else.
//!
//! What `maru-dev` keeps running it starts again as it was. Here each process can come back with other keys, as it does
//! when a Secret of a cluster has changed.

use std::{
    collections::BTreeMap,
    fs::File,
    net::TcpListener,
    process::Stdio,
    sync::atomic::{AtomicU16, Ordering::Relaxed},
};

use reqwest::Method;
use testkit::eventually;
use tokio::process::{Child, Command};

use crate::{load::LONG, person::Person, stack::Stack};

/// Ports to try, outside those that the system gives to clients.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The replicas of some services.
pub(crate) struct Staff<'a> {
    stack: &'a Stack,
    replicas: Vec<Replica>,
    /// What a service is told: what the stack tells its own, with changes.
    environments: BTreeMap<&'static str, BTreeMap<String, String>>,
}

struct Replica {
    service: &'static str,
    port: u16,
    /// Where it says whether it is ready: at the gateway, another port.
    probe: u16,
    process: Option<Child>,
}

impl<'a> Staff<'a> {
    /// Gives so many replicas of each of these services a place. They know each other, and of the rest the stack's.
    pub(crate) fn of(stack: &'a Stack, services: &[&'static str], count: usize) -> Self {
        let mut staff = Self { stack, replicas: Vec::new(), environments: BTreeMap::new() };
        for &service in services {
            staff.environments.insert(service, stack.environment(service));
            for _ in 0..count {
                let port = free_port();
                let probe = if service == "gateway" { free_port() } else { port };
                staff.replicas.push(Replica { service, port, probe, process: None });
            }
        }
        for &service in services {
            let urls = staff.urls(service).join(",");
            for environment in staff.environments.values_mut() {
                environment.insert(format!("{}_URLS", service.to_uppercase()), urls.clone());
            }
        }
        staff
    }

    /// Returns the addresses of a service.
    pub(crate) fn urls(&self, service: &str) -> Vec<String> {
        self.of_service(service).map(|replica| url(replica.port)).collect()
    }

    /// Returns where the replicas of a service say whether they are ready.
    pub(crate) fn probes(&self, service: &str) -> Vec<String> {
        self.of_service(service).map(|replica| url(replica.probe)).collect()
    }

    fn of_service(&self, service: &str) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().filter(move |replica| replica.service == service)
    }

    /// Returns what a service is told.
    pub(crate) fn told(&self, service: &str, variable: &str) -> String {
        self.environments[service][variable].clone()
    }

    /// Changes what a service is told; its processes hear of it when they are started anew.
    pub(crate) fn tell(&mut self, service: &str, variable: &str, value: &str) {
        let environment = self.environments.get_mut(service).expect("a service of these");
        environment.insert(variable.to_owned(), value.to_owned());
    }

    /// Starts everybody.
    pub(crate) async fn start(&mut self) {
        for place in 0..self.replicas.len() {
            self.begin(place).await;
        }
    }

    /// Starts the replicas of a service anew, one after the other, and waits after each until `all_is_well`.
    pub(crate) async fn roll(&mut self, service: &str, all_is_well: impl AsyncFn()) {
        for place in 0..self.replicas.len() {
            if self.replicas[place].service != service {
                continue;
            }
            let mut process = self.replicas[place].process.take().expect("it runs");
            let id = i32::try_from(process.id().expect("it runs")).expect("a small number");
            Stack::signal(id, "-TERM");
            let ended = tokio::time::timeout(LONG, process.wait()).await.expect("it stops").expect("its end");
            assert!(ended.success(), "{service}: {ended}");
            self.begin(place).await;
            all_is_well().await;
        }
    }

    async fn begin(&mut self, place: usize) {
        let Replica { service, port, probe, .. } = self.replicas[place];
        let log = self.stack.data().join("log").join(format!("{service}-at-{port}.log"));
        let written = File::options().create(true).append(true).open(&log).expect("a log");
        let started = Command::new(Stack::program(service))
            .arg("serve")
            .env_clear()
            .envs(&self.environments[service])
            .env("PORT", port.to_string())
            .env("ADMIN_PORT", probe.to_string())
            .stdin(Stdio::null())
            .stdout(written.try_clone().expect("a log"))
            .stderr(written)
            .kill_on_drop(true)
            .spawn();
        let process = self.replicas[place].process.insert(started.expect("the service's program runs"));
        let asked = Person::stranger(&url(probe));
        let is_ready = || async {
            let answer = asked.try_send(Method::GET, "/readyz", None).await;
            answer.is_ok_and(|answer| answer.status == 200)
        };
        tokio::select! {
            () = eventually(LONG, is_ready) => {}
            ended = process.wait() => {
                panic!("{service} ended, {ended:?}: {}", std::fs::read_to_string(&log).unwrap_or_default());
            }
        }
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Finds a port that nobody listens on.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end - PORTS.start;
    let first = u16::try_from(std::process::id() % u32::from(count)).expect("a small number");
    let mut ports = (0..count).map(|_| PORTS.start + (first + NEXT.fetch_add(1, Relaxed)) % count);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}
