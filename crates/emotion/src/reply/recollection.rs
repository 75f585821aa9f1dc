//! What a room remembers of its conversation between two messages, so that who answers can be asked before the database
//! was.
//!
//! What counts is read under the conversation's lock, and the question is put together from that. But nearly always it is
//! what was known when the last reply ended. So the question is put together from memory first and asked at once, and asked
//! again when the one that counts turns out to be another. Nothing of an answer is shown before the step is there.
//!
//! What is asked in vain is paid for all the same. So only a message asks like this that was counted among those of the
//! minute, and only where the last one was answered whole or a look at the database found tokens left for a reply.

use std::sync::Arc;

use chassis::problem::Outcome;
use domain::{
    arc::Held,
    context_budget::Pair,
    ids::{ConversationId, UserId},
};
use futures_util::try_join;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    Draft,
    ahead::{Question, Scene},
    begin::{Fresh, course, to_reserve},
    job::Facts,
    live::Live,
    progress::Begun,
};
use crate::{
    app::App,
    context,
    conversation::{Conversation, Talk},
    limit, prompt,
    step::{Step, StepRow, store},
};

/// Most bytes of a conversation's texts that are remembered: several times what turns take in the prompt of most models.
const TEXT_MAX: usize = 24 * 1024;
/// The same of all conversations of a process, KB.
const ROOM_KB: usize = 32 * 1024;
/// Conversations that are looked at in the same moment. Where many people come at once, the first words of the others find
/// nothing remembered, and the database is left to those who say something.
const LOOKS: usize = 4;

/// What is remembered. It has no `Debug`, so that no log line can show it.
pub(super) struct Recollection {
    conversation: Conversation,
    /// The place of the newest step.
    order: u32,
    /// The oldest first.
    turns: Vec<Turn>,
    /// How the person would like to be answered.
    wish: Option<String>,
    _room: OwnedSemaphorePermit,
}

struct Turn {
    /// The client's own name of the message.
    name: Option<String>,
    said: String,
    reply: String,
    tokens: Option<usize>,
}

/// How much may be remembered.
pub(super) struct Memory {
    room: Arc<Semaphore>,
    looks: Semaphore,
}

impl Default for Memory {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(ROOM_KB)), looks: Semaphore::new(LOOKS) }
    }
}

impl Recollection {
    /// Looks at a conversation that somebody has come to talk in, before anything is said.
    ///
    /// # Errors
    /// Returns a problem when the database is away.
    pub(super) async fn look(app: &App, talk: Talk) -> Outcome<Option<Self>> {
        let memory = app.replies.memory();
        let Ok(_place) = memory.looks.try_acquire() else { return Ok(None) };
        let conversation = talk.conversation;
        let (id, owner) = (ConversationId(conversation.id), UserId(conversation.user_id));
        let (vault, wish, rows, used) = {
            let mut conn = app.ground.pg.conn().await?;
            let vault = app.vault.read_for(&mut conn, owner).await?;
            let conn = &*conn;
            let (wish, rows, used) = try_join!(
                prompt::sealed(conn, owner),
                store::list_not_summed_up(conn, id, context::TURNS_READ),
                limit::used(conn, owner, app.ground.clock.now())
            )?;
            (vault, wish, rows, used)
        };
        let is_used_up = used.saturating_add(to_reserve(app, None).into()) > app.limits.config().tokens_per_day;
        if is_used_up || conversation.ended_at.is_some() {
            return Ok(None);
        }
        let steps: Vec<_> = rows.into_iter().map(|row: StepRow| row.open(&vault)).collect::<Outcome<_>>()?;
        let wish = wish.map(|wish| wish.open(&vault)).transpose()?.map(|wish| wish.text);
        let order = steps.first().map_or(0, |newest| newest.step_order.unsigned_abs());
        let Some(room) = memory.room_for(steps.iter().map(length).sum()) else { return Ok(None) };
        let turns = steps.into_iter().rev().map(Turn::from).collect();
        Ok(Some(Self { conversation, order, turns, wish, _room: room }))
    }

