//! Reading an object member by member, so that everything that does not fit is named with its pointer at once.

use serde_json::{Map, Value};

use crate::fault::Violations;

/// Most faults of one request that are told; who sends more than that mends them in turns.
pub(super) const FAULTS_MAX: usize = 20;

/// A whole number's bounds, and what is said to who leaves them.
pub(super) struct Bounds {
    pub(super) min: i64,
    pub(super) max: i64,
    pub(super) ko: &'static str,
    pub(super) en: &'static str,
}

/// An object and where it stands.
pub(super) struct Fields<'a> {
    members: &'a Map<String, Value>,
    pointer: String,
}

impl<'a> Fields<'a> {
    /// Reads an object that has only `known` members; nothing when the value is no object.
    pub(super) fn of(
        value: &'a Value,
        pointer: impl Into<String>,
        known: &[&str],
        violations: &mut Violations,
    ) -> Option<Self> {
        let fields = Self::open(value, pointer, violations)?;
        for name in fields.members.keys().filter(|name| !known.contains(&name.as_str())) {
            if violations.as_slice().len() >= FAULTS_MAX {
                break;
            }
            violations.add(fields.at(name), "unknown", "알 수 없는 항목입니다.", "Nobody knows this field.");
        }
        Some(fields)
    }

    /// Reads an object that may have any members.
    pub(super) fn open(value: &'a Value, pointer: impl Into<String>, violations: &mut Violations) -> Option<Self> {
        let pointer = pointer.into();
        let members = value.as_object();
        if members.is_none() {
            violations.add(pointer.clone(), "type", "객체여야 합니다.", "Must be an object.");
        }
        members.map(|members| Self { members, pointer })
    }

    /// Returns a member; `null` is as good as left out.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    /// Returns how many members there are.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns the pointer to a member.
    pub(super) fn at(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"))
    }

    /// Reads a member that is an object.
    pub(super) fn object(&self, name: &str, known: &[&str], violations: &mut Violations) -> Option<Fields<'a>> {
        Fields::of(self.get(name)?, self.at(name), known, violations)
    }

    /// Reads a switch into `into`, which stays as it is when there is none.
    pub(super) fn flag(&self, name: &str, into: &mut bool, violations: &mut Violations) {
        match self.get(name).map(Value::as_bool) {
            Some(Some(flag)) => *into = flag,
            Some(None) => {
                violations.add(self.at(name), "type", "true 또는 false여야 합니다.", "Must be true or false.");
            }
            None => {}
        }
    }

    /// Reads a whole number into `into`, which stays as it is when there is none.
    pub(super) fn whole(&self, name: &str, bounds: &Bounds, into: &mut i64, violations: &mut Violations) {
        match self.get(name).map(Value::as_i64) {
            Some(Some(number)) if (bounds.min..=bounds.max).contains(&number) => *into = number,
            Some(_) => violations.add(self.at(name), "out_of_range", bounds.ko, bounds.en),
            None => {}
        }
    }
}
