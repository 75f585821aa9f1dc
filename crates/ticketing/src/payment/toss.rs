//! Toss Payments: confirm, cancel and look up, as its API v1 has them.
//!
//! It is asked over HTTPS with the secret key as the user of Basic authentication and no password. Confirmations and
//! cancellations carry an `Idempotency-Key`, under which it repeats its first answer for 15 days, errors included. An
//! error has a `code`, and the code decides what it means: some that come with a 4xx say that the thing was done before,
//! or is being done.

use std::time::Duration;

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use domain::{ids::PaymentId, payment::PaymentMethod};
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    header::{AUTHORIZATION, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::{
    config::stage,
    provider::{Charge, Provider, Receipt, Reply, Standing, Trouble},
};

/// Longest to wait for a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// Largest answer that is read; a payment with all its parts has 3 KiB.
const MOST_BYTES: usize = 256 * 1024;

/// Codes of errors that may come although the money moved, or that pass: what they are about must be looked up.
const UNSURE: [&str; 13] = [
    "ALREADY_PROCESSED_PAYMENT",
    "ALREADY_CANCELED_PAYMENT",
    "ALREADY_REFUND_PAYMENT",
    "DUPLICATED_ORDER_ID",
    "IDEMPOTENT_REQUEST_PROCESSING",
    "FORBIDDEN_CONSECUTIVE_REQUEST",
    "PROVIDER_ERROR",
    "COMMON_ERROR",
    // Our own keys: wrong until somebody mends the configuration, and no verdict on the buyer's money.
    "UNAUTHORIZED_KEY",
    "INVALID_API_KEY",
    "FORBIDDEN_REQUEST",
    "INCORRECT_BASIC_AUTH_FORMAT",
    "INVALID_IDEMPOTENCY_KEY",
];

/// Toss Payments.
pub struct Toss {
    http: Client,
    base: Url,
    authorization: HeaderValue,
    client_key: String,
    is_test: bool,
}

/// What it says of a payment; it says more.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PaymentBody {
    payment_key: String,
    order_id: String,
    status: String,
    total_amount: i64,
    balance_amount: i64,
}

/// What it says when it does not do something.
#[derive(Deserialize)]
struct ErrorBody {
    code: String,
}

impl Toss {
    /// Prepares to call `base` with a secret key.
    ///
    /// # Errors
    /// Returns an error when the key cannot be sent or the TLS library cannot be set up.
    pub fn new(
        base: Url,
        secret_key: &SecretString,
        client_key: &str,
        timeout: Duration,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_PATIENCE.min(timeout))
            .timeout(timeout)
            .retry(reqwest::retry::never())
            .build()?;
        let user = format!("{}:", secret_key.expose_secret());
        let mut authorization = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(user)))?;
        authorization.set_sensitive(true);
        let is_test = stage(secret_key.expose_secret()) == Some(true);
        Ok(Self { http, base, authorization, client_key: client_key.to_owned(), is_test })
    }

    /// Begins a request; `path` is its segments, so that no key can leave its place.
    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["v1", "payments"]).extend(path);
        }
        self.http.request(method, url).header(AUTHORIZATION, self.authorization.clone())
    }
}

#[async_trait]
impl Provider for Toss {
    fn name(&self) -> &'static str {
        "toss"
    }

    fn is_sandbox(&self) -> bool {
        self.is_test
    }

    fn client_key(&self) -> &str {
        &self.client_key
    }

    fn methods(&self) -> &'static [PaymentMethod] {
        &[PaymentMethod::TossPayments]
    }

    fn direct_key(&self, _payment_id: PaymentId) -> Option<String> {
        None
    }

    async fn confirm(&self, charge: Charge<'_>, idempotency_key: &str) -> Reply {
        let body = json!({ "paymentKey": charge.payment_key, "orderId": charge.order_id, "amount": charge.amount });
        let request = self.request(Method::POST, &["confirm"]).header("Idempotency-Key", idempotency_key).json(&body);
        ask(request).await
    }

    async fn cancel(&self, charge: Charge<'_>, reason: &str, idempotency_key: &str) -> Reply {
        let body = json!({ "cancelReason": reason, "cancelAmount": charge.amount });
        let request = self.request(Method::POST, &[charge.payment_key, "cancel"]);
        ask(request.header("Idempotency-Key", idempotency_key).json(&body)).await
    }

    async fn look_up(&self, order_id: &str, payment_key: Option<&str>) -> Reply {
        let path = match payment_key {
            Some(key) => vec![key],
            None => vec!["orders", order_id],
        };
        match ask(self.request(Method::GET, &path)).await {
            Err(Trouble::Refused(code)) if code.starts_with("NOT_FOUND") => Ok(Standing::Missing),
            // A question moves no money, so a refusal is no verdict on it.
            Err(Trouble::Refused(code)) => Err(Trouble::Unsure(code)),
            reply => reply,
        }
    }
}