    /// Remembers what is known when a reply has ended whole.
    pub(super) fn after(app: &App, draft: &Draft, fresh: &Fresh, live: &Live, facts: &Facts) -> Option<Self> {
        let (said, progress) = (&draft.message.user_input, live.progress.borrow());
        // A long reply is read again where it is kept.
        if progress.gone() > 0 {
            return None;
        }
        let kept = usize::try_from(context::TURNS_READ - 1).unwrap_or_default();
        let before = fresh.steps.get(..kept).unwrap_or(&fresh.steps);
        let bytes = before.iter().map(length).sum::<usize>() + said.len() + progress.written().bytes();
        let room = app.replies.memory().room_for(bytes)?;
        let tokens = fresh.input_tokens.and_then(|tokens| usize::try_from(tokens).ok());
        let newest = Turn {
            name: draft.client_msg_id.clone(),
            said: said.clone(),
            reply: progress.after(0).concat(),
            tokens: tokens.zip(facts.reply_tokens).and_then(|(of_it, of_reply)| {
                usize::try_from(of_reply).ok().and_then(|of_reply| of_it.checked_add(of_reply))
            }),
        };
        let turns = before.iter().rev().cloned().map(Turn::from).chain([newest]).collect();
        let wish = fresh.wish.as_ref().map(|wish| wish.text.clone());
        Some(Self { conversation: fresh.conversation.clone(), order: fresh.step.order, turns, wish, _room: room })
    }

    /// Returns whose conversation it is.
    pub(super) fn owner(&self) -> UserId {
        UserId(self.conversation.user_id)
    }

    /// Returns whether it goes as far as this step.
    pub(super) fn holds(&self, step: Begun) -> bool {
        self.order >= step.order
    }

    /// Puts together what is asked if nothing has changed; nothing when it was said before, or does not fit. Either is
    /// told of by whoever reads it from the database.
    pub(super) fn question(&self, app: &App, draft: &Draft, held: Held) -> Option<Question> {
        if draft.client_msg_id.is_some() && self.turns.iter().any(|turn| turn.name == draft.client_msg_id) {
            return None;
        }
        let judged = course(app, draft, held, &self.conversation);
        let scene = Scene {
            conversation: &self.conversation,
            place: judged.place,
            level: judged.risk.level,
            order: self.order.saturating_add(1),
            turns: self.turns.iter().map(Turn::pair).collect(),
            wish: self.wish.as_deref(),
            is_by_rules: false,
        };
        Question::new(app, draft, &scene).ok().map(|(question, _size)| question)
    }
}

impl Memory {
    /// Takes room for so many bytes of text; none when that is too much, or there is none left.
    fn room_for(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kb = u32::try_from(bytes.div_ceil(1024)).ok().filter(|_| bytes <= TEXT_MAX)?;
        // One more, for everything beside the texts.
        Arc::clone(&self.room).try_acquire_many_owned(kb + 1).ok()
    }
}

impl From<Step> for Turn {
    fn from(step: Step) -> Self {
        let tokens = context::tokens_of(&step);
        Self { name: step.client_msg_id, said: step.user_input, reply: step.gpt_response, tokens }
    }
}

impl Turn {
    fn pair(&self) -> Pair<'_> {
        Pair { user: &self.said, reply: &self.reply, tokens: self.tokens }
    }
}

fn length(step: &Step) -> usize {
    step.user_input.len() + step.gpt_response.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_much_and_what_is_forgotten_makes_room() {
        let memory = Memory::default();
        assert!(memory.room_for(TEXT_MAX + 1).is_none(), "one that is too long");
        let whole = TEXT_MAX / 1024 + 1;
        let mut held: Vec<_> = (0..ROOM_KB / whole).filter_map(|_| memory.room_for(TEXT_MAX)).collect();
        assert_eq!((held.len(), memory.room_for(TEXT_MAX).is_none()), (ROOM_KB / whole, true));
        held.pop();
        assert!(memory.room_for(TEXT_MAX).is_some());
    }
}
