//! The counters of the edge, looked up once for each thread instead of once for each request.
//!
//! Labels are a closed set: a client that makes up methods must not be able to make up time series.

use std::{cell::RefCell, collections::HashMap, time::Duration};

use actix_web::http::{Method, StatusCode};
use metrics::{Counter, Gauge, Histogram};

thread_local! {
    static METERS: RefCell<Meters> = RefCell::new(Meters::new());
}

struct Meters {
    in_flight: Gauge,
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
}

impl Meters {
    fn new() -> Self {
        Self { in_flight: metrics::gauge!("http_requests_in_flight"), routes: HashMap::new(), answered: Vec::new() }
    }

    fn answered(&mut self, method: &'static str, route: &str, status: StatusCode) -> Option<&Answered> {
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
            known.push(Answered { method, status, count, took });
            known.len() - 1
        });
        known.get(at)
    }
}

/// Counts a request for as long as it is handled.
#[derive(Debug)]
pub(crate) struct InFlight(());

impl InFlight {
    /// Begins to count.
    pub(crate) fn begin() -> Self {
        METERS.with(|meters| meters.borrow().in_flight.increment(1.0));
        Self(())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // A thread that is coming down counts nothing any more.
        _ = METERS.try_with(|meters| meters.borrow().in_flight.decrement(1.0));
    }
}

/// Counts an answer.
pub(crate) fn answered(method: &Method, route: &str, status: StatusCode, took: Duration) {
    METERS.with_borrow_mut(|meters| {
        if let Some(answered) = meters.answered(label(method), route, status) {
            answered.count.increment(1);
            answered.took.record(took.as_secs_f64());
        }
    });
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
