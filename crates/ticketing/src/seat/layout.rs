//! Layouts: which sections a hall has, and which seats follow from that.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The sections of a hall, as they are stored and as clients draw them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutConfig {
    /// From the stage outwards.
    pub sections: Vec<Section>,
}

/// Rows of equal length and price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Section {
    /// Different from every other section of the layout.
    pub name: String,
    /// How many rows.
    pub rows: i32,
    /// Seats in each row.
    pub seats_per_row: i32,
    /// KRW.
    pub price: i64,
    /// Number of the section's first row in the hall.
    #[serde(default = "first_row")]
    pub start_row: i32,
}

const fn first_row() -> i32 {
    1
}

/// One place in a hall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The section's name.
    pub section: String,
    /// Row in the hall, from 1.
    pub row_number: i32,
    /// Seat in the row, from 1.
    pub seat_number: i32,
    /// What stands on the ticket: the section and the seat's number in it, different for each seat of the hall.
    pub label: String,
    /// KRW.
    pub price: i64,
}

impl LayoutConfig {
    /// Returns the number of the hall's last row.
    pub fn rows(&self) -> i32 {
        self.sections.iter().map(|section| section.start_row + section.rows - 1).max().unwrap_or_default()
    }

    /// Returns the seats of the hall's longest row.
    pub fn cols(&self) -> i32 {
        self.sections.iter().map(|section| section.seats_per_row).max().unwrap_or_default()
    }

    /// Returns every seat, section by section and row by row.
    pub fn places(&self) -> Vec<Place> {
        self.sections.iter().flat_map(Section::places).collect()
    }
}

impl Section {
    fn places(&self) -> impl Iterator<Item = Place> + '_ {
        (0..self.rows).flat_map(move |row| {
            (1..=self.seats_per_row).map(move |seat| Place {
                section: self.name.clone(),
                row_number: self.start_row + row,
                seat_number: seat,
                label: format!("{}-{}", self.name, row * self.seats_per_row + seat),
                price: self.price,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn hall() -> LayoutConfig {
        let section = |name: &str, rows, seats_per_row, start_row| Section {
            name: name.to_owned(),
            rows,
            seats_per_row,
            price: 10_000,
            start_row,
        };
        LayoutConfig { sections: vec![section("A", 2, 3, 1), section("B", 3, 5, 3)] }
    }

    #[test]
    fn rows_go_on_from_section_to_section_and_the_longest_row_is_the_width() {
        assert_eq!((hall().rows(), hall().cols()), (5, 5));
        assert_eq!(LayoutConfig { sections: Vec::new() }.rows(), 0);
    }

    #[test]
    fn every_seat_has_its_own_label_and_its_own_place() {
        let places = hall().places();
        assert_eq!(places.len(), 2 * 3 + 3 * 5);
        assert_eq!(places.iter().map(|p| &p.label).collect::<HashSet<_>>().len(), places.len());
        let spots: HashSet<_> = places.iter().map(|p| (&p.section, p.row_number, p.seat_number)).collect();
        assert_eq!(spots.len(), places.len());
        assert_eq!((places[0].label.as_str(), places[0].row_number, places[0].seat_number), ("A-1", 1, 1));
        assert_eq!((places[20].label.as_str(), places[20].row_number, places[20].seat_number), ("B-15", 5, 5));
    }

    #[test]
    fn a_section_without_a_start_row_begins_at_the_first() {
        let section: Section = serde_json::from_str(r#"{"name":"A","rows":1,"seatsPerRow":2,"price":5000}"#).unwrap();
        assert_eq!(section.start_row, 1);
    }
}
