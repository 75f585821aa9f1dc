//! The forms as the API document shows them. They are read field by field as they come, see `fields`.

use utoipa::ToSchema;

/// A memo as a form. Fields that are not named here are left out; empty ones mean nothing.
#[derive(ToSchema)]
pub struct CreateMemoForm {
    /// 1-100,000 characters; may be empty beside a file.
    pub content: Option<String>,
    /// Tags with commas between them: at most 50, each of 1-50 characters.
    #[schema(example = "가을,하늘")]
    pub tags: Option<String>,
    /// What it is about, 1-50 characters.
    pub category: Option<String>,
    /// The focus session it is written in, one of the person's own.
    pub session_id: Option<String>,
    /// Free fields, as JSON.
    pub metadata: Option<String>,
    /// Pictures: `image_0`, `image_1` and so on; at most 25 MB each, and 10 files in all.
    #[schema(value_type = Option<String>, format = Binary)]
    pub image_0: Option<()>,
    /// Recordings: `audio_0`, `audio_1` and so on; at most 100 MB each.
    #[schema(value_type = Option<String>, format = Binary)]
    pub audio_0: Option<()>,
}

/// A change of a memo as a form; what is absent stays.
#[derive(ToSchema)]
pub struct UpdateMemoForm {
    /// At most 100,000 characters; may be empty beside a file.
    pub content: Option<String>,
    /// All tags, with commas between them; empty for none.
    #[schema(example = "가을,하늘")]
    pub tags: Option<String>,
    /// What it is about, 1-50 characters; empty for nothing.
    pub category: Option<String>,
    /// The focus session it belongs to, one of the person's own; empty for none.
    pub session_id: Option<String>,
    /// All free fields, as JSON.
    pub metadata: Option<String>,
    /// Ids of the files that it keeps, with commas between them; empty for none. Without this field it keeps all.
    pub keep_attachments: Option<String>,
    /// New pictures: `new_image_0`, `new_image_1` and so on; at most 25 MB each, and 10 files of the memo in all.
    #[schema(value_type = Option<String>, format = Binary)]
    pub new_image_0: Option<()>,
    /// New recordings: `new_audio_0`, `new_audio_1` and so on; at most 100 MB each.
    #[schema(value_type = Option<String>, format = Binary)]
    pub new_audio_0: Option<()>,
}
