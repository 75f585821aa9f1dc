//! Payments: from the buyer's consent to money and tickets, or to nothing.
//!
//! A payment is written down as `authorising` and committed before the provider is asked, and what the provider says is
//! settled in one transaction with the reservation and its tickets. So whatever dies in between, there is a row that
//! says what is not known, and a reconciler in every replica that finds it out. Money that came is a confirmed
//! reservation with its tickets, or goes back; it never does both, and neither of them twice. The provider is never asked
//! while a transaction is open, and what its webhooks say is never believed: they only say when to ask.

pub mod charge;
pub(crate) mod checks;
pub mod claim;
pub mod config;
pub mod confirm;
pub mod methods;
pub mod prepare;
pub mod process;
pub mod provider;
pub mod reconcile;
pub mod refund;
pub mod sandbox;
pub mod settle;
pub mod store;
pub mod toss;
pub mod view;
pub mod webhook;

use std::{sync::Arc, time::Duration};

use actix_web::web::{self, ServiceConfig};
use chassis::problem::{Outcome, Problem};
use domain::payment::PAYMENTS_NOT_CONFIGURED;
use tokio::sync::Notify;

use self::{provider::Provider, sandbox::Sandbox};

/// Most questions that follow on one another while a payment is somebody's: confirm or cancel, and look up around it.
const QUESTIONS: u32 = 3;
/// How much longer than its questions a payment is somebody's.
const LEASE_SLACK: Duration = Duration::from_secs(5);

/// Mounts the routes.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/payments/methods").get(methods::list_methods))
        .service(web::resource("/payments/prepare").post(prepare::prepare_payment))
        .service(web::resource("/payments/confirm").post(confirm::confirm_payment))
        .service(web::resource("/payments/process").post(process::process_payment))
        .service(web::resource("/payments/webhooks/toss").post(webhook::toss_webhook));
}

/// The providers; clones share them.
#[derive(Clone)]
pub struct Payments {
    active: Option<Arc<dyn Provider>>,
    toss: Option<Arc<dyn Provider>>,
    sandbox: Arc<dyn Provider>,
    timeout: Duration,
    wake: Arc<Notify>,
}

impl Payments {
    /// Takes new money with `active`; what was taken before stays with whoever took it.
    pub fn new(active: Option<Arc<dyn Provider>>, toss: Option<Arc<dyn Provider>>, timeout: Duration) -> Self {
        Self { active, toss, sandbox: Arc::new(Sandbox), timeout, wake: Arc::default() }
    }

    /// Returns who takes new money.
    ///
    /// # Errors
    /// 503 `payments_not_configured`.
    pub fn active(&self) -> Outcome<&Arc<dyn Provider>> {
        self.active.as_ref().ok_or_else(|| PAYMENTS_NOT_CONFIGURED.into())
    }

    /// Returns who takes new money, if anybody.
    pub fn find_active(&self) -> Option<&Arc<dyn Provider>> {
        self.active.as_ref()
    }

    /// Returns the provider of a payment that was taken before.
    ///
    /// # Errors
    /// Returns an unexpected problem when its keys are gone from the configuration.
    pub fn named(&self, name: &str) -> Outcome<&Arc<dyn Provider>> {
        let found = match name {
            "sandbox" => Some(&self.sandbox),
            "toss" => self.toss.as_ref(),
            _ => None,
        };
        found.ok_or_else(|| Problem::unexpected(format!("there are payments of {name}, and it is not configured")))
    }

    /// Returns how long whoever has claimed a payment is left alone with it.
    pub fn lease(&self) -> Duration {
        self.timeout * QUESTIONS + LEASE_SLACK
    }

    /// Says that there is something to find out, so that it is found out now and not at the next sweep.
    pub fn wake(&self) {
        self.wake.notify_waiters();
    }
}
