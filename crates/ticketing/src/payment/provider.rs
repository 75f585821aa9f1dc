//! What a payment provider is to us: somebody who is asked for money, asked to give it back, and asked what happened.
//!
//! Every question has three kinds of answers, and the third matters most: what is so now, that it was refused, or that
//! nobody can tell. An answer that cannot be told from silence is silence; whoever gets it finds out later by
//! [`look_up`](Provider::look_up). No question is asked inside a database transaction.

use async_trait::async_trait;
use domain::payment::PaymentMethod;

/// The money of one purchase, as the provider is asked for it.
#[derive(Clone, Copy, Debug)]
pub struct Charge<'a> {
    /// What the purchase is known by.
    pub order_id: &'a str,
    /// What the buyer's consent is known by.
    pub payment_key: &'a str,
    /// KRW.
    pub amount: i64,
}

/// Where a purchase stands at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The money came.
    Captured(Receipt),
    /// The money came and went back, all of it.
    Cancelled(Receipt),
    /// The buyer has consented, or is about to; no money came, and some still may.
    Open,
    /// The buyer was given an account to pay into some day, which is longer than anything is held here.
    AwaitsDeposit,
    /// No money came, and none can come under this key any more; why.
    Dead(String),
    /// The provider knows nothing of it.
    Missing,
}

/// What the provider says of money that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The purchase that it is for.
    pub order_id: String,
    /// The consent that it came by.
    pub payment_key: String,
    /// KRW that came.
    pub amount: i64,
    /// KRW of it that have not gone back.
    pub balance: i64,
}

/// Why a question has no standing for an answer.
#[derive(Debug)]
pub enum Trouble {
    /// It will not be done, whoever asks again; the provider's code.
    Refused(String),
    /// It may have been done, or may be done when it is asked again; the provider's code. It repeats this answer under
    /// the same idempotency key.
    Unsure(String),
    /// No answer, or none that can be read: all is possible.
    Silent(Box<dyn std::error::Error + Send + Sync>),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(code) => write!(f, "refused: {code}"),
            Self::Unsure(code) => write!(f, "unsure: {code}"),
            Self::Silent(error) => write!(f, "silent: {}", chassis::problem::chain(error.as_ref())),
        }
    }
}

/// What a question comes back with.
pub type Reply = Result<Standing, Trouble>;

/// A payment provider.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Returns its name in the database.
    fn name(&self) -> &'static str;

    /// Returns whether the money is imaginary.
    fn is_sandbox(&self) -> bool;

    /// Returns what a buyer's page needs to open the provider's window.
    fn client_key(&self) -> &str;

    /// Returns the ways to pay that it offers.
    fn methods(&self) -> &'static [PaymentMethod];

    /// Returns a key for a payment that is taken without the provider's window, where that is possible.
    fn direct_key(&self, payment_id: domain::ids::PaymentId) -> Option<String>;

    /// Asks for the money. The same `idempotency_key` asks once, however often it is sent.
    async fn confirm(&self, charge: Charge<'_>, idempotency_key: &str) -> Reply;

    /// Asks to give `charge.amount` back; `reason` is shown to the buyer.
    async fn cancel(&self, charge: Charge<'_>, reason: &str, idempotency_key: &str) -> Reply;

    /// Asks how a purchase stands, by its consent if that is known.
    async fn look_up(&self, order_id: &str, payment_key: Option<&str>) -> Reply;
}
