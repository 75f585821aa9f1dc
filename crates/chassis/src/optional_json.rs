//! A JSON body that may be left out: a button of a client sends none, a careful client sends one.

use std::{future::Future, pin::Pin};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    error::{JsonPayloadError, PayloadError},
    web::Bytes,
};
use domain::fault::common;
use serde::de::DeserializeOwned;

use crate::{body::is_timeout, edge::json_refused, problem::Problem};

/// The body, or `T`'s default when there is none.
#[derive(Debug)]
pub struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned + Default + 'static> FromRequest for OptionalJson<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = Bytes::from_request(req, payload);
        // An empty body may come chunked and with any content type; only what was sent is judged.
        let is_json = req.mime_type().ok().flatten().is_some_and(|mime| mime.subtype() == "json");
        Box::pin(async move {
            let bytes = bytes.await.map_err(|error| unreadable(&error))?;
            if bytes.is_empty() {
                return Ok(Self(T::default()));
            }
            if !is_json {
                return Err(common::UNSUPPORTED_MEDIA.into());
            }
            let body = serde_json::from_slice(&bytes);
            body.map(Self).map_err(|error| json_refused(JsonPayloadError::Deserialize(error)))
        })
    }
}

fn unreadable(error: &actix_web::Error) -> Problem {
    match error.as_error::<PayloadError>() {
        Some(PayloadError::Overflow) => common::TOO_LARGE.into(),
        Some(payload) if is_timeout(payload) => common::BODY_TIMEOUT.into(),
        _ => common::MALFORMED.into(),
    }
}
