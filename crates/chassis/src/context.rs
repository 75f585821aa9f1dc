//! What one request carries with it while it is handled: its id, its language, its deadline and its trace.

use std::{borrow::Cow, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use domain::locale::Locale;
use tokio::time::Instant;

use crate::telemetry;

tokio::task_local! {
    static CURRENT: RequestContext;
}

/// What belongs to the request at hand.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// Shown to the client and written in every log line of the request.
    pub request_id: Arc<str>,
    /// The language the answer is written in.
    pub locale: Locale,
    /// When the request came, by the process's own count.
    pub started: Instant,
    /// When it came, by the clock.
    pub at: DateTime<Utc>,
    /// When the answer must be on its way.
    pub deadline: Instant,
    /// W3C trace id, 32 hex digits.
    pub trace_id: Arc<str>,
}

impl RequestContext {
    /// Returns the context of the request this task is handling, if it is handling one.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Runs `future` as part of this request.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }

    /// Runs `f` as part of this request.
    pub fn sync_scope<R>(self, f: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(self, f)
    }

    /// Returns the W3C `traceparent` of a call made for this request: its trace, and the span at hand or, where traces
    /// do not leave the process, a span id made of the request's own.
    pub fn traceparent(&self) -> String {
        self.traceparent_pieces().concat()
    }

    /// Returns the same in pieces, for whoever writes them one after the other.
    pub fn traceparent_pieces(&self) -> [Cow<'_, str>; 5] {
        let own = || self.trace_id.get(16..).unwrap_or_default().into();
        let span = telemetry::current_span_id().map_or_else(own, Cow::Owned);
        ["00-".into(), (&*self.trace_id).into(), "-".into(), span, "-01".into()]
    }

    /// Returns how long the request may still take, at least nothing.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// Returns the language of the request at hand, or the default one outside any request.
pub fn locale() -> Locale {
    CURRENT.try_with(|c| c.locale).unwrap_or_default()
}
