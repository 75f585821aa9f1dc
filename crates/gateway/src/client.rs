//! The HTTP client towards the services.
//!
//! One per worker, made on its thread, so that a connection's task and the requests on it never change threads. Nothing
//! outside this file knows which library it is.

use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client as Pooled, Error, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use crate::upload::UploadBody;

/// Longest to wait for a connection on the cluster's own network.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// How long an idle connection is kept; well below the services' own 75 s, so that they never close one in use.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Most idle connections to one address, for each worker.
const MAX_IDLE: usize = 256;

/// A pool of connections.
#[derive(Clone)]
pub struct Client(Pooled<HttpConnector, UploadBody>);

/// Why a request brought no answer.
#[derive(Debug)]
pub struct SendError {
    /// Whether there was no connection at all, so that nothing was sent.
    pub is_connect: bool,
    /// For the log.
    pub cause: Error,
}

impl Client {
    /// Makes an empty pool.
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let mut builder = Pooled::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE)
            .set_host(false);
        Self(builder.build(connector))
    }

    /// Sends a request and waits for the head of the answer; dropping the future drops the request.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(&self, request: Request<UploadBody>) -> Result<Response<Incoming>, SendError> {
        self.0.request(request).await.map_err(|cause| SendError { is_connect: cause.is_connect(), cause })
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}
