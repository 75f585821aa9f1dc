//! The job that writes one reply, from the step's row to the kept text.

use std::{sync::Arc, time::Duration};

use chassis::problem::Outcome;
use domain::{
    ids::{ConversationId, StepId, UserId},
    locale::Locale,
    safety::{OutputWatch, Watched, disclosure},
};
use futures_util::StreamExt;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use super::{
    Draft, Opening, Started,
    ahead::{Ahead, Size},
    begin::{Beginning, Fresh, begin},
    keep,
    live::{Growing, Live},
    notices::{self, Notice},
    progress::{About, End, Progress},
    recollection::Recollection,
    relay,
};
use crate::{
    app::App,
    companion::{Answerer, Finish, OFFLINE, Piece, Pieces},
    context,
};

/// Most bytes of a reply; far above anything a companion is asked for.
const REPLY_MAX: usize = 64 * 1024;
/// Longest a reply may take.
const REPLY_TIMEOUT: Duration = Duration::from_mins(2);
/// How long a reply may go on when the service ends: within the time that tasks are waited for.
const DRAIN_GRACE: Duration = Duration::from_secs(10);
/// Longest that Redis is waited for where it is only asked for company.
const REDIS_PATIENCE: Duration = Duration::from_millis(500);

/// What is known of a reply when it has ended.
#[derive(Default)]
pub(super) struct Facts {
    /// Who answered in the end, when that is not who was asked.
    pub(super) answerer: Option<Answerer>,
    /// How it ended, in its provider's words.
    pub(super) finish: Option<Finish>,
    /// Tokens of the prompt, by our count.
    pub(super) prompt_tokens: Option<u32>,
    /// Tokens of the reply, by our count.
    pub(super) reply_tokens: Option<u32>,
    /// Milliseconds until the first text of who answered.
    pub(super) ttft_ms: Option<u32>,
    /// Whether it is for a model: tokens of the person's day are reserved, and those of the reply are counted.
    pub(super) is_for_model: bool,
}

impl Facts {
    /// Returns what the reply cost the person's day.
    pub(super) fn cost(&self) -> i64 {
        if self.answerer.as_ref().is_some_and(|by| by.provider == OFFLINE) {
            return 0;
        }
        let finish = self.finish.as_ref();
        let prompt = finish.and_then(|finish| finish.prompt_tokens).or(self.prompt_tokens).unwrap_or_default();
        let reply = finish.and_then(|finish| finish.completion_tokens).or(self.reply_tokens).unwrap_or_default();
        i64::from(prompt) + i64::from(reply)
    }
}

/// Writes the step, tells `begun`, and writes the reply.
pub(super) async fn run(app: App, draft: Draft, begun: oneshot::Sender<Outcome<Started>>) {
    let opening = Arc::clone(&draft.opening);
    let owner = UserId(draft.talk.conversation.user_id);
    // A full house has no place left, but for whoever is in danger.
    let place = match app.limits.begin_reply() {
        Err(refusal) if !opening.is_due() => return drop(begun.send(Err(refusal))),
        place => place,
    };
    let (asking, mut ahead) = Ahead::new();
    let beginning = match context::check_length(&app, &draft.message.user_input, opening.locale) {
        Ok(()) => ahead.during(app.companion.as_ref(), Box::pin(begin(&app, &draft, asking))).await,
        Err(refusal) => Err(refusal),
    };
    let fresh = match beginning {
        Ok(Beginning::New(fresh)) => fresh,
        Ok(Beginning::Before(id)) => return drop(begun.send(Ok(Started::Before(id)))),
        Ok(Beginning::Again(id)) => {
            let reply = Box::pin(super::resume(&app, owner, id, 0)).await;
            return drop(begun.send(reply.map(Started::Again)));
        }
        Err(problem) => return drop(begun.send(Err(problem))),
    };
    let started = Instant::now();
    let live = appear(&app, &draft, &opening, &fresh);
    let growing = Growing::new(live.clone(), app.replies.clone());
    // Whoever asked may be gone; the reply is written all the same, for a while.
    drop(begun.send(Ok(Started::Now(live.view(0)))));
    announce(&app, &live);
    let Size { tokens: prompt_tokens, turn_budget } = fresh.size;
    let mut facts = Facts { prompt_tokens, is_for_model: turn_budget.is_some(), ..Facts::default() };
    let end = match ahead.into_pieces(app.companion.as_ref()) {
        Some(pieces) => write(&app, &live, &fresh, opening.locale, pieces, &mut facts).await,
        None => End::Interrupted,
    };
    // There are many of these, most of their time in `write`: what else they do is put aside until they do it.
    let end = Box::pin(keep::whole(&app, &live, end, &mut facts)).await;
    // Before anybody hears of the end, and says the next thing.
    if turn_budget.is_some() && end == End::Complete {
        app.replies.remember(live.conversation, Recollection::after(&app, &draft, &fresh, &live, &facts));
    }
    live.progress.send_modify(|progress| progress.close(end));
    drop((growing, place));
    report(&live, end, started);
    let telling = Box::pin(relay::tell_end(&app.ground.redis, &live, end));
    // Without Redis it is read from the database.
    _ = app.ground.redis.within(REDIS_PATIENCE, telling).await;
    if let Some(turn_budget) = turn_budget.filter(|_| end == End::Complete) {
        Box::pin(afterwards(&app, &live, &draft, &opening, &fresh, turn_budget)).await;
    }
}

