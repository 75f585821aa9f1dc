//! Mail: codes that prove an address, and notices about an account.
//!
//! A letter is asked for in the transaction that makes it true and leaves through the outbox, so that none is lost and
//! no request waits for a mail server. Asking for a code costs the same whether or not anybody has that address: who has
//! it is found out when the letter is written, and the code itself is only then made.

pub mod code;
pub mod config;
pub mod letter;
pub mod mailer;
pub mod verify;

use chassis::problem::Outcome;
use diesel_async::AsyncPgConnection;
use domain::{
    fault::{Fault, Kind},
    locale::Locale,
};
use serde::{Deserialize, Serialize};

use crate::{account::store::User, app::App, mail::code::Purpose};

/// The outbox topic of letters.
pub const MAIL: &str = "mail";

/// There is no mail server to send through.
pub const MAIL_NOT_CONFIGURED: Fault = Fault::new(
    Kind::Unavailable,
    "mail_not_configured",
    "메일 발송이 설정되지 않았습니다.",
    "Mail has not been set up here.",
);

/// A letter to be written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Letter {
    /// A code for whoever has this address, if anybody does.
    Code {
        /// The address's key.
        email_key: String,
        /// What it is for.
        purpose: Purpose,
    },
    /// A notice. It carries its address, because the account may be gone when it leaves.
    Notice {
        /// The address.
        to: String,
        /// The language.
        locale: Locale,
        /// What happened.
        notice: Notice,
    },
}

/// What the owner of an account is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// The password was changed.
    PasswordChanged,
    /// The account can be entered with Google now.
    GoogleLinked,
    /// A login was ended, because two held it.
    LoginEnded,
    /// The account and everything in it is being erased.
    AccountErased,
}

/// Asks for a code to be mailed; call in the transaction it belongs to.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn send_code(app: &App, conn: &mut AsyncPgConnection, email_key: &str, purpose: Purpose) -> Outcome<()> {
    let letter = Letter::Code { email_key: email_key.to_owned(), purpose };
    put(app, conn, &letter).await
}

/// Asks for a notice to be mailed; call in the transaction that makes it true.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn notify(app: &App, conn: &mut AsyncPgConnection, user: &User, notice: Notice) -> Outcome<()> {
    let letter = Letter::Notice { to: user.email.clone(), locale: user.locale(), notice };
    put(app, conn, &letter).await
}

async fn put(app: &App, conn: &mut AsyncPgConnection, letter: &Letter) -> Outcome<()> {
    // Without a mail server nothing would ever take the letters out again.
    if app.mailer.is_none() {
        return Ok(());
    }
    app.outbox.put(conn, MAIL, letter).await
}
