//! What is known when somebody says something, asked for all at once: the statements leave in one packet, and their
//! answers come back in one.

use chassis::problem::Outcome;
use diesel_async::AsyncPgConnection;
use domain::ids::{ConversationId, UserId};
use futures_util::try_join;

use super::Draft;
use crate::{
    app::App,
    context,
    conversation::{self, Conversation, ConversationRow, store as conversations},
    prompt::{self, ActivePrompt, SealedPrompt},
    step::{
        Step, StepRow,
        running::{self, Last},
        store,
    },
    vault::{PersonVault, WrappedKey},
};

/// What is known; the conversation's row is held until the transaction ends. It has no `Debug`.
pub(super) struct Known {
    pub(super) vault: PersonVault,
    pub(super) conversation: Conversation,
    pub(super) last: Option<Last>,
    /// The step that the client calls as it calls this message.
    pub(super) said: Option<Step>,
    /// How the person would like to be answered; only for a model.
    pub(super) wish: Option<ActivePrompt>,
    /// The steps that the rolling summary does not hold, the newest first; only for a model.
    pub(super) steps: Vec<Step>,
}

/// The same, sealed.
struct Sealed {
    key: Option<WrappedKey>,
    conversation: Option<ConversationRow>,
    last: Option<Last>,
    said: Option<StepRow>,
    wish: Option<SealedPrompt>,
    steps: Vec<StepRow>,
}

impl Known {
    /// Reads it, and writes the conversation first if it was only announced.
    ///
    /// # Errors
    /// [`NOT_FOUND`](conversation::NOT_FOUND) when it was erased.
    pub(super) async fn read(conn: &mut AsyncPgConnection, app: &App, draft: &Draft) -> Outcome<Self> {
        let talk = &draft.talk;
        let owner = UserId(talk.conversation.user_id);
        let mut sealed = Sealed::read(conn, app, draft).await?;
        let vault = app.vault.open_held(conn, owner, sealed.key.take()).await?;
        if sealed.conversation.is_none() && !talk.is_written {
            if conversations::insert_missing(conn, &vault, &talk.conversation).await? {
                return Self::first(vault, talk.conversation.clone(), sealed.wish);
            }
            // Another socket has written it in this moment.
            sealed = Sealed::read(conn, app, draft).await?;
        }
        sealed.open(vault)
    }

    /// What is known when a conversation has just been written.
    fn first(vault: PersonVault, conversation: Conversation, wish: Option<SealedPrompt>) -> Outcome<Self> {
        let wish = wish.map(|wish| wish.open(&vault)).transpose()?;
        Ok(Self { vault, conversation, last: None, said: None, wish, steps: Vec::new() })
    }
}

impl Sealed {
    async fn read(conn: &AsyncPgConnection, app: &App, draft: &Draft) -> Outcome<Self> {
        let Conversation { id, user_id, .. } = draft.talk.conversation;
        let (id, owner) = (ConversationId(id), UserId(user_id));
        let is_for_model = app.companion.window().is_some();
        let said = async {
            match &draft.client_msg_id {
                Some(name) => store::find_said(conn, id, name).await,
                None => Ok(None),
            }
        };
        let wish = async { if is_for_model { prompt::sealed(conn, owner).await } else { Ok(None) } };
        let steps = async {
            if is_for_model { store::list_not_summed_up(conn, id, context::TURNS_READ).await } else { Ok(Vec::new()) }
        };
        // In this order, which is the order they reach the server in: the person's key is held before anything else, and
        // what is read of the conversation is read behind its lock.
        let (key, conversation, last, said, wish, steps) = try_join!(
            app.vault.hold(conn, owner),
            conversations::lock_row(conn, owner, id),
            running::last(conn, id),
            said,
            wish,
            steps
        )?;
        Ok(Self { key, conversation, last, said, wish, steps })
    }

    fn open(self, vault: PersonVault) -> Outcome<Known> {
        let conversation = self.conversation.ok_or(conversation::NOT_FOUND)?.open(&vault)?;
        let said = self.said.map(|row| row.open(&vault)).transpose()?;
        let wish = self.wish.map(|wish| wish.open(&vault)).transpose()?;
        let steps = self.steps.into_iter().map(|row| row.open(&vault)).collect::<Outcome<_>>()?;
        Ok(Known { conversation, last: self.last, said, wish, steps, vault })
    }
}