async fn ask(request: RequestBuilder) -> Reply {
    let response = request.send().await.map_err(|error| Trouble::Silent(error.without_url().into()))?;
    let status = response.status();
    let bytes = read(response).await?;
    if status.is_success() {
        let body: PaymentBody = serde_json::from_slice(&bytes).map_err(|error| Trouble::Silent(error.into()))?;
        return standing(body);
    }
    let Ok(ErrorBody { code }) = serde_json::from_slice(&bytes) else {
        return Err(Trouble::Silent(format!("answered {status} and nothing that can be read").into()));
    };
    Err(trouble(status, code))
}

fn trouble(status: StatusCode, code: String) -> Trouble {
    let is_verdict = status.is_client_error()
        && !matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED);
    if is_verdict && !UNSURE.contains(&code.as_str()) { Trouble::Refused(code) } else { Trouble::Unsure(code) }
}

fn standing(body: PaymentBody) -> Reply {
    let PaymentBody { payment_key, order_id, status, total_amount: amount, balance_amount: balance } = body;
    let receipt = Receipt { order_id, payment_key, amount, balance };
    Ok(match status.as_str() {
        "DONE" | "PARTIAL_CANCELED" => Standing::Captured(receipt),
        "CANCELED" => Standing::Cancelled(receipt),
        "READY" | "IN_PROGRESS" => Standing::Open,
        "WAITING_FOR_DEPOSIT" => Standing::AwaitsDeposit,
        "ABORTED" | "EXPIRED" => Standing::Dead(status),
        _ => return Err(Trouble::Unsure(status)),
    })
}

/// Reads an answer, and stops when it is larger than any honest one.
async fn read(mut response: Response) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Trouble::Silent(error.without_url().into()))? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            return Err(Trouble::Silent("its answer is too large".into()));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_a_verdict_only_when_it_cannot_hide_money() {
        let judge = |status: u16, code: &str| trouble(StatusCode::from_u16(status).unwrap(), code.to_owned());
        for (status, code) in
            [(403, "REJECT_CARD_COMPANY"), (404, "NOT_FOUND_PAYMENT_SESSION"), (400, "INVALID_REQUEST")]
        {
            assert!(matches!(judge(status, code), Trouble::Refused(_)), "{code}");
        }
        let unsure = [
            (400, "ALREADY_PROCESSED_PAYMENT"),
            (400, "PROVIDER_ERROR"),
            (401, "ANYTHING"),
            (409, "IDEMPOTENT_REQUEST_PROCESSING"),
            (429, "TOO_MANY_REQUESTS"),
            (500, "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING"),
        ];
        for (status, code) in unsure {
            assert!(matches!(judge(status, code), Trouble::Unsure(_)), "{code}");
        }
    }

    #[test]
    fn a_payment_key_cannot_leave_its_place_in_the_path() {
        let secret = SecretString::from("test_sk_abc");
        let base = "https://pay.example/base/".parse().unwrap();
        let toss = Toss::new(base, &secret, "test_ck_abc", Duration::from_secs(1)).unwrap();
        let request = toss.request(Method::POST, &["../../v1/x?y#z", "cancel"]).build().unwrap();
        assert_eq!(request.url().as_str(), "https://pay.example/base/v1/payments/..%2F..%2Fv1%2Fx%3Fy%23z/cancel");
        assert_eq!(request.headers()[AUTHORIZATION], "Basic dGVzdF9za19hYmM6");
        assert!(request.headers()[AUTHORIZATION].is_sensitive());
    }

    #[test]
    fn a_status_that_is_new_to_us_is_no_verdict() {
        let body = |status: &str| PaymentBody {
            payment_key: "k".to_owned(),
            order_id: "o".to_owned(),
            status: status.to_owned(),
            total_amount: 10,
            balance_amount: 10,
        };
        assert!(matches!(standing(body("DONE")), Ok(Standing::Captured(_))));
        assert!(matches!(standing(body("EXPIRED")), Ok(Standing::Dead(_))));
        assert!(matches!(standing(body("FROZEN")), Err(Trouble::Unsure(_))));
    }
}
