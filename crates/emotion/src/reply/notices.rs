//! What replicas tell each other at once: that a reply has begun, that one is to stop, and what is not to be remembered.
//!
//! Notices may be lost. Who missed a beginning sees the reply when it asks for it, who asked for a stop that nobody heard
//! may ask again, and what is remembered of an erased conversation is used for nothing that anybody is told.

use chassis::{lifecycle::Lifecycle, problem::Outcome, redis::Redis};
use domain::ids::{ConversationId, StepId, UserId};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::App;

const CHANNEL: &str = "emotion:replies";

/// A notice.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "t")]
pub(super) enum Notice {
    /// A reply has begun.
    Begun {
        /// Of this step.
        step: StepId,
        /// In this conversation.
        conversation: ConversationId,
        /// Of this person.
        owner: UserId,
        /// It is written by this replica; nothing from one that does not say so yet.
        #[serde(default)]
        writer: Option<Uuid>,
    },
    /// A reply is to stop.
    Stop {
        /// Of this step.
        step: StepId,
    },
    /// Something was erased.
    Erased {
        /// Of this person.
        owner: UserId,
        /// This conversation, or everything.
        conversation: Option<ConversationId>,
    },
}

/// Sends a notice.
pub(super) async fn send(redis: &Redis, notice: Notice) -> Outcome<()> {
    let text = serde_json::to_string(&notice).unwrap_or_default();
    redis.publish(CHANNEL, &text).await
}

/// Starts the loop that hears notices.
pub(super) fn hear(lifecycle: &Lifecycle, app: App) {
    lifecycle.spawn_loop("reply_notices", move |stop| {
        let app = app.clone();
        async move {
            while !stop.is_cancelled() {
                if let Ok(notices) = app.ground.redis.subscribe(CHANNEL).await {
                    let mut notices = std::pin::pin!(notices);
                    while let Some(Some(text)) = stop.run_until_cancelled(notices.next()).await {
                        if let Ok(notice) = serde_json::from_str(&text) {
                            heed(&app, notice);
                        }
                    }
                }
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(Redis::resubscribe_pause()) => {}
                }
            }
        }
    });
}

fn heed(app: &App, notice: Notice) {
    match notice {
        Notice::Stop { step } => {
            if let Some(live) = app.replies.find(step) {
                live.stop.cancel();
            }
        }
        Notice::Erased { owner, conversation } => app.replies.forget_erased(owner, conversation),
        // The replica that writes it hears itself, too, and when it does the reply may long be over.
        Notice::Begun { writer, .. } if writer == Some(app.replies.replica()) => {}
        Notice::Begun { step, conversation, owner, .. } => {
            if app.replies.has_listeners(conversation) && app.replies.find(step).is_none() {
                let app = app.clone();
                let lifecycle = app.ground.lifecycle.clone();
                lifecycle.spawn("reply_mirror", async move {
                    if let Err(problem) = super::mirror::begin(&app, owner, step).await {
                        tracing::debug!(code = problem.code(), "a reply that is written elsewhere is not shown here");
                    }
                });
            }
        }
    }
}
