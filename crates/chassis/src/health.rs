//! Whether this process is alive and whether it may get work.
//!
//! `/livez` looks at nothing else: a database that blinks must not restart every pod. `/readyz` is 200 while the needed
//! parts answer and the service is not draining. Parts that are only useful (Redis for most) make it degraded, not
//! unready.

use std::{sync::Arc, time::Duration};

use actix_web::{HttpResponse, web};
use futures_util::future::{BoxFuture, join_all};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use crate::lifecycle::Lifecycle;

/// Longest a probe may take; Kubernetes' own default is one second.
const CHECK_TIMEOUT: Duration = Duration::from_millis(800);

/// How a service, or one part of it, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All of it answers.
    Ok,
    /// Something that can be done without is away.
    Degraded,
    /// Something needed is away.
    Down,
}

/// One part's state.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PartView {
    /// How it is.
    pub status: Status,
    /// How long it took to answer, milliseconds.
    pub latency_ms: u64,
}

/// A service's state.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HealthView {
    /// The worst that matters.
    pub status: Status,
    /// `auth`, `session`, ...
    pub service: String,
    /// The service's version.
    pub version: String,
    /// Whether it is about to stop.
    pub draining: bool,
    /// Each part it leans on.
    pub parts: std::collections::BTreeMap<String, PartView>,
}

type Check = dyn Fn() -> BoxFuture<'static, bool> + Send + Sync;

struct Part {
    name: &'static str,
    needed: bool,
    check: Box<Check>,
}

/// The parts a service leans on.
#[derive(Clone)]
pub struct Health {
    service: &'static str,
    version: &'static str,
    lifecycle: Lifecycle,
    parts: Arc<Vec<Part>>,
}

impl Health {
    /// Describes a service that leans on nothing yet.
    pub fn new(service: &'static str, version: &'static str, lifecycle: Lifecycle) -> Self {
        Self { service, version, lifecycle, parts: Arc::new(Vec::new()) }
    }

    /// Adds a part without which the service cannot work.
    #[must_use]
    pub fn needs<F, Fut>(self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        self.part(name, true, check)
    }

    /// Adds a part that the service can do without.
    #[must_use]
    pub fn uses<F, Fut>(self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        self.part(name, false, check)
    }

    fn part<F, Fut>(mut self, name: &'static str, needed: bool, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        if let Some(parts) = Arc::get_mut(&mut self.parts) {
            parts.push(Part { name, needed, check: Box::new(move || Box::pin(check())) });
        }
        self
    }

    /// Asks every part, all at once.
    pub async fn view(&self) -> HealthView {
        let asked = self.parts.iter().map(|part| async move {
            let start = Instant::now();
            let answers = timeout(CHECK_TIMEOUT, (part.check)()).await.unwrap_or(false);
            let status = match (answers, part.needed) {
                (true, _) => Status::Ok,
                (false, true) => Status::Down,
                (false, false) => Status::Degraded,
            };
            let latency_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            (part.name.to_owned(), PartView { status, latency_ms })
        });
        let parts: std::collections::BTreeMap<_, _> = join_all(asked).await.into_iter().collect();
        let status = if parts.values().any(|p| p.status == Status::Down) {
            Status::Down
        } else if parts.values().any(|p| p.status == Status::Degraded) {
            Status::Degraded
        } else {
            Status::Ok
        };
        HealthView {
            status,
            service: self.service.to_owned(),
            version: self.version.to_owned(),
            draining: self.lifecycle.is_draining(),
            parts,
        }
    }
}

async fn livez() -> &'static str {
    "ok"
}

async fn readyz(health: web::Data<Health>) -> HttpResponse {
    let view = health.view().await;
    if view.draining || view.status == Status::Down {
        HttpResponse::ServiceUnavailable().insert_header(("retry-after", "1")).json(view)
    } else {
        HttpResponse::Ok().json(view)
    }
}

async fn report(health: web::Data<Health>) -> HttpResponse {
    let view = health.view().await;
    if view.status == Status::Down {
        HttpResponse::ServiceUnavailable().insert_header(("retry-after", "1")).json(view)
    } else {
        HttpResponse::Ok().json(view)
    }
}

/// Mounts `/livez` and `/readyz`.
pub fn probes(cfg: &mut web::ServiceConfig) {
    cfg.service(web::resource("/livez").get(livez)).service(web::resource("/readyz").get(readyz));
}

/// Mounts `/livez`, `/readyz` and `/health`.
pub fn routes(cfg: &mut web::ServiceConfig) {
    probes(cfg);
    cfg.service(web::resource("/health").get(report));
}
