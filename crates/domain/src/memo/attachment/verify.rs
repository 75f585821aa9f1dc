//! What was declared, what has come, and how they may differ.

use crate::fault::{Fault, Kind};

/// What somebody said about a file before they uploaded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Bytes.
    pub size: i64,
    /// Media type.
    pub content_type: String,
    /// SHA-256, when they gave one.
    pub sha256: Option<Vec<u8>>,
}

/// What the object storage says it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Bytes.
    pub size: i64,
    /// Media type, where the storage tells.
    pub content_type: Option<String>,
    /// SHA-256 that the storage itself computed, where it tells.
    pub sha256: Option<Vec<u8>>,
}

/// How an uploaded file differs from what was declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Another size.
    Size,
    /// Another media type, or bytes that are not of that type.
    Type,
    /// Another SHA-256, or one that the storage cannot confirm.
    Checksum,
}

/// The uploaded file has another size than declared; it is deleted.
pub const SIZE_MISMATCH: Fault = Fault::new(
    Kind::Invalid,
    "size_mismatch",
    "올린 파일의 크기가 신고한 값과 다릅니다. 다시 올려 주세요.",
    "The file's size is not what was declared. Please upload it again.",
);
/// The uploaded file has another type than declared; it is deleted.
pub const TYPE_MISMATCH: Fault = Fault::new(
    Kind::Invalid,
    "type_mismatch",
    "올린 파일의 형식이 신고한 값과 다릅니다. 다시 올려 주세요.",
    "The file's type is not what was declared. Please upload it again.",
);
/// The uploaded file has another SHA-256 than declared; it is deleted.
pub const CHECKSUM_MISMATCH: Fault = Fault::new(
    Kind::Invalid,
    "checksum_mismatch",
    "올린 파일의 내용이 신고한 값과 다릅니다. 다시 올려 주세요.",
    "The file's content is not what was declared. Please upload it again.",
);

impl Mismatch {
    /// Returns what the uploader is told; its code is the name that stands in tables.
    pub const fn fault(self) -> Fault {
        match self {
            Self::Size => SIZE_MISMATCH,
            Self::Type => TYPE_MISMATCH,
            Self::Checksum => CHECKSUM_MISMATCH,
        }
    }

    /// Reads a mismatch's name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Size, Self::Type, Self::Checksum].into_iter().find(|mismatch| mismatch.fault().code == name)
    }
}

/// Compares what was declared with what was uploaded.
///
/// # Errors
/// Names the first difference. A declared SHA-256 must be confirmed by the storage: one that is silent has not checked.
pub fn verify_upload(declared: &Declared, found: &Found) -> Result<(), Mismatch> {
    if found.size != declared.size {
        return Err(Mismatch::Size);
    }
    let same_type = |content_type: &str| content_type.eq_ignore_ascii_case(&declared.content_type);
    if !found.content_type.as_deref().is_none_or(same_type) {
        return Err(Mismatch::Type);
    }
    if declared.sha256.is_some() && declared.sha256 != found.sha256 {
        return Err(Mismatch::Checksum);
    }
    Ok(())
}
