//! What is in the bucket.

use chassis::problem::{Outcome, Problem};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Method, header};
use rusty_s3::actions;

use super::{ObjectStorage, send, succeeded};

/// An object that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub key: String,
    /// How long it has been there, by the storage's own clock.
    pub age: TimeDelta,
}

impl ObjectStorage {
    /// Lists some objects whose names begin with `prefix`, in the order of their names, from after `last` on.
    ///
    /// # Errors
    /// 503 when the storage is away.
    pub async fn list(&self, prefix: &str, last: &str, limit: usize) -> Outcome<Vec<Listed>> {
        let mut action = self.inside.list_objects_v2(Some(&self.credentials));
        action.with_prefix(prefix);
        action.with_max_keys(limit);
        if !last.is_empty() {
            action.with_start_after(last);
        }
        let response = succeeded(send(self.request(Method::GET, &action)).await?)?;
        let date = response.headers().get(header::DATE).and_then(|value| value.to_str().ok());
        let date = date.and_then(|text| DateTime::parse_from_rfc2822(text).ok());
        let now = date.map_or_else(|| self.clock.now(), |date| date.with_timezone(&Utc));
        let answer = response.text().await.map_err(|error| Problem::unavailable(error.without_url()))?;
        let page = actions::ListObjectsV2::parse_response(&answer).map_err(Problem::unavailable)?;
        let objects = page.contents.into_iter().map(|object| {
            let changed_at = object.last_modified.as_deref().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
            // One without a time is as young as can be.
            Listed { key: object.key, age: changed_at.map_or(TimeDelta::zero(), |at| now - at.with_timezone(&Utc)) }
        });
        Ok(objects.collect())
    }
}
