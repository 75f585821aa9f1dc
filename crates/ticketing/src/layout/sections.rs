//! The sections that somebody asks for, and whether a hall can have them.

use std::collections::HashSet;

use domain::{
    catalogue::{LABEL_MAX, PRICE, ROWS, SEATS_MAX, SEATS_PER_ROW, SECTIONS_MAX, START_ROW, parse_line, parse_whole},
    fault::Violations,
};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

use crate::seat::layout::{LayoutConfig, Section};

/// The sections of a hall, 1-100, with at most 20,000 seats together.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LayoutConfigRequest {
    /// From the stage outwards.
    sections: Vec<SectionRequest>,
}

/// Rows of equal length and price. Names may also be written in snake_case.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SectionRequest {
    /// 1-50 characters, different from every other section of the layout.
    name: String,
    /// How many rows, 1-500.
    #[schema(value_type = i64)]
    rows: Number,
    /// Seats in each row, 1-500.
    #[serde(alias = "seats_per_row")]
    #[schema(value_type = i64)]
    seats_per_row: Number,
    /// KRW, 0-100,000,000.
    #[schema(value_type = i64)]
    price: Number,
    /// Number of the section's first row in the hall, from 1; 1 when it is left out.
    #[serde(alias = "start_row")]
    #[schema(value_type = Option<i64>)]
    start_row: Option<Number>,
}

/// Reads the sections of a hall and counts its seats, before a single one of them is made.
pub(super) fn parse(request: &LayoutConfigRequest, violations: &mut Violations) -> Option<(LayoutConfig, i32)> {
    if !(1..=SECTIONS_MAX).contains(&request.sections.len()) {
        violations.add(
            "/layoutConfig/sections",
            "length",
            "구역은 1개에서 100개까지 만들 수 있습니다.",
            "A layout has 1-100 sections.",
        );
        return None;
    }
    let mut names = HashSet::new();
    let mut sections = Vec::new();
    for (index, request) in request.sections.iter().enumerate() {
        let at = format!("/layoutConfig/sections/{index}");
        let Some(section) = parse_section(request, &at, violations) else { continue };
        violations.require(
            names.insert(section.name.clone()),
            format!("{at}/name"),
            "duplicate",
            "같은 이름의 구역이 있습니다.",
            "There is another section of that name.",
        );
        sections.push(section);
    }
    let total: i64 = sections.iter().map(|s| i64::from(s.rows) * i64::from(s.seats_per_row)).sum();
    violations.require(
        total <= SEATS_MAX,
        "/layoutConfig/sections",
        "too_many_seats",
        "좌석은 모두 20,000석까지 만들 수 있습니다.",
        "A layout has at most 20,000 seats.",
    );
    Some((LayoutConfig { sections }, i32::try_from(total).ok()?))
}

fn parse_section(request: &SectionRequest, at: &str, violations: &mut Violations) -> Option<Section> {
    let name = parse_line(&request.name, &format!("{at}/name"), LABEL_MAX, violations);
    let rows = parse_whole(&request.rows, &format!("{at}/rows"), &ROWS, violations);
    let seats = parse_whole(&request.seats_per_row, &format!("{at}/seatsPerRow"), &SEATS_PER_ROW, violations);
    let price = parse_whole(&request.price, &format!("{at}/price"), &PRICE, violations);
    let start = match &request.start_row {
        Some(start) => parse_whole(start, &format!("{at}/startRow"), &START_ROW, violations),
        None => Some(1),
    };
    let small = |number: Option<i64>| i32::try_from(number?).ok();
    Some(Section {
        name: name?,
        rows: small(rows)?,
        seats_per_row: small(seats)?,
        price: price?,
        start_row: small(start)?,
    })
}
