//! What comes of a request for tickets or seats, as the database's functions say it.

use chassis::{
    idempotency::Answer,
    problem::{Outcome, Problem},
};
use domain::{
    fault::{Fault, common},
    seat_hold::{EVENT_NOT_FOUND, NO_SEATS, SALE_CLOSED, SEAT_NOT_FOUND, SEAT_TAKEN, SOLD_OUT, TICKET_TYPE_NOT_FOUND},
    ticket_order::{LIMIT_REACHED, NO_ADJACENT_SEATS},
};

/// What came of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request's answer, new or kept: HTTP status and JSON.
    Given {
        /// HTTP status.
        status: u16,
        /// JSON, as the database wrote it.
        text: String,
    },
    /// There is a reason why not.
    Refused(Fault),
    /// What is missing is held by reservations whose time has passed.
    Due,
}

/// A verdict for each request, one array for each column: outcome, status, answer.
pub(crate) type Columns = (Vec<Option<String>>, Vec<Option<i32>>, Vec<Option<String>>);

impl Verdict {
    pub(crate) fn read(outcome: &str, status: Option<i32>, answer: Option<String>) -> Outcome<Self> {
        Ok(match outcome {
            "created" | "kept" => {
                let status = status.and_then(|status| u16::try_from(status).ok()).unwrap_or(201);
                let text = answer.ok_or_else(|| Problem::unexpected("a reservation without an answer"))?;
                Self::Given { status, text }
            }
            "due" => Self::Due,
            "event_not_found" => Self::Refused(EVENT_NOT_FOUND),
            "ticket_type_not_found" => Self::Refused(TICKET_TYPE_NOT_FOUND),
            "sale_closed" => Self::Refused(SALE_CLOSED),
            "sold_out" => Self::Refused(SOLD_OUT),
            "limit_reached" => Self::Refused(LIMIT_REACHED),
            "seat_taken" => Self::Refused(SEAT_TAKEN),
            "seat_not_found" => Self::Refused(SEAT_NOT_FOUND),
            "no_seats" => Self::Refused(NO_SEATS),
            "no_adjacent_seats" => Self::Refused(NO_ADJACENT_SEATS),
            "idempotency_key_reused" => Self::Refused(common::IDEMPOTENCY_KEY_REUSED),
            "idempotency_in_progress" => Self::Refused(common::IDEMPOTENCY_IN_PROGRESS),
            other => return Err(Problem::unexpected(format!("a reservation came to {other}"))),
        })
    }

    /// Reads the verdicts of a batch, in its order.
    pub(crate) fn read_all((outcomes, statuses, answers): Columns) -> Outcome<Vec<Self>> {
        let rows = outcomes.into_iter().zip(statuses).zip(answers);
        rows.map(|((outcome, status), answer)| Self::read(outcome.as_deref().unwrap_or_default(), status, answer))
            .collect()
    }

    /// Puts what a second try came to in the place of whatever was due.
    pub(crate) fn settle(verdicts: &mut [Self], second: Vec<Self>) {
        let due = verdicts.iter_mut().filter(|verdict| **verdict == Self::Due);
        for (verdict, settled) in due.zip(second) {
            *verdict = settled;
        }
    }

    /// Returns the answer.
    ///
    /// # Errors
    /// The refusal.
    pub fn answer(self) -> Outcome<Answer> {
        match self {
            Self::Given { status, text } => {
                let status = actix_web::http::StatusCode::from_u16(status).map_err(Problem::unexpected)?;
                Ok(Answer { status, body: serde_json::from_str(&text).map_err(Problem::unexpected)? })
            }
            Self::Refused(fault) if fault == common::IDEMPOTENCY_IN_PROGRESS => {
                Err(Problem::from(fault).retry_after(1))
            }
            Self::Refused(fault) => Err(fault.into()),
            // Asked for at the last try only, which never says so.
            Self::Due => Err(Problem::unexpected("a request was left open")),
        }
    }
}
