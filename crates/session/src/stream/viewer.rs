//! One who watches a session, over whatever connection.

use actix_web::{HttpRequest, web::Data};
use chassis::problem::Outcome;
use domain::{
    fault::common,
    ids::{ParticipantId, SessionId},
};
use tokio::sync::watch;

use super::{
    frame::{self, Frame, Reader, Written},
    room::{Mark, Shown},
    rooms::Seat,
    store,
};
use crate::{app::App, participants::access};

/// A viewer, and how far it has read. There are thousands of them: what they have in common they share.
pub struct Viewer {
    app: Data<App>,
    seat: Seat,
    shown: watch::Receiver<Shown>,
    reader: Reader,
    /// Who they are in the session, unless it is theirs.
    place: Option<ParticipantId>,
    mark: Mark,
}

impl Viewer {
    /// Takes a place among a session's viewers, as whoever makes the request may; returns the first frame with it.
    ///
    /// # Errors
    /// What [`access::viewer`] refuses with; 503 when this replica is full or the database is away.
    pub async fn enter(app: &Data<App>, req: &HttpRequest, id: SessionId) -> Outcome<(Self, Written)> {
        let (reader, place) = match access::viewer(app, req, id).await? {
            access::Viewer::Owner(_) => (Reader::Owner, None),
            access::Viewer::Participant { participant_id, .. } => (Reader::Audience, Some(participant_id)),
        };
        let seat = app.rooms.enter(id).await?;
        // Who left before the room began to listen would not be noticed any more.
        if let Some(place) = place
            && !access::is_in(app, id, place).await?
        {
            return Err(common::INVALID_TOKEN.into());
        }
        let mut shown = seat.room.look();
        let (snapshot, mark) = shown.borrow_and_update().snapshot(reader)?;
        Ok((Self { app: Data::clone(app), seat, shown, reader, place, mark }, snapshot))
    }

    /// Waits for what is new; `None` when the session is gone, or they have left it. May be dropped while it waits.
    ///
    /// # Errors
    /// Returns a problem when a frame cannot be written.
    pub async fn next(&mut self) -> Outcome<Option<Vec<Written>>> {
        loop {
            // The room is kept by this viewer's own seat, so that its sender is there.
            if self.shown.changed().await.is_err() {
                return Ok(None);
            }
            let shown = self.shown.borrow_and_update();
            if shown.is_gone || self.place.is_some_and(|place| shown.has_left(place)) {
                return Ok(None);
            }
            let frames = shown.since(&mut self.mark, self.reader)?;
            if !frames.is_empty() {
                return Ok(Some(frames));
            }
        }
    }

    /// Returns the next part of what came after number `after`, up to what this viewer has read, and where it ends;
    /// `None` when there is no more.
    ///
    /// # Errors
    /// Returns a problem when the database is away.
    pub async fn missed(&self, after: i64) -> Outcome<Option<(Vec<Written>, i64)>> {
        if after >= self.mark.seq {
            return Ok(None);
        }
        // Boxed, because a query's future is larger than everything else of a viewer, and few have missed anything.
        let mut entries = Box::pin(self.list_after(after)).await?;
        entries.retain(|entry| entry.seq <= self.mark.seq);
        let Some(last) = entries.last().map(|entry| entry.seq) else { return Ok(None) };
        Ok(Some((self.shown.borrow().replay(&entries, self.reader)?, last)))
    }

    async fn list_after(&self, after: i64) -> Outcome<Vec<store::Entry>> {
        let mut conn = self.app.ground.pg.conn().await?;
        store::list_after(&mut conn, self.seat.room.id, after).await
    }

    /// Writes a frame with this viewer's number.
    ///
    /// # Errors
    /// Returns a problem when it cannot be written.
    pub fn write(&self, frame: impl FnOnce(i64, &Shown) -> Frame<'static>) -> Outcome<Written> {
        let frame = frame(self.mark.seq, &self.shown.borrow());
        frame::write(self.mark.seq, &frame)
    }
}