fn report(live: &Live, end: End, started: Instant) {
    metrics::counter!("emotion_replies_total", "end" => end.status().name()).increment(1);
    let bytes = live.progress.borrow().written().bytes();
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(step_id = %live.step.id, bytes, took_ms, end = end.status().name(), "reply ended");
}

/// Shows the reply to whoever looks, with the card as its first piece when one is due.
fn appear(app: &App, draft: &Draft, opening: &Opening, fresh: &Fresh) -> Arc<Live> {
    let provider = if fresh.is_by_rules { OFFLINE } else { app.companion.provider() };
    let about = About {
        provider: provider.to_owned(),
        client_msg_id: draft.client_msg_id.clone(),
        safety: opening.safety(),
        emotion: opening.feeling.and_then(|feeling| serde_json::to_value(feeling).ok()),
        arc: Some(fresh.place.step),
        suggests_closing: fresh.place.suggests_closing(),
    };
    let mut progress = Progress::own(about);
    if let Some(card) = opening.text() {
        progress.push(&card);
        metrics::counter!("emotion_cards_total", "level" => opening.heard.level.as_u8().to_string()).increment(1);
    }
    if fresh.discloses {
        progress.push(&format!("{}\n\n", disclosure(opening.locale)));
    }
    let (conversation, owner) = (ConversationId(fresh.conversation.id), UserId(fresh.conversation.user_id));
    let live = Live::new(fresh.step, conversation, owner, fresh.vault.clone(), progress, false);
    app.replies.add(Arc::new(live))
}

/// Tells the other replicas, without waiting for it.
fn announce(app: &App, live: &Live) {
    let writer = Some(app.replies.replica());
    let notice = Notice::Begun { step: live.step.id, conversation: live.conversation, owner: live.owner, writer };
    let redis = app.ground.redis.clone();
    app.ground.lifecycle.spawn("reply_notice", async move {
        // Who missed it sees the reply when it asks for it.
        _ = redis.within(REDIS_PATIENCE, notices::send(&redis, notice)).await;
    });
    app.replies.wake();
}

/// Writes the reply until it ends, by itself or by whatever ends it.
async fn write(
    app: &App,
    live: &Live,
    fresh: &Fresh,
    locale: Locale,
    pieces: (Pieces, Instant),
    facts: &mut Facts,
) -> End {
    let watch = OutputWatch::new(fresh.risk.level, locale);
    tokio::select! {
        biased;
        end = live.stopped() => end,
        end = gather(app, live, pieces, watch, facts) => end,
        () = nobody_looks(app, live) => End::Interrupted,
        () = out_of_time(app) => End::Interrupted,
    }
}

