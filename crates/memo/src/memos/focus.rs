//! The focus session that a memo was written in: somebody's own, or there is none.

use chassis::{
    client::CallError,
    problem::{Outcome, Problem},
};
use domain::{
    contract::FocusSession,
    fault::{Kind, Violations},
    ids::FocusId,
    principal::Principal,
};

use crate::app::App;

/// Reads the id of a focus session, recording a violation at `/session_id`.
pub(super) fn parse(text: &str, violations: &mut Violations) -> Option<FocusId> {
    let id = text.parse().ok();
    if id.is_none() {
        refuse(violations);
    }
    id
}

/// Asks the session service whether a focus session is the person's own.
///
/// While that service is away the answer is 503 and not a memo with a link nobody has checked: whoever writes can send
/// it again, under the same `Idempotency-Key`, or without the link.
///
/// # Errors
/// 422 when there is no such session or it is somebody else's; 503 when the session service is away.
pub async fn check(app: &App, person: Principal, id: FocusId) -> Outcome<()> {
    let path = ["internal", "focus", &id.to_string()];
    match app.peers.focus.get::<FocusSession>(Some(person), &path).await {
        Ok(_) => Ok(()),
        Err(CallError::Refused(view)) if view.status == Kind::NotFound.status() => {
            let mut violations = Violations::new();
            refuse(&mut violations);
            Err(violations.into())
        }
        Err(error) => Err(Problem::from(error)),
    }
}

fn refuse(violations: &mut Violations) {
    violations.add(
        "/session_id",
        "session_not_found",
        "집중 세션을 찾을 수 없습니다.",
        "There is no such focus session.",
    );
}
