//! How fields of a change come: there, not there, or taken away.

use domain::fault::Violations;
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

/// Tells a `null` from a field that is not there.
#[expect(clippy::option_option, reason = "that is the difference")]
pub(crate) fn given<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

/// Reads an id that may be left out; forms send an empty text for that.
pub(crate) fn id_or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.trim().is_empty());
    text.map(|text| text.trim().parse().map_err(serde::de::Error::custom)).transpose()
}

/// The same for a change.
#[expect(clippy::option_option, reason = "`given` tells why")]
pub(crate) fn given_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Uuid>>, D::Error> {
    id_or_empty(deserializer).map(Some)
}

/// Refuses a `null` where there must be something.
#[expect(clippy::option_option, reason = "a `null` is what is looked for")]
pub(crate) fn not_null<T>(field: Option<Option<T>>, pointer: &str, violations: &mut Violations) -> Option<T> {
    violations.require(
        !matches!(field, Some(None)),
        pointer,
        "required",
        "비워 둘 수 없는 값입니다.",
        "This cannot be empty.",
    );
    field.flatten()
}
