//! What the demo organizer puts on.

use uuid::{Uuid, uuid};

use crate::seat::layout::{LayoutConfig, Section};

/// A demo event; its ids are fixed, so that seeding twice makes it once.
pub(super) struct DemoEvent {
    pub(super) id: Uuid,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) artist_name: &'static str,
    pub(super) venue: &'static str,
    pub(super) address: &'static str,
    /// Days from seeding to the event; its sale began the day before seeding and ends an hour before the event.
    pub(super) in_days: i64,
    pub(super) numbered_seats: bool,
    pub(super) ticket_types: &'static [DemoTicketType],
}

/// A demo ticket type.
pub(super) struct DemoTicketType {
    pub(super) id: Uuid,
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    /// KRW.
    pub(super) price: i64,
    pub(super) total_quantity: i32,
}

/// The layout of the demo hall.
pub(super) const HALL: Uuid = uuid!("01900000-0000-7000-8000-000000000100");
/// The demo hall's name.
pub(super) const HALL_NAME: &str = "마루홀";

/// Returns the sections of the demo hall.
pub(super) fn hall() -> LayoutConfig {
    let section = |name: &str, rows, seats_per_row, price, start_row| Section {
        name: name.to_owned(),
        rows,
        seats_per_row,
        price,
        start_row,
    };
    LayoutConfig { sections: vec![section("R", 4, 10, 66_000, 1), section("S", 5, 12, 44_000, 5)] }
}

/// The demo events.
pub(super) const PROGRAMME: [DemoEvent; 3] = [
    DemoEvent {
        id: uuid!("01900000-0000-7000-8000-000000000101"),
        title: "달빛 재즈: 마루 위의 밤",
        description: "네 사람이 한 마루에서 연주하는 두 시간. 좌석을 고르면 5분 동안 잡아 둡니다.",
        artist_name: "마루 재즈 콰르텟",
        venue: HALL_NAME,
        address: "서울특별시 종로구 율곡로 1",
        in_days: 45,
        numbered_seats: true,
        ticket_types: &[DemoTicketType {
            id: uuid!("01900000-0000-7000-8000-000000000111"),
            name: "스탠딩",
            description: "무대 뒤편 자유석",
            price: 33_000,
            total_quantity: 60,
        }],
    },
    DemoEvent {
        id: uuid!("01900000-0000-7000-8000-000000000102"),
        title: "한강 불빛 페스티벌",
        description: "해 질 녘부터 자정까지, 강가의 세 무대.",
        artist_name: "새벽합창단 외",
        venue: "여의도 한강공원",
        address: "서울특별시 영등포구 여의동로 330",
        in_days: 60,
        numbered_seats: false,
        ticket_types: &[
            DemoTicketType {
                id: uuid!("01900000-0000-7000-8000-000000000121"),
                name: "2일권",
                description: "이틀 모두 입장",
                price: 88_000,
                total_quantity: 300,
            },
            DemoTicketType {
                id: uuid!("01900000-0000-7000-8000-000000000122"),
                name: "1일권",
                description: "하루 입장",
                price: 55_000,
                total_quantity: 500,
            },
        ],
    },
    DemoEvent {
        id: uuid!("01900000-0000-7000-8000-000000000103"),
        title: "새벽 낭독회",
        description: "스무 사람이 둘러앉아 한 권을 소리 내어 읽습니다.",
        artist_name: "이주최",
        venue: "골목 책방 온돌",
        address: "전라남도 순천시 중앙로 12",
        in_days: 30,
        numbered_seats: false,
        ticket_types: &[DemoTicketType {
            id: uuid!("01900000-0000-7000-8000-000000000131"),
            name: "입장권",
            description: "차 한 잔 포함",
            price: 15_000,
            total_quantity: 20,
        }],
    },
];
