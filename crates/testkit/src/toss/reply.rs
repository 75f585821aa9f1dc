//! What the provider answers, properly or not.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, StatusCode, header::AUTHORIZATION},
    web,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;

use super::{
    Endpoint, Fault, SECRET_KEY, State,
    books::{Books, Said, error},
};

/// What is asked.
enum Question {
    Confirm(Value),
    Cancel(String, Value),
    LookUp(String),
    LookUpOrder(String),
}

impl Question {
    fn read(request: &HttpRequest, body: &[u8]) -> Option<Self> {
        let path: Vec<&str> = request.path().strip_prefix("/v1/payments/")?.split('/').collect();
        let document = serde_json::from_slice(body).unwrap_or_default();
        match (request.method(), path.as_slice()) {
            (&Method::POST, ["confirm"]) => Some(Self::Confirm(document)),
            (&Method::POST, [key, "cancel"]) => Some(Self::Cancel((*key).to_owned(), document)),
            (&Method::GET, ["orders", order]) => Some(Self::LookUpOrder((*order).to_owned())),
            (&Method::GET, [key]) => Some(Self::LookUp((*key).to_owned())),
            _ => None,
        }
    }

    const fn endpoint(&self) -> Endpoint {
        match self {
            Self::Confirm(_) => Endpoint::Confirm,
            Self::Cancel(..) => Endpoint::Cancel,
            Self::LookUp(_) | Self::LookUpOrder(_) => Endpoint::LookUp,
        }
    }

    fn act(&self, books: &mut Books, fault: Option<Fault>) -> Said {
        if let Some(Fault::Error(status, code)) = fault {
            return error(status, code);
        }
        let said = match self {
            Self::Confirm(asked) => books.confirm(asked, fault == Some(Fault::Deposit)),
            Self::Cancel(key, asked) => books.cancel(key, asked),
            Self::LookUp(key) => books.look_up(key),
            Self::LookUpOrder(order) => books.look_up_order(order),
        };
        match fault {
            Some(Fault::DoneButError(status, code)) => error(status, code),
            _ => said,
        }
    }
}

/// Answers any request.
pub(super) async fn serve(state: web::Data<State>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let Some(question) = Question::read(&request, &body) else { return HttpResponse::NotFound().finish() };
    let endpoint = question.endpoint();
    let fault = {
        let mut script = state.script();
        *script.calls.entry(endpoint).or_default() += 1;
        let next = script.next.get_mut(&endpoint).and_then(std::collections::VecDeque::pop_front);
        next.or_else(|| script.always.get(&endpoint).copied())
    };
    if !is_the_shop(&request) {
        return answer(error(401, "UNAUTHORIZED_KEY"));
    }
    let key = request.headers().get("idempotency-key").and_then(|value| value.to_str().ok());
    let key = key.map(|key| format!("{} {key}", request.path()));
    if let Some(said) = key.as_deref().and_then(|key| state.books().begin(key)) {
        return answer(said);
    }
    if let Some(Fault::Slow(pause)) = fault {
        tokio::time::sleep(pause).await;
    }
    let said = {
        let mut books = state.books();
        let said = question.act(&mut books, fault);
        if let Some(key) = &key {
            books.keep(key, &said);
        }
        said
    };
    match fault {
        Some(Fault::Late(pause)) => {
            tokio::time::sleep(pause).await;
            answer(said)
        }
        Some(Fault::Held) => {
            state.let_go.notified().await;
            answer(said)
        }
        Some(Fault::Cut) => {
            let broken = [Ok(Bytes::from_static(b"{\"paymentKey\":")), Err(std::io::Error::other("cut"))];
            HttpResponse::Ok().streaming(stream::iter(broken))
        }
        Some(Fault::Page) => HttpResponse::BadGateway().content_type("text/html").body("<h1>502</h1>"),
        _ => answer(said),
    }
}

fn is_the_shop(request: &HttpRequest) -> bool {
    let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("{SECRET_KEY}:")));
    request.headers().get(AUTHORIZATION).is_some_and(|value| value.as_bytes() == expected.as_bytes())
}

fn answer((status, document): Said) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status).json(document)
}
