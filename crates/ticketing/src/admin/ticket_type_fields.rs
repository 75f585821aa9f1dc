//! What may be said about a ticket type.

use domain::{
    catalogue::{LABEL_MAX, PRICE, QUANTITY, parse_description, parse_line, parse_whole},
    fault::Violations,
};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

/// A ticket type that is to be made.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TicketTypeRequest {
    /// 1-50 characters, different from the event's other ticket types.
    name: String,
    /// KRW, 0-100,000,000.
    #[schema(value_type = i64)]
    price: Number,
    /// How many there are, 0-1,000,000.
    #[serde(alias = "total_quantity")]
    #[schema(value_type = i64)]
    total_quantity: Number,
    /// For people, at most 5,000 characters.
    description: Option<String>,
}

/// A ticket type as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TicketTypeFields {
    pub(super) name: String,
    pub(super) description: Option<String>,
    /// KRW.
    pub(super) price: i64,
    pub(super) total_quantity: i32,
}

impl TicketTypeFields {
    /// Reads what somebody asks for; `at` is where in the body it stands.
    pub(super) fn parse(request: &TicketTypeRequest, at: &str, violations: &mut Violations) -> Option<Self> {
        let name = name(&request.name, &format!("{at}/name"), violations);
        let price = price(&request.price, &format!("{at}/price"), violations);
        let total_quantity = quantity(&request.total_quantity, &format!("{at}/totalQuantity"), violations);
        let description = request.description.as_deref();
        let description =
            description.and_then(|text| parse_description(text, &format!("{at}/description"), violations));
        Some(Self { name: name?, description, price: price?, total_quantity: total_quantity? })
    }
}

/// Reads the name of a ticket type.
pub(super) fn name(text: &str, pointer: &str, violations: &mut Violations) -> Option<String> {
    parse_line(text, pointer, LABEL_MAX, violations)
}

/// Reads a price, KRW.
pub(super) fn price(number: &Number, pointer: &str, violations: &mut Violations) -> Option<i64> {
    parse_whole(number, pointer, &PRICE, violations)
}

/// Reads how many there are.
pub(super) fn quantity(number: &Number, pointer: &str, violations: &mut Violations) -> Option<i32> {
    parse_whole(number, pointer, &QUANTITY, violations).and_then(|quantity| i32::try_from(quantity).ok())
}
