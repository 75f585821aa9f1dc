//! Answers that an idempotency key is given again: kept like everything else that holds a person's words, sealed.

use base64::{Engine, prelude::BASE64_STANDARD};
use chassis::{
    idempotency::Answer,
    problem::{Outcome, Problem},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Column, PersonVault};

#[derive(Serialize, Deserialize)]
struct SealedAnswer {
    /// The row the answer is about, which it is bound to.
    row: Uuid,
    sealed: String,
}

/// Makes the form in which an answer about a row may be kept.
///
/// # Errors
/// Returns an unexpected problem when the person has no key.
pub fn seal_answer(vault: &PersonVault, row: Uuid, answer: &Answer) -> Outcome<Answer> {
    let sealed = BASE64_STANDARD.encode(vault.seal_json(row, Column::Answer, &answer.body)?);
    Answer::new(answer.status, &SealedAnswer { row, sealed })
}

/// Makes an answer of what was kept of it.
///
/// # Errors
/// Returns an unexpected problem when it was altered.
pub fn open_answer(vault: &PersonVault, kept: Answer) -> Outcome<Answer> {
    let SealedAnswer { row, sealed } = serde_json::from_value(kept.body).map_err(Problem::unexpected)?;
    let sealed = BASE64_STANDARD.decode(sealed).map_err(Problem::unexpected)?;
    Ok(Answer { status: kept.status, body: vault.open_json(row, Column::Answer, &sealed)? })
}
