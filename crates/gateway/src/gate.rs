//! What happens to every request: its path is judged, its route found, and the answer marked for browsers.

use std::{cell::RefCell, net::IpAddr, sync::Arc, time::Duration};

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    http::{
        Method,
        header::{ACCESS_CONTROL_REQUEST_METHOD, ALLOW, HeaderValue, STRICT_TRANSPORT_SECURITY},
    },
    web::{Data, Payload},
};
use chassis::{
    access::AccessTokens,
    context::RequestContext,
    edge::Routed,
    lifecycle::Lifecycle,
    problem::{Outcome, Problem},
    recent::Recent,
    revocation::Revocations,
    token::Signer,
};
use domain::{fault::common, principal::Service};
use tokio::time::timeout_at;

use crate::{
    address,
    admit::count,
    client::Client,
    forward, head, headers,
    identity::Identities,
    internal_token::InternalTokens,
    limit::{Fields, Limits, Who},
    origin::{AllowedOrigins, Asking},
    page::Pages,
    path,
    route::{Kind, Router},
    seen::SeenLogins,
    ticket::Tickets,
    upstream::Upstream,
};

/// Client addresses remembered per worker in the form services are told them.
const CLIENT_IPS: usize = 4_096;

/// Longest a page may take: what asks all services waits a second or two for each address that does not answer.
const PAGE_PATIENCE: Duration = Duration::from_mins(1);

/// Tells browsers to come back over TLS only, for a year.
const OVER_TLS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");

/// What all workers share.
#[derive(Clone)]
pub struct Shared {
    /// The route table.
    pub router: Arc<Router>,
    /// The pages that may call from browsers.
    pub origins: Arc<AllowedOrigins>,
    /// The services.
    pub upstreams: Arc<Vec<Upstream>>,
    /// The ended logins.
    pub revocations: Revocations,
    /// The life of this process.
    pub lifecycle: Lifecycle,
    /// Who may ask how often.
    pub limits: Arc<Limits>,
    /// What the gateway answers by itself.
    pub pages: Arc<Pages>,
    /// Redeems tickets.
    pub tickets: Arc<Tickets>,
    /// The logins at work.
    pub seen: SeenLogins,
    /// Verifies access tokens.
    pub access_tokens: AccessTokens,
    /// Signs internal tokens.
    pub signer: Signer,
    /// Longest wait for an answer on routes that say nothing else.
    pub usual_patience: Duration,
    /// Proxies of ours in front.
    pub trusted_hops: usize,
    /// Whether people come over TLS.
    pub over_tls: bool,
}

/// A request, and what is known about it before anybody is recognised.
pub struct Arrival<'r> {
    /// The request.
    pub request: &'r HttpRequest,
    /// What it says about the page it comes from.
    pub asking: Asking,
    /// Where it comes from.
    pub address: IpAddr,
    /// Its id, and when it came.
    pub context: RequestContext,
}

/// What is noted about a request on its way, for the answer.
#[derive(Default)]
pub struct Notes {
    /// The limit it was counted at last.
    pub limit: Option<Fields>,
}

/// What one worker has: connections and memories that no other thread touches.
pub struct Gate {
    /// Connections to the services.
    pub client: Client,
    /// Recognises people.
    pub identities: Identities,
    /// Redeems tickets.
    pub tickets: Arc<Tickets>,
    /// Proves to services who calls.
    pub internal_tokens: InternalTokens,
    /// The ended logins.
    pub revocations: Revocations,
    /// The life of this process.
    pub lifecycle: Lifecycle,
    /// Who may ask how often.
    pub limits: Arc<Limits>,
    /// Longest wait for an answer on routes that say nothing else.
    pub usual_patience: Duration,
    router: Arc<Router>,
    origins: Arc<AllowedOrigins>,
    upstreams: Arc<Vec<Upstream>>,
    pages: Arc<Pages>,
    trusted_hops: usize,
    over_tls: bool,
    client_ips: RefCell<Recent<IpAddr, http::HeaderValue>>,
}

