//! Where session codes are drawn from: the system's randomness, or a list in a test of collisions. Whether one is free, the
//! primary key of their table decides.

pub mod store;

use std::sync::Arc;

use chassis::problem::{Outcome, Problem};
use domain::session::SessionCode;

/// Random bytes per try; six letters need more than sixteen once in billions of draws, and then there is another try.
const BYTES: usize = 16;

type Source = dyn Fn() -> Outcome<SessionCode> + Send + Sync;

/// A source of session codes; clones share it.
#[derive(Clone)]
pub struct Codes(Arc<Source>);

impl Codes {
    /// Codes nobody can guess.
    pub fn random() -> Self {
        Self::from_fn(random)
    }

    /// Codes of somebody's choice.
    pub fn from_fn(draw: impl Fn() -> Outcome<SessionCode> + Send + Sync + 'static) -> Self {
        Self(Arc::new(draw))
    }

    /// Draws a code; it may be taken.
    ///
    /// # Errors
    /// Returns a problem when the machine has no randomness.
    pub fn draw(&self) -> Outcome<SessionCode> {
        (self.0)()
    }
}

fn random() -> Outcome<SessionCode> {
    loop {
        let mut bytes = [0; BYTES];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_no_entropy| Problem::unexpected("no randomness"))?;
        if let Some(code) = SessionCode::draw(bytes) {
            return Ok(code);
        }
    }
}
