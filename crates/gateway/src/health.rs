//! `GET /health`: how the services are, all asked at once.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant as Stopwatch},
};

use actix_web::{HttpResponse, http::StatusCode};
use chassis::health::{HealthView, Status};
use domain::principal::Service;
use futures_util::future::join_all;
use serde::Serialize;
use tokio::{sync::Mutex, time::Instant};
use url::Url;
use utoipa::ToSchema;

/// Longest wait for one address; a little more than a service waits for its parts.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an answer is good: this page is public, and asking makes every service ask its database.
const GOOD_FOR: Duration = Duration::from_millis(500);

/// How one service is.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct ServiceHealthView {
    /// `ok`, `degraded` or `down`.
    status: Status,
    /// How long it took to answer, milliseconds.
    latency_ms: u64,
}

/// How the services are.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GatewayHealthView {
    /// `ok` when all services are, `down` when none is up, `degraded` otherwise.
    status: Status,
    /// Each service.
    services: BTreeMap<String, ServiceHealthView>,
}

/// Asks the services how they are.
pub struct ServicesHealth {
    services: Vec<(Service, Vec<Url>)>,
    http: reqwest::Client,
    last: Mutex<Option<(Instant, GatewayHealthView)>>,
}

impl ServicesHealth {
    /// Asks each service at its addresses.
    pub fn new(services: Vec<(Service, Vec<Url>)>, http: reqwest::Client) -> Self {
        Self { services, http, last: Mutex::new(None) }
    }

    /// Answers `GET /health`.
    pub async fn answer(&self) -> HttpResponse {
        let view = self.view().await;
        let status = if view.status == Status::Down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        let mut response = HttpResponse::build(status);
        response.insert_header(("cache-control", "no-store"));
        if view.status == Status::Down {
            response.insert_header(("retry-after", "1"));
        }
        response.json(view)
    }

    async fn view(&self) -> GatewayHealthView {
        let mut last = self.last.lock().await;
        if let Some((at, view)) = &*last
            && at.elapsed() < GOOD_FOR
        {
            return view.clone();
        }
        let asked = self.services.iter().map(|(service, urls)| async move {
            let started = Stopwatch::now();
            let status = self.ask(urls).await;
            let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            (service.name().to_owned(), ServiceHealthView { status, latency_ms })
        });
        let services: BTreeMap<_, _> = join_all(asked).await.into_iter().collect();
        let view = GatewayHealthView {
            status: overall(&services.values().map(|service| service.status).collect::<Vec<_>>()),
            services,
        };
        *last = Some((Instant::now(), view.clone()));
        view
    }

    /// Asks the addresses of a service until one is not down.
    async fn ask(&self, urls: &[Url]) -> Status {
        for url in urls {
            let mut url = url.clone();
            url.set_path("/readyz");
            let answer = self.http.get(url).timeout(ASK_TIMEOUT).send().await;
            if let Ok(answer) = answer
                && answer.status().is_success()
            {
                // A service that only says 200 is well.
                return answer.json::<HealthView>().await.map_or(Status::Ok, |view| view.status);
            }
        }
        Status::Down
    }
}

fn overall(statuses: &[Status]) -> Status {
    if statuses.iter().all(|status| *status == Status::Down) {
        Status::Down
    } else if statuses.iter().all(|status| *status == Status::Ok) {
        Status::Ok
    } else {
        Status::Degraded
    }
}

/// Documents `GET /health`.
#[utoipa::path(
    get, path = "/health", tag = "gateway",
    responses(
        (status = 200, description = "`ok` or `degraded`", body = GatewayHealthView),
        (status = 503, description = "`down`", body = GatewayHealthView)
    )
)]
pub fn health() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_down_only_when_nothing_is_up() {
        use Status::{Degraded, Down, Ok};
        assert_eq!(overall(&[Ok, Ok]), Ok);
        assert_eq!(overall(&[Ok, Down]), Degraded);
        assert_eq!(overall(&[Ok, Degraded]), Degraded);
        assert_eq!(overall(&[Degraded, Down]), Degraded);
        assert_eq!(overall(&[Down, Down]), Down);
    }
}
