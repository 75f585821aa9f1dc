//! Object storage in this process.
//!
//! One machine needs no S3 of its own: `s3s-fs` keeps objects as files, checks every signature and every expiry, and is
//! embedded here. It knows nothing of browsers, so this module answers the preflight requests of uploads to presigned
//! URLs and adds the CORS headers and `nosniff`. Tests of other crates may embed it too.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, X_CONTENT_TYPE_OPTIONS,
    },
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use s3s::{
    Body, HttpError,
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::tasks;

/// The region of the embedded store. Any region in a signature is accepted, as R2 does it with this name.
pub const REGION: &str = "auto";

/// Connections at once; more wait to be accepted. A laptop's browsers and a test run stay far below.
const CONNECTIONS: usize = 1024;

/// How long a client may take to send the head of a request.
const HEAD_LIMIT: Duration = Duration::from_secs(15);

/// The pause after a failed accept: out of file descriptors, it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a browser may keep the answer to a preflight request, in seconds.
const PREFLIGHT_SECONDS: &str = "600";

/// What a page may read of an answer, beyond the few headers that every page may.
const EXPOSED: &str = "ETag, Content-Length, Content-Range, Accept-Ranges, Last-Modified, x-amz-request-id, \
                       x-amz-version-id, x-amz-checksum-sha256";

/// The running store; dropping it closes the listener and every connection. The objects stay.
#[must_use = "the store ends when this is dropped"]
pub struct Guard {
    _end: DropGuard,
}

/// Serves the objects below `root` on a free port of the loopback address, to holders of this key, and makes the bucket
/// when it is new. Returns the endpoint, as in `http://127.0.0.1:21234` (path style), and what keeps it running.
pub async fn serve(root: &Path, access: &str, secret: &str, bucket: &str) -> io::Result<(String, Guard)> {
    serve_at(0, root, access, secret, bucket).await
}

/// [`serve`] on a given port.
pub async fn serve_at(port: u16, root: &Path, access: &str, secret: &str, bucket: &str) -> io::Result<(String, Guard)> {
    // A bucket is a directory, its objects are files in it.
    tokio::fs::create_dir_all(root.join(bucket)).await?;
    let files = FileSystem::new(root).map_err(|error| io::Error::other(format!("{error:?}")))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(access, secret));
    let service = builder.build();
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let end = CancellationToken::new();
    tasks::spawn(end.clone().run_until_cancelled_owned(accept(listener, service)));
    Ok((endpoint, Guard { _end: end.drop_guard() }))
}

/// Accepts for ever. The connections belong to this future and end with it.
async fn accept(listener: TcpListener, service: S3Service) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let service = service.clone();
                connections.spawn(async move {
                    converse(stream, service).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn converse(stream: TcpStream, service: S3Service) {
    let _ = stream.set_nodelay(true);
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
    let answer = service_fn(move |request| {
        let service = service.clone();
        async move { respond(request, &service).await }
    });
    // A client that goes away in the middle is no fault of ours.
    let _ = server.serve_connection(TokioIo::new(stream), answer).await;
}

async fn respond(request: Request<Incoming>, service: &S3Service) -> Result<Response<Body>, HttpError> {
    if request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return Ok(preflight(request.headers()));
    }
    let mut response = service.call(request.map(Body::from)).await?;
    share(response.headers_mut());
    Ok(response)
}

/// Allows what the browser asks for: what may be done is decided by the signature in the URL, not by the page.
fn preflight(asked: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    share(headers);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, PUT, POST, DELETE"));
    let wanted = asked.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.unwrap_or(HeaderValue::from_static("*")));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_SECONDS));
    response
}

fn share(headers: &mut HeaderMap) {
    // What was uploaded is what its type says, and no page because it looks like one.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
}
