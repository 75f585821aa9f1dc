//! Hands letters to a mail server, or to files on a developer's machine.

use std::time::Duration;

use chassis::problem::{Outcome, Problem};
use lettre::{
    AsyncFileTransport, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::response::Code,
};
use secrecy::ExposeSecret;
use url::Url;

use super::config::MailConfig;

/// Longest one command of the mail server may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(8);

enum Transport {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Files(AsyncFileTransport<Tokio1Executor>),
}

/// Sends letters.
pub struct Mailer {
    from: Mailbox,
    transport: Transport,
}

/// A letter that is ready to leave.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    /// The address.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

impl Mailer {
    /// Sends as configured, or not at all when nothing is.
    ///
    /// # Errors
    /// Returns a problem when the address cannot be used; connects to nothing yet.
    pub fn new(config: &MailConfig) -> Outcome<Option<Self>> {
        let Some(url) = &config.mail_url else { return Ok(None) };
        let from = config.from().map_err(Problem::unexpected)?;
        let parsed = Url::parse(url.expose_secret()).map_err(Problem::unexpected)?;
        let transport = if let ("file", Ok(directory)) = (parsed.scheme(), parsed.to_file_path()) {
            std::fs::create_dir_all(&directory).map_err(Problem::unexpected)?;
            Transport::Files(AsyncFileTransport::new(directory))
        } else {
            let smtp = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret());
            Transport::Smtp(smtp.map_err(Problem::unexpected)?.timeout(Some(COMMAND_TIMEOUT)).build())
        };
        Ok(Some(Self { from, transport }))
    }

    /// Sends a letter.
    ///
    /// # Errors
    /// 503 when the server does not take it now. A letter that no server would ever take is let go, with a line in the
    /// log that does not say whose it was.
    pub async fn send(&self, letter: Written) -> Outcome<()> {
        let Ok(to) = letter.to.parse() else { return give_up("its address is none that mail can go to") };
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(letter.text);
        let Ok(message) = message else { return give_up("it cannot be put into a message") };
        match &self.transport {
            Transport::Files(files) => files.send(message).await.map(drop).map_err(Problem::unavailable),
            Transport::Smtp(server) => match server.send(message).await {
                Ok(_) => Ok(()),
                Err(error) if error.status().is_some_and(is_about_the_letter) => {
                    give_up("the mail server refuses it for good")
                }
                Err(error) => Err(Problem::unavailable(error)),
            },
        }
    }
}

/// Returns whether a mail server means this letter (RFC 5321, 4.2.3): its addresses, its size or what it says. It may
/// also refuse us, for a password that is wrong or a command it does not know, and then the next try may find that mended.
fn is_about_the_letter(status: Code) -> bool {
    let status = u16::from(status);
    (550..=555).contains(&status)
}

/// Lets a letter go; the outbox must not try it again.
#[expect(clippy::unnecessary_wraps, reason = "the end of a delivery")]
pub(crate) fn give_up(reason: &'static str) -> Outcome<()> {
    metrics::counter!("mails_given_up_total").increment(1);
    tracing::warn!(reason, "a letter is not sent");
    Ok(())
}
