//! The counters of the edge.
//!
//! Each thread keeps its own and shares nothing with others while it serves: a count that all threads write would be
//! fetched from another core for each request. They are gathered when somebody looks, and every few seconds.
//!
//! Labels are a closed set: a client that makes up methods must not be able to make up time series.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix_web::http::{Method, StatusCode};
use metrics::{Counter, Histogram};

/// Most durations of one kind that wait to be gathered; one costs eight bytes.
const WAITING_MAX: usize = 256;

/// The meters of all threads that serve, and of those that have ended since the last look.
static ALL: Mutex<Vec<Arc<Mutex<Meters>>>> = Mutex::new(Vec::new());

thread_local! {
    static OWN: Arc<Mutex<Meters>> = {
        let own = Arc::<Mutex<Meters>>::default();
        lock(&ALL).push(own.clone());
        own
    };
}

#[derive(Default)]
struct Meters {
    in_flight: i32,
    /// Where in `answered` a route is: found by one look, that a new one costs a second.
    routes: HashMap<String, usize>,
    /// By route; the few methods and statuses of each are found faster by looking than by hashing.
    answered: Vec<Vec<Answered>>,
}

struct Answered {
    method: &'static str,
    status: StatusCode,
    count: Counter,
    took: Histogram,
    /// Seconds that requests took which are not told yet.
    waiting: Vec<f64>,
}

impl Meters {
    fn answered(&mut self, method: &'static str, route: &str, status: StatusCode) -> Option<&mut Answered> {
        let at = self.routes.get(route).copied().unwrap_or_else(|| {
            self.routes.insert(route.to_owned(), self.answered.len());
            self.answered.push(Vec::new());
            self.answered.len() - 1
        });
        let known = self.answered.get_mut(at)?;
        let found = known.iter().position(|answered| answered.method == method && answered.status == status);
        let at = found.unwrap_or_else(|| {
            let labels = [("method", method.to_owned()), ("route", route.to_owned())];
            let took = metrics::histogram!("http_request_duration_seconds", &labels);
            let [method_label, route_label] = labels;
            let labels = [method_label, route_label, ("status", status.as_u16().to_string())];
            let count = metrics::counter!("http_requests_total", &labels);
            known.push(Answered { method, status, count, took, waiting: Vec::new() });
            known.len() - 1
        });
        known.get_mut(at)
    }
}

impl Answered {
    fn note(&mut self, took: Duration) {
        if self.waiting.len() >= WAITING_MAX {
            self.tell();
        }
        self.waiting.push(took.as_secs_f64());
    }

    fn tell(&mut self) {
        self.count.increment(self.waiting.len() as u64);
        self.waiting.drain(..).for_each(|seconds| self.took.record(seconds));
    }
}

/// Counts a request for as long as it is handled.
#[derive(Debug)]
pub(crate) struct InFlight(());

impl InFlight {
    /// Begins to count.
    pub(crate) fn begin() -> Self {
        OWN.with(|own| lock(own).in_flight += 1);
        Self(())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // A thread that is coming down counts nothing any more.
        _ = OWN.try_with(|own| lock(own).in_flight -= 1);
    }
}

/// Counts an answer.
pub(crate) fn answered(method: &Method, route: &str, status: StatusCode, took: Duration) {
    OWN.with(|own| {
        if let Some(answered) = lock(own).answered(label(method), route, status) {
            answered.note(took);
        }
    });
}

/// Tells what the threads have counted since they were last asked.
pub(crate) fn gather() {
    let (mut all, mut in_flight) = (lock(&ALL), 0);
    all.retain(|shared| {
        // Looked at first: what a thread counts before it ends is told.
        let has_ended = Arc::strong_count(shared) == 1;
        let mut meters = lock(shared);
        in_flight += meters.in_flight;
        meters.answered.iter_mut().flatten().for_each(Answered::tell);
        !has_ended
    });
    metrics::gauge!("http_requests_in_flight").set(in_flight);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::recorder;

    const ROUTE: &str = "/of/these/tests";

    fn counted() -> u64 {
        gather();
        let page = recorder().unwrap().render();
        let count = |line: &str| line.starts_with("http_requests_total") && line.contains(ROUTE);
        let lines = page.lines().filter(|line| count(line));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    fn answer(times: usize) {
        for _ in 0..times {
            answered(&Method::GET, ROUTE, StatusCode::OK, Duration::from_millis(3));
        }
    }

    #[test]
    fn what_threads_have_counted_is_told_once_also_when_they_have_ended() {
        recorder();
        answer(3);
        std::thread::spawn(|| answer(2 * WAITING_MAX + 1)).join().unwrap();
        let all = 3 + 2 * WAITING_MAX as u64 + 1;
        assert_eq!(counted(), all);
        assert_eq!(counted(), all);
        let page = recorder().unwrap().render();
        let took = format!("http_request_duration_seconds_count{{method=\"GET\",route=\"{ROUTE}\"}} {all}");
        assert!(page.lines().any(|line| line == took), "{page}");
    }
}
