//! What the house says of itself, read as an attacker reads it: as a list of everything that can be called.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::person::Person;

/// `/openapi.json`, as the gateway answers it.
pub(super) struct Document(pub(super) Value);

/// One operation of it.
pub(super) struct Operation<'d> {
    /// As in `GET /memo/{memo_id}`.
    pub(super) name: String,
    pub(super) value: &'d Value,
}

impl Document {
    /// Reads the document.
    pub(super) async fn read(person: &Person) -> Self {
        let answer = person.get("/openapi.json").await.ok(200);
        assert!(!answer.headers.contains_key("x-maru-missing"), "{:?}", answer.headers);
        Self(answer.json)
    }

    /// Returns every operation.
    pub(super) fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.0["paths"].as_object().expect("paths");
        let all = paths.iter().flat_map(|(path, item)| {
            let operations = item.as_object().expect("operations").iter();
            operations
                .filter(|(method, _)| method.as_str() != "parameters")
                .map(move |(method, value)| Operation { name: format!("{} {path}", method.to_uppercase()), value })
        });
        all.collect()
    }

    /// Returns the names of the fields that an operation's JSON body may have; nothing when it takes none.
    pub(super) fn fields(&self, operation: &Operation<'_>) -> Option<BTreeSet<String>> {
        let schema = operation.value.pointer("/requestBody/content/application~1json/schema")?;
        let mut fields = BTreeSet::new();
        self.collect_fields(schema, &mut fields);
        Some(fields)
    }

    fn collect_fields(&self, schema: &Value, fields: &mut BTreeSet<String>) {
        if let Some(reference) = schema["$ref"].as_str() {
            self.collect_fields(self.resolve(reference).expect("a schema"), fields);
        }
        fields.extend(schema["properties"].as_object().into_iter().flat_map(|own| own.keys().cloned()));
        for several in ["oneOf", "anyOf", "allOf"] {
            for one in schema[several].as_array().into_iter().flatten() {
                self.collect_fields(one, fields);
            }
        }
    }

    /// Returns what a reference leads to.
    pub(super) fn resolve(&self, reference: &str) -> Option<&Value> {
        self.0.pointer(reference.strip_prefix('#')?)
    }
}

impl Operation<'_> {
    /// Returns the names of its parameters in a place: `path`, `query` or `header`.
    pub(super) fn parameters(&self, place: &str) -> Vec<String> {
        let all = self.value["parameters"].as_array().into_iter().flatten();
        let here = all.filter(|parameter| parameter["in"] == place);
        here.filter_map(|parameter| parameter["name"].as_str().map(str::to_owned)).collect()
    }

    /// Returns whether it is documented to need somebody.
    pub(super) fn needs_somebody(&self) -> bool {
        // An empty scheme beside another one says that there may be somebody.
        let is_somebodys = |scheme: &Value| scheme.as_object().is_some_and(|scheme| !scheme.is_empty());
        self.value["security"].as_array().is_some_and(|schemes| !schemes.is_empty() && schemes.iter().all(is_somebodys))
    }
}
