//! Where mail goes.

use chassis::config::Faults;
use clap::Args;
use lettre::{Address, message::Mailbox};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// Mail.
#[derive(Args, Clone, Debug)]
pub struct MailConfig {
    /// `smtp://user:password@host:587?tls=required`, `smtps://...`, or `file:///directory` for one `.eml` file a letter;
    /// without it no mail is sent.
    #[arg(long, env = "MAIL_URL")]
    pub mail_url: Option<SecretString>,
    /// Who letters come from: `Name <address>`.
    #[arg(long, env = "MAIL_FROM", default_value = "Maru <no-reply@localhost>")]
    pub mail_from: String,
}

impl MailConfig {
    /// Checks the forms.
    pub fn validate(&self, faults: &mut Faults) {
        if let Some(url) = &self.mail_url {
            let known = Url::parse(url.expose_secret()).is_ok_and(|url| match url.scheme() {
                "smtp" | "smtps" => url.has_host(),
                "file" => url.to_file_path().is_ok(),
                _ => false,
            });
            if !known {
                faults.add("MAIL_URL", "is not of the form smtp://host:port, smtps://host:port or file:///directory");
            }
        }
        if self.from().is_err() {
            faults.add("MAIL_FROM", "is not of the form Name <address>");
        }
    }

    /// Returns who letters come from.
    ///
    /// # Errors
    /// Returns the library's error when it is no address.
    pub fn from(&self) -> Result<Mailbox, lettre::address::AddressError> {
        // Host names without a dot are fine for a development machine, and the library's own reader takes them too.
        match self.mail_from.rsplit_once('<') {
            Some((name, address)) => {
                let address: Address = address.trim_end().trim_end_matches('>').parse()?;
                Ok(Mailbox::new(Some(name.trim().to_owned()), address))
            }
            None => Ok(Mailbox::new(None, self.mail_from.trim().parse()?)),
        }
    }
}
