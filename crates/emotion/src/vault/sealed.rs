//! Text as it is at rest.
//!
//! A sealed text is a version byte, a random nonce of 12 bytes, and what AES-256-GCM makes of the text with its tag of
//! 16. The column's name and the row's id are authenticated with it: moved to another row or column, or altered in a
//! bit, it does not open.
//!
//! A text that is still growing is sealed part by part, so that a part can be put behind what is kept without anybody
//! having the rest at hand. In front of a part stand how many pieces of the text come before it, how many are in it, and
//! its sealed length, 4 bytes each; all of these are authenticated, too, so none opens in the place of another.

use std::sync::Arc;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest::{SHA256, digest},
    hmac,
};
use chassis::problem::{Outcome, Problem};
use domain::fault::{Fault, Kind};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::master::RawKey;

/// The form of a sealed text, its first byte.
const VERSION: u8 = 1;
/// The form of one that is sealed part by part.
const GROWING: u8 = 2;

/// The key of what is asked for was erased, and the text with it.
pub const TEXT_ERASED: Fault = Fault::new(Kind::NotFound, "text_erased", "삭제된 내용입니다.", "This was erased.");

/// A column whose text is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// What was said.
    UserInput,
    /// What was answered.
    GptResponse,
    /// Where the pieces of an answer end.
    ReplyEnds,
    /// Pieces of an answer on their way to another replica.
    ReplyPieces,
    /// What the client tagged a step with.
    InsightTag,
    /// The feeling of a step.
    StepEmotion,
    /// The feeling of a conversation.
    EmotionLabel,
    /// What a conversation is about.
    Topic,
    /// What set it off.
    TriggerSummary,
    /// What was found.
    InsightSummary,
    /// What was said so far, in short.
    RollingSummary,
    /// The summary card.
    Card,
    /// How the person would like to be answered.
    Prompt,
    /// The answer that an idempotency key is given again.
    Answer,
}

impl Column {
    /// The name that stands in what is sealed; never changed, or nothing would open.
    const fn name(self) -> &'static str {
        match self {
            Self::UserInput => "emotion_steps.user_input",
            Self::GptResponse => "emotion_steps.gpt_response",
            Self::ReplyEnds => "emotion_steps.reply_ends",
            Self::ReplyPieces => "emo:step",
            Self::InsightTag => "emotion_steps.insight_tag",
            Self::StepEmotion => "emotion_steps.emotion",
            Self::EmotionLabel => "emotion_sessions.emotion_label",
            Self::Topic => "emotion_sessions.topic",
            Self::TriggerSummary => "emotion_sessions.trigger_summary",
            Self::InsightSummary => "emotion_sessions.insight_summary",
            Self::RollingSummary => "emotion_sessions.rolling_summary",
            Self::Card => "emotion_sessions.card",
            Self::Prompt => "emotion_prompts.prompt",
            Self::Answer => "idempotency_keys.answer",
        }
    }
}

/// A part of a text that grows by pieces.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// How many pieces come before it.
    pub first: u32,
    /// How many pieces it has.
    pub pieces: u32,
    /// What they say together.
    pub text: &'a str,
}

/// What one person's text is sealed and opened with; clones share the key. It has no `Debug`.
#[derive(Clone)]
pub struct PersonVault(Option<Arc<Keys>>);

struct Keys {
    seal: RandomizedNonceKey,
    digest: hmac::Key,
}

impl PersonVault {
    /// The vault of a person who has no key: nothing of theirs is sealed, and nothing can be.
    pub(crate) const fn without_key() -> Self {
        Self(None)
    }

