//! Memos that another service writes on a person's behalf.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ids::MemoId, time::Instant};

/// The body of `POST /internal/memos`: a memo for the person behind the call. Sent twice it is one memo, because the
/// caller chooses its id.
// No `Debug`: no log line may show what somebody wrote.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoToWrite {
    /// The memo's id, which the caller keeps before it calls.
    pub id: MemoId,
    /// What stands in it, within the limits of every memo.
    pub content: String,
    /// As a person's own.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What it is about.
    #[serde(default)]
    pub category: Option<String>,
    /// Where it comes from.
    #[serde(default)]
    pub metadata: serde_json::Value,
}

/// The answer of `POST /internal/memos`; 409 `conflict` when the id is another person's memo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemoWritten {
    /// The memo.
    pub id: MemoId,
    /// When it was written first.
    pub created_at: Instant,
    /// Whether this call wrote it. One that was there keeps what its owner made of it; out of the trash it is taken.
    pub is_new: bool,
}
