//! What a memo's files may be.
//!
//! Files are described by people and their apps, so nothing they say reaches a place where it could do harm: a file's
//! key in the object storage is made of ids only, its name is kept without paths and tricks, and only well-known image
//! and audio types are ever shown inline.

mod sniff;
mod verify;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::{
    sniff::{HEAD_BYTES, guess, may_be},
    verify::{CHECKSUM_MISMATCH, Declared, Found, Mismatch, SIZE_MISMATCH, TYPE_MISMATCH, verify_upload},
};
use crate::{
    fault::Violations,
    ids::{AttachmentId, UserId},
};

/// Most files of a memo.
pub const ATTACHMENTS_MAX: i64 = 10;
/// Largest image, and largest file that is neither image nor audio, bytes.
pub const IMAGE_MAX_BYTES: i64 = 25 * 1024 * 1024;
/// Largest audio file, bytes.
pub const AUDIO_MAX_BYTES: i64 = 100 * 1024 * 1024;
/// Most characters of a file name.
pub const FILENAME_MAX: usize = 200;
/// Longest content type: both names of a media type have at most 127 characters (RFC 6838, 4.2), real ones far less.
const CONTENT_TYPE_MAX: usize = 127;

/// Images that a browser may show inline. No SVG: it can carry scripts.
const IMAGES: [&str; 7] =
    ["image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/heic", "image/heif"];
/// Those of which small pictures are made.
const PICTURED: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];
/// Audio that a browser may play inline.
const AUDIO: [&str; 11] = [
    "audio/mpeg",
    "audio/mp4",
    "audio/x-m4a",
    "audio/aac",
    "audio/ogg",
    "audio/opus",
    "audio/webm",
    "audio/wav",
    "audio/x-wav",
    "audio/flac",
    "audio/3gpp",
];

/// Names that apps use for types of the lists above.
const ALIASES: [(&str, &str); 6] = [
    ("image/jpg", "image/jpeg"),
    ("image/pjpeg", "image/jpeg"),
    ("audio/mp3", "audio/mpeg"),
    ("audio/m4a", "audio/mp4"),
    ("audio/wave", "audio/wav"),
    ("audio/vnd.wave", "audio/wav"),
];

/// What a file is to whoever opens the memo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AttachmentKind {
    /// Shown.
    Image,
    /// Played.
    Audio,
    /// Downloaded.
    File,
}

impl AttachmentKind {
    /// Returns the kind's name as it stands in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Audio => "audio",
            Self::File => "file",
        }
    }

    /// Reads a kind's name; one that this version does not know is only downloaded.
    pub fn parse(name: &str) -> Self {
        match name {
            "image" => Self::Image,
            "audio" => Self::Audio,
            _ => Self::File,
        }
    }

    /// Returns the most bytes a file of this kind may have.
    pub const fn max_bytes(self) -> i64 {
        match self {
            Self::Image | Self::File => IMAGE_MAX_BYTES,
            Self::Audio => AUDIO_MAX_BYTES,
        }
    }
}

/// A media type, in the form it is signed, stored and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType(String);

impl ContentType {
    /// Reads `type/subtype`, with parameters (`audio/webm;codecs=opus`) or without, recording a violation at
    /// `/content_type`.
    pub fn parse(text: &str, violations: &mut Violations) -> Option<Self> {
        let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
        let essence = essence.trim().to_ascii_lowercase();
        let token = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
        };
        let sound = text.len() <= CONTENT_TYPE_MAX
            && essence.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype))
            // Visible characters only: a signed header's value must survive every proxy as it is.
            && parameters.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        violations.require(
            sound,
            "/content_type",
            "not_a_media_type",
            "image/png 같은 미디어 형식이어야 합니다.",
            "Must be a media type, such as image/png.",
        );
        let parameters: String = parameters.split_ascii_whitespace().collect();
        let separator = if parameters.is_empty() { "" } else { ";" };
        let essence = ALIASES.iter().find(|(alias, _)| *alias == essence).map_or(essence.as_str(), |(_, name)| name);
        sound.then(|| Self(format!("{essence}{separator}{parameters}")))
    }

    /// Returns the type as it is signed, stored and sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the type without its parameters.
    pub fn essence(&self) -> &str {
        self.0.split(';').next().unwrap_or_default()
    }

    /// Returns what a file of this type is.
    pub fn kind(&self) -> AttachmentKind {
        let essence = self.essence();
        if IMAGES.contains(&essence) {
            AttachmentKind::Image
        } else if AUDIO.contains(&essence) {
            AttachmentKind::Audio
        } else {
            AttachmentKind::File
        }
    }
}

/// Returns whether something is made of a file of this type to be shown before it is opened: of images that we can read,
/// and of audio.
pub fn has_preview(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    PICTURED.contains(&essence) || AUDIO.contains(&essence)
}

/// Reads a file's name, recording a violation at `/filename`: the last part of a path, without what could deceive.
pub fn parse_filename(text: &str, violations: &mut Violations) -> Option<String> {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    // Bidirectional overrides make `gnp.exe` look like `exe.png`.
    let deceptive = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let clean: String = last.chars().filter(|c| !deceptive(*c)).collect();
    let name = clean.trim_matches(|c: char| c.is_whitespace() || c == '.');
    let sound = (1..=FILENAME_MAX).contains(&name.chars().count());
    violations.require(
        sound,
        "/filename",
        "length",
        "파일 이름은 1-200자여야 합니다.",
        "A file name has 1-200 characters.",
    );
    sound.then(|| name.to_owned())
}

/// Checks a file's size, recording a violation at `/size`.
pub fn check_size(size: i64, kind: AttachmentKind, violations: &mut Violations) {
    violations.require(size > 0, "/size", "too_small", "빈 파일입니다.", "The file is empty.");
    let fits = size <= kind.max_bytes();
    match kind {
        AttachmentKind::Audio => violations.require(
            fits,
            "/size",
            "too_large",
            "음성 파일은 100 MB까지 올릴 수 있습니다.",
            "An audio file has at most 100 MB.",
        ),
        AttachmentKind::Image | AttachmentKind::File => violations.require(
            fits,
            "/size",
            "too_large",
            "파일은 25 MB까지 올릴 수 있습니다.",
            "A file has at most 25 MB.",
        ),
    }
}

/// Reads a SHA-256 in hex, recording a violation at `/sha256`.
pub fn parse_sha256(text: &str, violations: &mut Violations) -> Option<[u8; 32]> {
    let digest = decode_hex(text);
    violations.require(
        digest.is_some(),
        "/sha256",
        "not_a_digest",
        "16진수 64자리여야 합니다.",
        "Must have 64 hexadecimal digits.",
    );
    digest
}

fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
            _ => None,
        })
        .collect();
    bytes?.try_into().ok()
}

/// Returns the key under which a file lies in the object storage: ids only, no text of a client. Nobody gets a URL to
/// write there.
pub fn object_key(owner: UserId, object: Uuid) -> String {
    format!("memo/{owner}/{object}")
}

/// Returns the key that a file is uploaded to. Whoever may upload can do so again until their URL ends, so nothing is
/// ever shown from here.
pub fn upload_key(owner: UserId, attachment: AttachmentId) -> String {
    format!("upload/{owner}/{attachment}")
}

/// Returns the key of the small picture of an image.
pub fn thumbnail_key(owner: UserId, object: Uuid) -> String {
    format!("thumbnail/{owner}/{object}")
}
