//! Somebody who calls, and what they are answered.

use std::net::SocketAddr;

use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::Value;

/// Somebody who calls.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) addr: SocketAddr,
    pub(crate) http: reqwest::Client,
    pub(crate) token: Option<String>,
}

impl Caller {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("http://{}{path}", self.addr));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        Answer::of(self.request(Method::POST, path).body(body)).await
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let json = serde_json::from_str(&text).unwrap_or_default();
        Self { status, headers, text, json }
    }

    #[track_caller]
    pub(crate) fn assert_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Fails the test unless this is the gateway's own problem document.
    #[track_caller]
    pub(crate) fn assert_problem(self, status: u16, code: &str) -> Self {
        let answer = self.assert_status(status);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json["code"], code, "{}", answer.text);
        assert_eq!(answer.json["request_id"], answer.header("x-request-id"));
        assert_eq!(answer.json["error"], answer.json["detail"]);
        answer
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns the values of a header that the echo received.
    pub(crate) fn received(&self, name: &str) -> Vec<&str> {
        let headers = self.json["headers"].as_array().into_iter().flatten();
        headers.filter(|pair| pair[0] == name).filter_map(|pair| pair[1].as_str()).collect()
    }
}