/// Gathers the pieces until there are no more.
async fn gather(
    app: &App,
    live: &Live,
    (mut pieces, asked_at): (Pieces, Instant),
    mut watch: OutputWatch,
    facts: &mut Facts,
) -> End {
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(Piece::By(answerer)) => {
                live.progress
                    .send_modify(|progress| progress.note(|about| answerer.provider.clone_into(&mut about.provider)));
                facts.answerer = Some(answerer);
            }
            Ok(Piece::Text(text)) => {
                if facts.ttft_ms.is_none() {
                    let took = asked_at.elapsed();
                    metrics::histogram!("emotion_first_token_seconds").record(took);
                    facts.ttft_ms = Some(u32::try_from(took.as_millis()).unwrap_or(u32::MAX));
                }
                match watch.push(&text) {
                    Watched::Go(text) => {
                        if !push(app, live, &text) {
                            return End::Interrupted;
                        }
                    }
                    Watched::Cut { text, safe_text, breach } => {
                        metrics::counter!("emotion_replies_cut_total", "breach" => breach.name()).increment(1);
                        push(app, live, &text);
                        push(app, live, &safe_text);
                        return End::Blocked;
                    }
                }
            }
            Ok(Piece::Over(finish)) => {
                facts.finish = Some(finish);
                flush(app, live, &mut watch);
                return End::Complete;
            }
            Err(problem) => {
                problem.log();
                flush(app, live, &mut watch);
                return End::Interrupted;
            }
        }
    }
    flush(app, live, &mut watch);
    End::Interrupted
}

fn flush(app: &App, live: &Live, watch: &mut OutputWatch) {
    if let Watched::Go(text) = watch.finish() {
        push(app, live, &text);
    }
}

/// Adds a text; returns whether there is room for more.
fn push(app: &App, live: &Live, text: &str) -> bool {
    let room = REPLY_MAX.saturating_sub(live.progress.borrow().written().bytes());
    let fitting = text.get(..text.floor_char_boundary(room)).unwrap_or_default();
    if !fitting.is_empty() {
        live.progress.send_modify(|progress| progress.push(fitting));
        app.replies.wake();
    }
    if fitting.len() < text.len() {
        tracing::warn!("the companion does not stop talking");
    }
    fitting.len() == text.len()
}

/// Ends when nobody has looked at the reply for a while, here or elsewhere.
async fn nobody_looks(app: &App, live: &Live) {
    loop {
        live.progress.closed().await;
        sleep(app.config.replies.grace()).await;
        if live.progress.receiver_count() > 0 {
            continue;
        }
        let asking = Box::pin(relay::is_looked_at(&app.ground.redis, &live.step));
        if !app.ground.redis.within(REDIS_PATIENCE, asking).await.unwrap_or_default() {
            tracing::info!(step_id = %live.step.id, "nobody looks at a reply any more");
            return;
        }
    }
}

/// Ends when the reply has taken too long, or goes on for too long while the service ends.
async fn out_of_time(app: &App) {
    let stopping = app.ground.lifecycle.stopping();
    tokio::select! {
        () = sleep(REPLY_TIMEOUT) => tracing::warn!("a reply took too long"),
        () = async { stopping.cancelled().await; sleep(DRAIN_GRACE).await } => {}
    }
}

/// What is better done when nobody waits any more: the feeling as the model judges it, and the summary.
async fn afterwards(app: &App, live: &Live, draft: &Draft, opening: &Opening, fresh: &Fresh, turn_budget: usize) {
    let feeling = context::ask_feeling(app.companion.as_ref(), &draft.message.user_input, opening.locale).await;
    if let Some(emotion) = feeling.and_then(|feeling| serde_json::to_value(feeling).ok()) {
        let step: StepId = live.step.id;
        let kept = async {
            let mut conn = app.ground.pg.conn().await?;
            crate::step::running::keep_emotion(&mut conn, &live.vault, step, &emotion).await
        };
        if let Err(problem) = kept.await {
            tracing::warn!(code = problem.code(), step_id = %step, "a feeling was not kept");
        }
    }
    let summed =
        context::sum_up(app, &live.vault, &fresh.conversation, &fresh.steps, turn_budget, opening.locale).await;
    match summed {
        // What is remembered was shown in full.
        Ok(true) => app.replies.remember(live.conversation, None),
        Ok(false) => {}
        Err(problem) => tracing::warn!(code = problem.code(), "a conversation was not summed up"),
    }
}
