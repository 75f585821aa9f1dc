//! Objects of a form that is not whole yet.

use std::mem;

use chassis::problem::Outcome;
use domain::{
    ids::UserId,
    memo::attachment::{ATTACHMENTS_MAX, object_key},
};
use uuid::Uuid;

use crate::{
    app::App,
    attachments::{TOO_MANY_ATTACHMENTS, unowned},
};

/// Remembers the objects that a form has brought; dropped before they have an owner, it lets them be deleted at once.
/// When even that is lost with the process, their time comes by itself.
pub(super) struct Staging<'a> {
    app: &'a App,
    owner: UserId,
    keys: Vec<String>,
    /// Ids for its files, the last one first: files are shown in the order of their ids.
    ids: Vec<Uuid>,
}

impl<'a> Staging<'a> {
    /// Begins with none.
    pub(super) fn new(app: &'a App, owner: UserId) -> Self {
        // Those of one millisecond are in no order.
        let mut ids: Vec<Uuid> = (0..ATTACHMENTS_MAX).map(|_| app.ground.clock.uuid()).collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        Self { app, owner, keys: Vec::new(), ids }
    }

    /// Returns whose they are.
    pub(super) fn owner(&self) -> UserId {
        self.owner
    }

    /// Returns what the service stands on.
    pub(super) fn app(&self) -> &'a App {
        self.app
    }

    /// Writes down an object that is about to come; returns its id and its key.
    pub(super) async fn stage(&mut self) -> Outcome<(Uuid, String)> {
        let id = self.ids.pop().ok_or(TOO_MANY_ATTACHMENTS)?;
        let key = object_key(self.owner, id);
        unowned::stage(self.app, self.owner, &key).await?;
        self.keys.push(key.clone());
        Ok((id, key))
    }

    /// They have an owner.
    pub(super) fn owned(mut self) {
        self.keys.clear();
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        let keys = mem::take(&mut self.keys);
        if keys.is_empty() {
            return;
        }
        let app = self.app.clone();
        self.app.ground.lifecycle.spawn("abandoned_form", async move {
            let abandoned = async {
                let mut conn = app.ground.pg.conn().await?;
                unowned::abandon(&mut conn, &keys, app.ground.clock.now()).await
            };
            match abandoned.await {
                Ok(()) => app.unowned.notify_one(),
                Err(problem) => tracing::info!(code = problem.code(), "objects of a form wait for their time"),
            }
        });
    }
}
