//! A reply that is written on another replica, as somebody here sees it.
//!
//! It grows with the stream in Redis. Where that says nothing for a while, or Redis is away, the database is asked: it has
//! the text up to the last checkpoint, and knows of a process that is gone.

use std::{sync::Arc, time::Duration};

use chassis::problem::Outcome;
use domain::ids::{ConversationId, Id, StepId, UserId};
use tokio::time::{Instant, sleep};

use super::{
    STEP_NOT_FOUND,
    live::Live,
    progress::{About, Begun, End, Progress, Reply},
    relay,
    written::Written,
};
use crate::{
    app::App,
    step::kept::{self, KeptReply},
};

/// How often the stream is read while it grows, and while it does not.
const READ_EVERY: Duration = Duration::from_millis(40);
const READ_SELDOM: Duration = Duration::from_millis(150);
/// Silence after which the database is asked.
const SILENCE: Duration = Duration::from_secs(2);
/// How often the writer is told that somebody looks.
const LOOK_EVERY: Duration = Duration::from_secs(4);
/// How long a mirror stays that nobody looks at.
const LEFT_ALONE: Duration = Duration::from_secs(5);
/// Longest to wait for Redis.
const PATIENCE: Duration = Duration::from_millis(500);

/// Finds the reply of a step of `owner`, wherever it is or was written.
///
/// # Errors
/// [`STEP_NOT_FOUND`] when there is none, or it is somebody else's.
pub(super) async fn find(app: &App, owner: UserId, id: StepId, seen: u32) -> Outcome<Reply> {
    if let Some(live) = app.replies.find(id) {
        return if live.owner == owner { Ok(live.view(seen)) } else { Err(STEP_NOT_FOUND.into()) };
    }
    let (live, is_finished) = fetch(app, owner, id).await?;
    if is_finished {
        return Ok(live.view(seen));
    }
    let there = app.replies.add(live.clone());
    let reply = there.view(seen);
    // Somebody else may have been faster, or it is written here by now.
    if Arc::ptr_eq(&there, &live) {
        follow(app, live);
    }
    Ok(reply)
}

/// Begins to mirror a reply.
pub(super) async fn begin(app: &App, owner: UserId, id: StepId) -> Outcome<()> {
    let (live, is_finished) = fetch(app, owner, id).await?;
    // Added even when it is over: a short one may be over before it is heard of.
    let there = app.replies.add(live.clone());
    if is_finished {
        app.replies.remove(&live);
    } else if Arc::ptr_eq(&there, &live) {
        follow(app, live);
    }
    Ok(())
}

/// Reads what is kept of a reply, and whether it is over.
async fn fetch(app: &App, owner: UserId, id: StepId) -> Outcome<(Arc<Live>, bool)> {
    let mut conn = app.ground.pg.conn().await?;
    let vault = app.vault.read_for(&mut conn, owner).await?;
    let kept = kept::find_reply(&mut conn, &vault, owner, id).await?.ok_or(STEP_NOT_FOUND)?;
    let (step, conversation) = (begun(&kept), ConversationId::from_uuid(kept.step.session_id));
    let end = End::of(kept.step.status());
    let progress = match end {
        Some(end) => finished(&kept, end),
        None => Progress::about(about(&kept)),
    };
    Ok((Arc::new(Live::new(step, conversation, owner, vault, progress, true)), end.is_some()))
}

fn begun(kept: &KeptReply) -> Begun {
    let KeptReply { step, .. } = kept;
    Begun {
        id: StepId::from_uuid(step.id),
        order: step.step_order.unsigned_abs(),
        attempt: step.attempt,
        created_at: step.created_at,
    }
}

fn about(kept: &KeptReply) -> About {
    About {
        provider: kept.step.provider.clone(),
        client_msg_id: kept.step.client_msg_id.clone(),
        emotion: kept.step.emotion.clone(),
        arc: kept.step.arc_step.and_then(|number| u8::try_from(number).ok()).and_then(arc_step),
        ..About::default()
    }
}

fn arc_step(number: u8) -> Option<domain::arc::Step> {
    domain::arc::Step::ALL.into_iter().find(|step| step.number() == number)
}

fn finished(kept: &KeptReply, end: End) -> Progress {
    let about = about(kept);
    Progress::kept(Written::of(&kept.step.gpt_response, kept.lengths.as_deref()), end, about)
}

/// Lets a mirror grow until its reply is over, or nobody looks.
fn follow(app: &App, live: Arc<Live>) {
    let lifecycle = app.ground.lifecycle.clone();
    let app = app.clone();
    lifecycle.spawn("reply_mirror", async move {
        // When the service ends its viewers do, one after the other, and then nobody looks.
        tokio::select! {
            end = grow(&app, &live) => live.progress.send_modify(|progress| progress.close(end)),
            () = nobody_looks(&live) => {}
        }
        app.replies.remove(&live);
    });
}

/// Ends when nobody has looked for a moment: whoever was told of the reply takes some time to come.
async fn nobody_looks(live: &Live) {
    loop {
        live.progress.closed().await;
        sleep(LEFT_ALONE).await;
        if live.progress.receiver_count() == 0 {
            return;
        }
    }
}

async fn grow(app: &App, live: &Live) -> End {
    let (mut heard_at, mut looked_at) = (Instant::now(), None::<Instant>);
    let redis = &app.ground.redis;
    loop {
        if looked_at.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            looked_at = Some(Instant::now());
            // Without Redis the writer may give up on a viewer it does not know of; the person can ask again.
            _ = redis.within(PATIENCE, relay::look(redis, live.step.id)).await;
        }
        let seen = live.progress.borrow().pieces();
        let told = redis.within(PATIENCE, relay::read(redis, live, seen)).await.unwrap_or_default();
        if told.is_empty() {
            if heard_at.elapsed() >= SILENCE {
                heard_at = Instant::now();
                if let Some(end) = ask_database(app, live).await {
                    return end;
                }
            }
            sleep(READ_SELDOM).await;
            continue;
        }
        heard_at = Instant::now();
        if let Some(end) = take(live, told) {
            return end;
        }
        sleep(READ_EVERY).await;
    }
}

/// Takes in what was told; returns how the reply ended once it has.
fn take(live: &Live, told: Vec<relay::Told>) -> Option<End> {
    for entry in told {
        live.progress.send_modify(|progress| {
            if let Some(about) = entry.about {
                progress.note(|known| *known = about);
            }
            // An entry may repeat what another one told.
            let known = progress.pieces().saturating_sub(entry.first.saturating_sub(1));
            let known = usize::try_from(known).unwrap_or(usize::MAX);
            entry.pieces.iter().skip(known).for_each(|piece| progress.push(piece));
        });
        if entry.end.is_some() {
            return entry.end;
        }
    }
    None
}

/// Takes in what the database has; returns how the reply ended once it has.
async fn ask_database(app: &App, live: &Live) -> Option<End> {
    let kept = async {
        let mut conn = app.ground.pg.conn().await?;
        kept::find_reply(&mut conn, &live.vault, live.owner, live.step.id).await
    };
    let Ok(kept) = kept.await else { return None };
    // It was erased: there is nothing to see any more.
    let Some(kept) = kept else { return Some(End::Interrupted) };
    let end = End::of(kept.step.status());
    if kept.step.attempt != live.step.attempt {
        return Some(End::Interrupted);
    }
    let known = finished(&kept, end.unwrap_or(End::Interrupted));
    live.progress.send_modify(|progress| {
        let news: Vec<_> = known.after(progress.pieces()).into_iter().map(ToOwned::to_owned).collect();
        for piece in news {
            progress.push(&piece);
        }
    });
    end
}
