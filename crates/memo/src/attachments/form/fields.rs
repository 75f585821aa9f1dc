//! What a form holds.

use actix_multipart::{Field, Multipart};
use chassis::problem::{Outcome, Problem};
use domain::{
    fault::{Violations, common},
    ids::FocusId,
    memo::attachment::{ATTACHMENTS_MAX, AttachmentKind},
};
use futures_util::StreamExt as _;
use serde::Serialize;

use super::{incoming, refused, staging::Staging};
use crate::attachments::{TOO_MANY_ATTACHMENTS, store::ReadyFile};

/// Most bytes of one field that is no file: a memo's text has at most 400 kB.
const TEXT_MAX: usize = 512 * 1024;
/// Most fields that are no files.
const TEXTS_MAX: usize = 20;

/// The fields of a form, as they came; those that nobody knows are left out.
#[derive(Default, Serialize)]
pub(super) struct Fields {
    /// The memo's text.
    pub(super) content: Option<String>,
    /// Tags with commas between them.
    pub(super) tags: Option<String>,
    /// What it is about.
    pub(super) category: Option<String>,
    /// A focus session.
    pub(super) session_id: Option<String>,
    /// Free fields, as JSON.
    pub(super) metadata: Option<String>,
    /// Ids of files with commas between them.
    pub(super) keep_attachments: Option<String>,
}

impl Fields {
    fn set(&mut self, name: &str, text: String) {
        let field = match name {
            "content" => &mut self.content,
            "tags" => &mut self.tags,
            "category" => &mut self.category,
            "session_id" => &mut self.session_id,
            "metadata" => &mut self.metadata,
            "keep_attachments" => &mut self.keep_attachments,
            _ => return,
        };
        *field = Some(text);
    }

    /// Returns the tags, if the form has any.
    pub(super) fn tags(&self) -> Option<Vec<String>> {
        self.tags.as_deref().map(|text| listed(text).map(ToOwned::to_owned).collect())
    }

    /// Reads the category; an empty field means none.
    pub(super) fn category(&self, violations: &mut Violations) -> Option<String> {
        let text = self.category.as_deref().filter(|text| !text.trim().is_empty())?;
        domain::memo::parse_label(text, "/category", violations)
    }

    /// Reads the focus session; an empty field means none.
    pub(super) fn session(&self, violations: &mut Violations) -> Option<FocusId> {
        let text = self.session_id.as_deref().filter(|text| !text.trim().is_empty())?;
        let id = text.trim().parse().ok();
        let (ko, en) = ("집중 세션을 찾을 수 없습니다.", "There is no such focus session.");
        violations.require(id.is_some(), "/session_id", "session_not_found", ko, en);
        id
    }

    /// Reads the free fields.
    pub(super) fn metadata(&self, violations: &mut Violations) -> Option<serde_json::Value> {
        let text = self.metadata.as_deref().filter(|text| !text.trim().is_empty())?;
        // What is no JSON is no object either.
        let metadata = serde_json::from_str(text).unwrap_or(serde_json::Value::Null);
        domain::memo::check_metadata(&metadata, violations);
        Some(metadata)
    }
}

/// Returns what stands between commas.
pub(super) fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// Reads a form to its end; its files are in the object storage then and belong to nobody yet.
///
/// # Errors
/// The first fault of a file, or of the form itself.
pub(super) async fn read(staging: &mut Staging<'_>, mut form: Multipart) -> Outcome<(Fields, Vec<ReadyFile>)> {
    let (mut fields, mut files, mut texts) = (Fields::default(), Vec::new(), 0);
    while let Some(field) = form.next().await {
        let mut field = field.map_err(refused)?;
        let name = field.name().unwrap_or_default().to_owned();
        if let Some(kind) = kind_of(&name, &field) {
            if i64::try_from(files.len()).unwrap_or(i64::MAX) >= ATTACHMENTS_MAX {
                return Err(TOO_MANY_ATTACHMENTS.into());
            }
            files.push(incoming::receive(staging, &mut field, kind).await?);
        } else {
            texts += 1;
            if texts > TEXTS_MAX {
                return Err(common::TOO_LARGE.into());
            }
            fields.set(&name, text_of(&mut field).await?);
        }
    }
    Ok((fields, files))
}

/// Returns what a file is to be by its field's name; nothing for fields that are no files.
fn kind_of(name: &str, field: &Field) -> Option<AttachmentKind> {
    let name = name.strip_prefix("new_").unwrap_or(name);
    if name.starts_with("image_") {
        return Some(AttachmentKind::Image);
    }
    if name.starts_with("audio_") {
        return Some(AttachmentKind::Audio);
    }
    incoming::name_of(field).map(|_| AttachmentKind::File)
}

async fn text_of(field: &mut Field) -> Outcome<String> {
    let bytes = field.bytes(TEXT_MAX).await.map_err(|_too_large| Problem::from(common::TOO_LARGE))?.map_err(refused)?;
    String::from_utf8(bytes.into()).map_err(|_not_text| common::MALFORMED.into())
}
