//! A JSON document of the database that is passed on as it stands.
//!
//! Most that is kept as `jsonb` is only ever shown again. Taking it apart into values and writing those out anew costs
//! more than the rest of a short read, so a document stays the text that PostgreSQL wrote until somebody asks what is in
//! it.

use std::io::Write;

use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue},
    serialize::{self, IsNull, Output, ToSql},
    sql_types::Jsonb,
};
use serde::{Serialize, Serializer};
use serde_json::{Value, value::RawValue};

use crate::problem::{Outcome, Problem};

/// The only version of `jsonb` on the wire, before the text.
const VERSION: u8 = 1;

/// A JSON document; two are equal when they say the same, however it is written.
#[derive(Clone, Debug, AsExpression, FromSqlRow)]
#[diesel(sql_type = Jsonb)]
pub struct Document(Box<RawValue>);

impl Document {
    /// Writes a value.
    ///
    /// # Errors
    /// Returns an error when the value cannot be written as JSON.
    pub fn new(value: &impl Serialize) -> Outcome<Self> {
        serde_json::value::to_raw_value(value).map(Self).map_err(Problem::unexpected)
    }

    /// Reads what is in it.
    ///
    /// # Errors
    /// Returns an error when a number in it is larger than any this platform reads.
    pub fn value(&self) -> Outcome<Value> {
        serde_json::from_str(self.0.get()).map_err(Problem::unexpected)
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get() || matches!((self.value(), other.value()), (Ok(one), Ok(two)) if one == two)
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl FromSql<Jsonb, Pg> for Document {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let Some((&VERSION, text)) = value.as_bytes().split_first() else {
            return Err("a jsonb of a version that is not known".into());
        };
        Ok(Self(serde_json::from_slice(text)?))
    }
}

impl ToSql<Jsonb, Pg> for Document {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&[VERSION])?;
        out.write_all(self.0.get().as_bytes())?;
        Ok(IsNull::No)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_equal_by_what_they_say() {
        let written = |text: &str| Document(serde_json::from_str(text).unwrap());
        assert_eq!(written(r#"{"a": 1, "b": [true]}"#), written(r#"{"b":[true],"a":1}"#));
        assert_ne!(written(r#"{"a": 1}"#), written(r#"{"a": 2}"#));
        assert_eq!(Document::new(&json!({ "a": 1 })).unwrap().value().unwrap(), json!({ "a": 1 }));
    }

    #[test]
    fn a_document_goes_out_as_it_stands() {
        let text = r#"{"large": 123456789012345678901234567890, "a": "마루"}"#;
        let document = Document(serde_json::from_str(text).unwrap());
        assert_eq!(serde_json::to_string(&document).unwrap(), text);
    }
}