impl Gate {
    /// Makes a worker's own part; call on its thread.
    pub fn new(shared: Shared) -> Self {
        Self {
            client: Client::new(),
            identities: Identities::new(shared.access_tokens, shared.revocations.clone(), shared.seen),
            tickets: shared.tickets,
            internal_tokens: InternalTokens::new(shared.signer),
            revocations: shared.revocations,
            lifecycle: shared.lifecycle,
            limits: shared.limits,
            usual_patience: shared.usual_patience,
            router: shared.router,
            origins: shared.origins,
            upstreams: shared.upstreams,
            pages: shared.pages,
            trusted_hops: shared.trusted_hops,
            over_tls: shared.over_tls,
            client_ips: RefCell::new(Recent::new(CLIENT_IPS)),
        }
    }

    /// Returns a client's address as services are told it.
    pub fn client_ip(&self, address: IpAddr) -> Option<http::HeaderValue> {
        let mut known = self.client_ips.borrow_mut();
        if let Some(value) = known.get(&address) {
            return Some(value);
        }
        let value = http::HeaderValue::try_from(address.to_string()).ok()?;
        known.put(address, value.clone());
        Some(value)
    }

    /// Returns a service's addresses.
    ///
    /// # Errors
    /// Returns a problem for the gateway itself, which no route names.
    pub fn upstream(&self, service: Service) -> Outcome<&Upstream> {
        let found = self.upstreams.iter().find(|upstream| upstream.service == service);
        found.ok_or_else(|| Problem::unexpected(format!("{service} is no upstream")))
    }
}

/// Handles a request, whatever it is.
pub async fn gate(request: HttpRequest, payload: Payload, gate: Data<Gate>) -> HttpResponse {
    let Some(context) = RequestContext::current() else {
        return HttpResponse::from_error(Problem::unexpected("outside any request"));
    };
    let arrival = Arrival {
        request: &request,
        asking: gate.origins.judge(request.headers()),
        address: address::of(&request, gate.trusted_hops),
        context,
    };
    let mut notes = Notes::default();
    let answered = answer(&gate, &arrival, payload, &mut notes).await;
    let mut response = answered.unwrap_or_else(|problem| {
        let mut response = HttpResponse::from_error(problem);
        headers::protect(response.headers_mut(), false);
        response
    });
    if let Some(limit) = &notes.limit {
        limit.write(response.headers_mut());
    }
    arrival.asking.mark(response.headers_mut());
    if gate.over_tls {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, OVER_TLS_ONLY);
    }
    response
}

async fn answer(gate: &Gate, arrival: &Arrival<'_>, payload: Payload, notes: &mut Notes) -> Outcome<HttpResponse> {
    let request = arrival.request;
    head::check(request)?;
    let path = path::check(request.uri())?;
    let entry = gate.router.find(path).ok_or(common::NOT_FOUND)?;
    let Some(route) = entry.route(request.method().as_str()) else {
        return without_route(arrival, entry.allow());
    };
    request.extensions_mut().insert(Routed { route: route.pattern, is_passed_on: false });
    match route.kind {
        Kind::Page(page) => {
            let whoever = Who::new(None, arrival.address);
            count(gate.limits.take_usual(whoever, arrival.context.started), notes)?;
            let deadline = arrival.context.started + PAGE_PATIENCE;
            let answered = timeout_at(deadline, gate.pages.answer(page, request)).await;
            let mut response = answered.map_err(|_elapsed| Problem::late("the page took too long"))??;
            headers::protect(response.headers_mut(), false);
            Ok(response)
        }
        _ => forward::forward(gate, arrival, payload, (entry, route), notes).await,
    }
}

/// Answers a method that has no route on a path that has some.
fn without_route(Arrival { request, asking, .. }: &Arrival<'_>, allow: &str) -> Outcome<HttpResponse> {
    let mut response = if request.method() != Method::OPTIONS {
        HttpResponse::from_error(Problem::from(common::METHOD_NOT_ALLOWED))
    } else if request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        asking.preflight(allow)?
    } else {
        HttpResponse::NoContent().finish()
    };
    response.headers_mut().insert(ALLOW, HeaderValue::from_str(allow).map_err(Problem::unexpected)?);
    headers::protect(response.headers_mut(), false);
    Ok(response)
}