    pub(super) fn with_key(key: &RawKey) -> Outcome<Self> {
        let seal = RandomizedNonceKey::new(&AES_256_GCM, &key.0);
        let seal = seal.map_err(|_unspecified| Problem::unexpected("a person's key is not usable"))?;
        // A key of its own for digests: one key, one purpose.
        let root = hmac::Key::new(hmac::HMAC_SHA256, &key.0);
        let digest = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, b"maru emotion digest").as_ref());
        Ok(Self(Some(Arc::new(Keys { seal, digest }))))
    }

    /// Returns whether there is a key.
    pub(super) const fn has_key(&self) -> bool {
        self.0.is_some()
    }

    /// Seals a text for its row and column.
    ///
    /// # Errors
    /// Returns an unexpected problem without a key: whoever writes opens the vault for writing.
    pub fn seal(&self, row: Uuid, column: Column, text: &str) -> Outcome<Vec<u8>> {
        let mut sealed = vec![VERSION];
        self.seal_into(&mut sealed, bound_to(row, column), text)?;
        Ok(sealed)
    }

    /// Seals a part of a text for its row and column: what the column holds goes on with this. The first part takes the
    /// place of what is there.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub fn seal_part(&self, row: Uuid, column: Column, part: Part<'_>) -> Outcome<Vec<u8>> {
        let mut sealed = if part.first == 0 { vec![GROWING] } else { Vec::new() };
        let place = place_of(part.first, part.pieces);
        let length = u32::try_from(NONCE_LEN + part.text.len() + AES_256_GCM.tag_len()).map_err(Problem::unexpected)?;
        sealed.extend_from_slice(&place);
        sealed.extend_from_slice(&length.to_be_bytes());
        self.seal_into(&mut sealed, [&bound_to(row, column)[..], &place].concat(), part.text)?;
        Ok(sealed)
    }

    /// Appends a nonce, and a text that is sealed with it.
    fn seal_into(&self, sealed: &mut Vec<u8>, bound: Vec<u8>, text: &str) -> Outcome<()> {
        let keys =
            self.0.as_ref().ok_or_else(|| Problem::unexpected("nothing can be sealed without a person's key"))?;
        let mut bytes = text.as_bytes().to_vec();
        let nonce = keys.seal.seal_in_place_append_tag(Aad::from(bound), &mut bytes);
        let nonce = nonce.map_err(|_unspecified| Problem::unexpected("a text cannot be sealed"))?;
        sealed.reserve_exact(NONCE_LEN + bytes.len());
        sealed.extend_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&bytes);
        Ok(())
    }

    /// Opens a text of a row and column.
    ///
    /// # Errors
    /// [`TEXT_ERASED`] when the person's key is gone, and an unexpected problem when the text was altered, or moved here
    /// from somewhere else.
    pub fn open(&self, row: Uuid, column: Column, sealed: &[u8]) -> Outcome<String> {
        let keys = self.0.as_ref().ok_or(TEXT_ERASED)?;
        let opened = match sealed.split_first() {
            Some((&VERSION, rest)) => keys.open(bound_to(row, column), rest),
            Some((&GROWING, parts)) => keys.open_parts(&bound_to(row, column), parts),
            _ => None,
        };
        opened.ok_or_else(|| Problem::unexpected(format!("{} of {row} does not open", column.name())))
    }

    /// Seals a text that may be absent.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub fn seal_note(&self, row: Uuid, column: Column, text: Option<&str>) -> Outcome<Option<Vec<u8>>> {
        text.map(|text| self.seal(row, column, text)).transpose()
    }

    /// Opens a text that may be absent, or in the plain column beside it since before there was a sealed one.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_note(
        &self,
        row: Uuid,
        column: Column,
        sealed: Option<&[u8]>,
        plain: Option<String>,
    ) -> Outcome<Option<String>> {
        sealed.map_or(Ok(plain), |sealed| self.open(row, column, sealed).map(Some))
    }

    /// Seals a value in its JSON form.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub fn seal_json(&self, row: Uuid, column: Column, value: &impl Serialize) -> Outcome<Vec<u8>> {
        // What serde says of a value may repeat it.
        let text = serde_json::to_string(value);
        self.seal(row, column, &text.map_err(|_told| Problem::unexpected("a value cannot be written as JSON"))?)
    }

    /// Opens a value in its JSON form.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_json<T: DeserializeOwned>(&self, row: Uuid, column: Column, sealed: &[u8]) -> Outcome<T> {
        let text = self.open(row, column, sealed)?;
        let value = serde_json::from_str(&text);
        value.map_err(|_told| Problem::unexpected(format!("{} of {row} is of another shape", column.name())))
    }

    /// Returns what tells a text from another and tells nothing about it: for an idempotency key's body, which a bare
    /// digest would give away to whoever guesses.
    ///
    /// # Errors
    /// Returns an unexpected problem without a key, or when the value cannot be written as JSON.
    pub fn fingerprint(&self, value: &impl Serialize) -> Outcome<String> {
        let keys = self.0.as_ref().ok_or_else(|| Problem::unexpected("no fingerprint without a person's key"))?;
        let bytes = serde_json::to_vec(value);
        let bytes = bytes.map_err(|_told| Problem::unexpected("a value cannot be written as JSON"))?;
        let tag = hmac::sign(&keys.digest, digest(&SHA256, &bytes).as_ref());
        Ok(hex::encode(tag))
    }
}

impl Keys {
    /// Opens what a nonce begins.
    fn open(&self, bound: Vec<u8>, sealed: &[u8]) -> Option<String> {
        let (nonce, bytes) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut bytes = bytes.to_vec();
        let length = self.seal.open_in_place(nonce, Aad::from(bound), &mut bytes).ok()?.len();
        bytes.truncate(length);
        String::from_utf8(bytes).ok()
    }

