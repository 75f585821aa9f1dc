//! What leaves the outbox: notices of ended logins at once, letters and erasures on lanes of their own.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chassis::{
    outbox::{Deliver, Lane, Message, QUICK},
    problem::{Outcome, Problem},
};
use domain::contract::REVOCATIONS;

use crate::{
    account::store as accounts,
    app::App,
    mail::{Letter, MAIL, code, letter, mailer},
    person::{erase::ERASURE, work},
};

/// Everybody needs to hear of an ended login within a second.
const NOTICES: Lane = Lane { name: "outbox-notices", topics: &[REVOCATIONS], patience: QUICK };
/// A mail server takes its time.
const LETTERS: Lane = Lane { name: "outbox-letters", topics: &[MAIL], patience: Duration::from_secs(15) };
/// A service erases piece by piece.
const ERASURES: Lane = Lane { name: "outbox-erasures", topics: &[ERASURE], patience: Duration::from_secs(15) };
/// Tries after which a letter is let go, most of them a minute apart: three days. What it says is old news by then.
const LETTER_TRIES: i32 = 3 * 24 * 60;

/// Starts the loops that deliver.
pub fn start(app: &App) {
    let target = Arc::new(Delivery(app.clone()));
    for lane in [NOTICES, ERASURES] {
        app.outbox.relay(&app.ground.lifecycle, app.ground.pg.clone(), lane, target.clone());
    }
    if app.mailer.is_some() {
        app.outbox.relay(&app.ground.lifecycle, app.ground.pg.clone(), LETTERS, target);
    }
}

struct Delivery(App);

#[async_trait]
impl Deliver for Delivery {
    async fn deliver(&self, message: &Message) -> Outcome<()> {
        match message.topic.as_str() {
            REVOCATIONS => self.0.ground.redis.publish(REVOCATIONS, &message.payload.to_string()).await,
            MAIL => self.write(message).await,
            ERASURE => work::erase(&self.0, &message.payload).await,
            topic => Err(Problem::unexpected(format!("nobody delivers {topic}"))),
        }
    }
}

impl Delivery {
    async fn write(&self, message: &Message) -> Outcome<()> {
        let Some(mailer) = &self.0.mailer else { return Ok(()) };
        if message.attempts > LETTER_TRIES {
            return mailer::give_up("the mail server has not taken it for days");
        }
        let letter = serde_json::from_value(message.payload.clone()).map_err(Problem::unexpected)?;
        let written = match letter {
            Letter::Notice { to, locale, notice } => letter::notice(&to, locale, notice),
            Letter::Code { email_key, purpose } => {
                let mut conn = self.0.ground.pg.conn().await?;
                let Some(user) = accounts::find_by_email(&conn, &email_key).await? else { return Ok(()) };
                let now = self.0.ground.clock.now();
                let code = code::issue(&mut conn, &self.0.code_mac, (message.id, purpose), &user, now).await?;
                letter::code(&user.email, user.locale(), purpose, &code)
            }
        };
        mailer.send(written).await
    }
}