    /// Opens parts, each of which begins where the one before it ends.
    fn open_parts(&self, bound: &[u8], mut parts: &[u8]) -> Option<String> {
        let (mut text, mut before) = (String::new(), 0_u32);
        loop {
            let (first, rest) = number(parts)?;
            let (pieces, rest) = number(rest)?;
            let (length, rest) = number(rest)?;
            let (sealed, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            if first != before {
                return None;
            }
            text.push_str(&self.open([bound, &place_of(first, pieces)].concat(), sealed)?);
            before = before.checked_add(pieces)?;
            parts = rest;
            if parts.is_empty() {
                return Some(text);
            }
        }
    }
}

/// Takes a number off the front.
fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

fn bound_to(row: Uuid, column: Column) -> Vec<u8> {
    [column.name().as_bytes(), &[0], row.as_bytes()].concat()
}

/// Where a part stands, as it is written and authenticated.
fn place_of(first: u32, pieces: u32) -> [u8; 8] {
    let mut place = [0; 8];
    place[..4].copy_from_slice(&first.to_be_bytes());
    place[4..].copy_from_slice(&pieces.to_be_bytes());
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Uuid = Uuid::from_u128(7);

    fn vault() -> PersonVault {
        PersonVault::with_key(&RawKey::make().unwrap()).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_again_and_never_looks_the_same() {
        let vault = vault();
        for text in ["", "요즘 기분이 별로야.", &"가".repeat(8_192)] {
            let sealed = vault.seal(ROW, Column::UserInput, text).unwrap();
            assert_eq!(vault.open(ROW, Column::UserInput, &sealed).unwrap(), text);
            assert_eq!(sealed.len(), text.len() + 1 + 12 + 16);
            assert_ne!(vault.seal(ROW, Column::UserInput, text).unwrap(), sealed);
        }
    }

    #[test]
    fn a_text_that_was_altered_or_moved_does_not_open() {
        let vault = vault();
        let sealed = vault.seal(ROW, Column::UserInput, "아무에게도 말하지 마").unwrap();
        for place in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[place] ^= 1;
            assert!(vault.open(ROW, Column::UserInput, &altered).is_err(), "{place}");
        }
        for shorter in 0..sealed.len() {
            assert!(vault.open(ROW, Column::UserInput, &sealed[..shorter]).is_err(), "{shorter}");
        }
        assert!(vault.open(ROW, Column::GptResponse, &sealed).is_err());
        assert!(vault.open(Uuid::from_u128(8), Column::UserInput, &sealed).is_err());
        assert!(self::vault().open(ROW, Column::UserInput, &sealed).is_err(), "another person's key");
    }

    #[test]
    fn a_text_that_grew_opens_as_it_was_said_and_not_in_another_order() {
        let (vault, column) = (vault(), Column::GptResponse);
        let parts: Vec<_> = [(0, 2, "오늘 "), (2, 0, ""), (2, 3, "어땠어요"), (5, 1, "?")]
            .into_iter()
            .map(|(first, pieces, text)| vault.seal_part(ROW, column, Part { first, pieces, text }).unwrap())
            .collect();
        let open = |parts: &[&Vec<u8>]| {
            let sealed: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            vault.open(ROW, column, &sealed).ok()
        };
        let [first, nothing, middle, last] = &parts[..] else { panic!("four parts") };
        assert_eq!(open(&[first, nothing, middle, last]).unwrap(), "오늘 어땠어요?");
        assert_eq!(open(&[first]).unwrap(), "오늘 ", "what there is so far");
        for wrong in [&[middle, last][..], &[first, last], &[first, middle, middle, last], &[first, last, middle], &[]]
        {
            assert_eq!(open(wrong), None);
        }
        let whole = [&first[..], middle].concat();
        for place in 0..whole.len() {
            let mut altered = whole.clone();
            altered[place] ^= 1;
            assert!(vault.open(ROW, column, &altered).is_err(), "{place}");
        }
        assert!((0..first.len()).all(|shorter| vault.open(ROW, column, &first[..shorter]).is_err()));
        assert!(vault.open(ROW, Column::ReplyEnds, &whole).is_err());
        assert!(PersonVault::without_key().open(ROW, column, &whole).is_err());
    }

    #[test]
    fn without_a_key_plain_rows_are_read_and_sealed_ones_are_erased() {
        let (vault, nobody) = (vault(), PersonVault::without_key());
        let sealed = vault.seal(ROW, Column::Topic, "발표").unwrap();
        let refused = nobody.open(ROW, Column::Topic, &sealed).unwrap_err();
        assert_eq!((refused.status().as_u16(), refused.code()), (404, "text_erased"));
        let plain = Some("옛날에 쓴 것".to_owned());
        assert_eq!(nobody.open_note(ROW, Column::Topic, None, plain.clone()).unwrap(), plain);
        assert!(nobody.seal(ROW, Column::Topic, "x").is_err());
        assert_eq!(vault.open_note(ROW, Column::Topic, Some(&sealed), plain).unwrap().unwrap(), "발표");
    }

    #[test]
    fn a_problem_tells_nothing_of_the_text() {
        let vault = vault();
        let sealed = vault.seal(ROW, Column::Card, r#"{"a":"canary"}"#).unwrap();
        let problem = vault.open_json::<Vec<u8>>(ROW, Column::Card, &sealed).unwrap_err();
        assert!(!format!("{problem:?}").contains("canary"));
    }

    #[test]
    fn a_fingerprint_is_of_one_person_and_one_value() {
        let (kim, lee) = (vault(), vault());
        assert_eq!(kim.fingerprint(&"a").unwrap(), kim.fingerprint(&"a").unwrap());
        assert_ne!(kim.fingerprint(&"a").unwrap(), kim.fingerprint(&"b").unwrap());
        assert_ne!(kim.fingerprint(&"a").unwrap(), lee.fingerprint(&"a").unwrap());
    }
}
