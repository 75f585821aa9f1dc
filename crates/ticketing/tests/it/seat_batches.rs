//! Holding seats for many people in one transaction: what comes of each is what would come of it alone.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use diesel::{
    QueryableByName, sql_query,
    sql_types::{Array, Bool, Integer, Jsonb, Nullable, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use domain::{
    ids::{EventId, ReservationId, SeatId, UserId},
    principal::{Principal, Role},
    seat_hold::reservation_number,
};
use futures_util::future::join_all;
use serde_json::Value;
use testkit::TestClient;
use ticketing::seat::expiry::sweep;
use uuid::Uuid;

use crate::house::{House, RESERVE, id, insistently, reserve, wish};

/// What one person may have of an event.
const MOST: i32 = 8;
const RESERVATIONS: &str = "SELECT count(*) AS number FROM reservations";
const DEADLOCKS: &str = "SELECT deadlocks::bigint AS number FROM pg_stat_database WHERE datname = current_database()";

/// What somebody asks for.
#[derive(Clone, Debug)]
struct Ask {
    id: Uuid,
    event: Uuid,
    user: Uuid,
    key: Option<String>,
    body: String,
    seats: Vec<Uuid>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
struct Came {
    outcome: String,
    answer: Option<String>,
}

#[derive(QueryableByName)]
struct Together {
    #[diesel(sql_type = Array<Text>)]
    outcomes: Vec<String>,
    #[diesel(sql_type = Array<Nullable<Text>>)]
    answers: Vec<Option<String>>,
    #[diesel(sql_type = Bool)]
    is_canonical: bool,
}

#[derive(QueryableByName)]
struct Alone {
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = Nullable<Integer>)]
    status: Option<i32>,
    #[diesel(sql_type = Nullable<Text>)]
    answer: Option<String>,
}

#[derive(QueryableByName)]
struct Told {
    #[diesel(sql_type = Jsonb)]
    payload: Value,
}

fn quoted(text: Option<&String>) -> String {
    text.map_or_else(|| "NULL".to_owned(), |text| format!("'{text}'"))
}

fn array(kind: &str, items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.map(|item| quoted(Some(&item))).collect();
    format!("ARRAY[{}]::{kind}[]", items.join(", "))
}

fn number(ask: &Ask) -> String {
    reservation_number(ReservationId(ask.id))
}

async fn call(conn: &mut AsyncPgConnection, asks: &[Ask], is_final: bool) -> Vec<Came> {
    let items = || (1..).zip(asks).flat_map(|(at, ask): (usize, _)| ask.seats.iter().map(move |seat| (at, seat)));
    let each = |what: fn(&Ask) -> String| asks.iter().map(what);
    let hashes: Vec<_> = asks.iter().map(|ask| format!("sha256(convert_to('{}', 'UTF8'))", ask.body)).collect();
    let keys: Vec<_> = asks.iter().map(|ask| quoted(ask.key.as_ref())).collect();
    let query = format!(
        "SELECT outcomes, answers, NOT EXISTS (SELECT FROM unnest(answers, outcomes) AS a(answer, outcome) \
             WHERE outcome IN ('created', 'kept') AND answer IS DISTINCT FROM answer::jsonb::text) AS is_canonical \
         FROM hold_seats_batch({}, {}, {}, {}, 'POST {RESERVE}', ARRAY[{}]::text[], ARRAY[{}], {}, {}, {}, 300, {MOST}, {is_final})",
        array("uuid", each(|ask| ask.id.to_string())),
        array("text", each(number)),
        array("uuid", each(|ask| ask.event.to_string())),
        array("uuid", each(|ask| ask.user.to_string())),
        keys.join(", "),
        hashes.join(", "),
        array("text", each(|_ask| "좌석이 \"선택\"되었습니다.".to_owned())),
        array("int", items().map(|(at, _)| at.to_string())),
        array("uuid", items().map(|(_, seat)| seat.to_string())),
    );
    let together: Together = sql_query(query).get_result(conn).await.unwrap();
    assert!(together.is_canonical, "{:?}", together.answers);
    let came = together.outcomes.into_iter().zip(together.answers);
    came.map(|(outcome, answer)| {
        let is_answered = matches!(outcome.as_str(), "created" | "kept");
        Came { outcome, answer: answer.filter(|_| is_answered) }
    })
    .collect()
}

async fn expire(conn: &mut AsyncPgConnection, asks: &[Ask]) {
    let users = array("uuid", asks.iter().map(|ask| ask.user.to_string()));
    conn.batch_execute(&format!("SELECT expire_holds(500, '{{}}', {users}, true)")).await.unwrap();
}

/// As the lane does it: whoever is due asks again.
async fn together(conn: &mut AsyncPgConnection, asks: &[Ask]) -> Vec<Came> {
    let mut came = call(conn, asks, false).await;
    let due: Vec<_> =
        came.iter().zip(asks).filter(|(came, _)| came.outcome == "due").map(|(_, ask)| ask.clone()).collect();
    if !due.is_empty() {
        expire(conn, &due).await;
        let mut second = call(conn, &due, true).await.into_iter();
        for came in came.iter_mut().filter(|came| came.outcome == "due") {
            *came = second.next().unwrap();
        }
    }
    came
}

async fn alone(conn: &mut AsyncPgConnection, ask: &Ask) -> Came {
    for is_final in [false, true] {
        let query = format!(
            "SELECT outcome, status, answer FROM hold_seats('{}', '{}', '{}', '{}', 'POST {RESERVE}', {}, \
             sha256(convert_to('{}', 'UTF8')), '좌석이 \"선택\"되었습니다.', 300, {MOST}, {is_final}, {}, {}, NULL, NULL)",
            ask.id,
            number(ask),
            ask.event,
            ask.user,
            quoted(ask.key.as_ref()),
            ask.body,
            array("uuid", ask.seats.iter().map(Uuid::to_string)),
            ask.seats.len(),
        );
        let Alone { outcome, status, answer } = sql_query(query).get_result(conn).await.unwrap();
        if outcome != "due" {
            assert_eq!(status.is_some(), answer.is_some());
            let is_answered = matches!(outcome.as_str(), "created" | "kept");
            return Came { outcome, answer: answer.filter(|_| is_answered) };
        }
        expire(conn, std::slice::from_ref(ask)).await;
    }
    unreachable!("due at the last try");
}

fn outcomes(came: &[Came]) -> Vec<&str> {
    came.iter().map(|came| came.outcome.as_str()).collect()
}

fn ask(house: &House, event: EventId, seats: &[SeatId]) -> Ask {
    let id = house.stage.clock.uuid();
    let user = house.stage.clock.uuid();
    let seats = seats.iter().map(|seat| seat.0).collect();
    Ask { id, event: event.0, user, key: Some(id.to_string()), body: String::new(), seats }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_one_batch_some_win_some_lose_and_what_cannot_be_fails_alone() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(8).await;
    let (other, foreign) = house.seated_event(1).await;
    let closed = house.event("지난 공연", ["-3 days", "-2 days", "-1 day"]).await;
    reserve(&house.app.as_user(), event, &seats[7..]).await.assert_status(201);
    let asks = [
        ask(&house, event, &seats[..2]),
        // Of two that want the same the first has it, and who is refused leaves what else they wanted to those behind.
        ask(&house, event, &seats[1..3]),
        ask(&house, event, &seats[2..4]),
        ask(&house, EventId(Uuid::from_u128(7)), &seats[4..5]),
        ask(&house, event, &[SeatId(Uuid::from_u128(7)), seats[4]]),
        ask(&house, event, &foreign),
        ask(&house, closed, &seats[4..5]),
        ask(&house, event, &seats[6..]),
        ask(&house, event, &seats[4..7]),
        ask(&house, other, &foreign),
    ];
    let mut conn = house.pg.conn().await.unwrap();
    let came = together(&mut conn, &asks).await;
    let expected = [
        "created",
        "seat_taken",
        "created",
        "event_not_found",
        "seat_not_found",
        "seat_not_found",
        "sale_closed",
        "seat_taken",
        "created",
        "created",
    ];
    assert_eq!(outcomes(&came), expected);
    let answer: Value = serde_json::from_str(came[2].answer.as_ref().unwrap()).unwrap();
    assert_eq!(answer["reservation"]["totalAmount"], 100_000);
    assert_eq!(id::<ReservationId>(&answer["reservation"]["id"]).0, asks[2].id);
    assert_eq!(house.number(RESERVATIONS).await, 5);
    assert_eq!(house.number("SELECT count(*) AS number FROM idempotency_keys").await, 4);
    assert_eq!(house.number("SELECT sum(quantity)::bigint AS number FROM user_event").await, 9);
    assert_eq!(house.number("SELECT sum(version)::bigint AS number FROM seats").await, 9);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_tells_of_each_seat_once() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(130).await;
    let before = house.number("SELECT count(*) AS number FROM outbox").await;
    let asks: Vec<_> = seats.chunks(4).map(|seats| ask(&house, event, seats)).collect();
    let mut conn = house.pg.conn().await.unwrap();
    conn.batch_execute("BEGIN").await.unwrap();
    let came = call(&mut conn, &asks, false).await;
    assert!(came.iter().all(|came| came.outcome == "created"));
    let told: Vec<Told> = sql_query("SELECT payload FROM outbox").load(&mut conn).await.unwrap();
    conn.batch_execute("COMMIT").await.unwrap();
    assert_eq!((before, told.len()), (0, 2));
    let mut told_of = Vec::new();
    for Told { payload } in told {
        let ticketing::notice::Notice::Seats { event_id, seats } = serde_json::from_value(payload).unwrap() else {
            panic!("a notice of something else");
        };
        assert_eq!(event_id, event);
        for seat in seats {
            assert_eq!((seat.status, seat.version), (domain::seat_hold::SeatStatus::Locked, 1));
            told_of.push(seat.seat_id);
        }
    }
    told_of.sort_unstable();
    let mut seats = seats;
    seats.sort_unstable();
    assert_eq!(told_of, seats);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_two_replicas_that_cross_never_deadlock() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(40).await;
    let (mut one, mut two) = (house.pg.conn().await.unwrap(), house.pg.conn().await.unwrap());
    for round in 0..15 {
        let forwards: Vec<_> = seats.chunks(2).map(|pair| ask(&house, event, pair)).collect();
        let backwards: Vec<_> =
            seats[1..39].chunks(2).rev().map(|pair| ask(&house, event, &[pair[1], pair[0]])).collect();
        let (came, went) = tokio::join!(call(&mut one, &forwards, false), call(&mut two, &backwards, false));
        let won = came.iter().chain(&went).filter(|came| came.outcome == "created").count();
        assert!(won >= 19, "round {round}: {won}");
        house.assert_sound().await;
        house.let_holds_end().await;
    }
    assert_eq!(house.number(DEADLOCKS).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_person_who_asks_many_times_at_once_gets_no_more_than_the_limit() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(40).await;
    let kim = house.app.as_user();
    let others: Vec<_> = (0..20).map(|_| house.app.as_user()).collect();
    let mine = join_all(
        seats[..20].chunks(4).map(async |choice| insistently(async || reserve(&kim, event, choice).await).await),
    );
    let theirs = others.iter().zip(&seats[20..]);
    let theirs = theirs.map(async |(buyer, seat)| insistently(async || reserve(buyer, event, &[*seat]).await).await);
    let theirs = join_all(theirs);
    let (mine, theirs) = tokio::join!(mine, theirs);
    let (won, lost): (Vec<_>, Vec<_>) = mine.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((won.len(), lost.len()), (2, 3));
    for answer in lost {
        answer.assert_problem(409, "limit_reached");
    }
    for answer in theirs {
        answer.assert_status(201);
    }
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_twice_in_a_rush_is_one_hold_and_one_answer() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(42).await;
    let buyers: Vec<_> = (0..20).map(|_| house.app.as_user()).collect();
    let key = [("idempotency-key", "k-1")];
    let twice = buyers.iter().zip(seats.chunks(2)).flat_map(|asked| [asked, asked]);
    let answers = join_all(twice.map(|(buyer, choice)| buyer.post_with(RESERVE, wish(event, choice), &key))).await;
    for pair in answers.chunks(2) {
        // The second of a pair that travels beside the first is told to wait for it.
        let made = pair.iter().find(|answer| answer.status == 201).unwrap();
        for answer in pair {
            if answer.status == 201 {
                assert_eq!(answer.body, made.body);
            } else {
                answer.clone().assert_problem(409, "idempotency_in_progress");
            }
        }
    }
    assert_eq!(house.number(RESERVATIONS).await, 20);
    let reused = buyers[0].post_with(RESERVE, wish(event, &seats[40..]), &key).await;
    reused.assert_problem(422, "idempotency_key_reused");
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_was_made_and_not_answered_is_answered_when_asked_again() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(4).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    // The service that made them is gone between the commit and the answers.
    let body = wish(event, &seats[..2]);
    let of = |buyer: &TestClient, seats: &[SeatId]| Ask {
        user: buyer.user_id.0,
        key: Some("k-1".to_owned()),
        body: wish(event, seats).to_string(),
        ..ask(&house, event, seats)
    };
    let asks = [of(&kim, &seats[..2]), of(&lee, &seats[2..])];
    let mut conn = house.pg.conn().await.unwrap();
    let made = call(&mut conn, &asks, false).await;
    let again = kim.post_with(RESERVE, body, &[("idempotency-key", "k-1")]).await.assert_status(201);
    let first: Value = serde_json::from_str(made[0].answer.as_ref().unwrap()).unwrap();
    assert_eq!(again.json, first);
    // And the lane itself, when it does not know what became of a batch.
    let kept = call(&mut conn, &asks, false).await;
    assert_eq!(outcomes(&kept), ["kept", "kept"]);
    assert_eq!(
        kept.iter().map(|came| &came.answer).collect::<Vec<_>>(),
        made.iter().map(|came| &came.answer).collect::<Vec<_>>()
    );
    // Without a key it is told by the reservation itself.
    let (other, seats) = house.seated_event(2).await;
    let asks = [Ask { key: None, ..ask(&house, other, &seats) }];
    let made = call(&mut conn, &asks, false).await;
    assert_eq!(outcomes(&made), ["created"]);
    let kept = call(&mut conn, &asks, false).await;
    assert_eq!((outcomes(&kept), &kept[0].answer), (vec!["kept"], &made[0].answer));
    let rival = [Ask { key: None, ..ask(&house, other, &seats) }];
    assert_eq!(outcomes(&call(&mut conn, &rival, false).await), ["seat_taken"]);
    assert_eq!(house.number("SELECT count(*) AS number FROM idempotency_keys").await, 2);
    assert_eq!(house.number(RESERVATIONS).await, 3);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_holds_the_row_of_a_seat_stops_nobody_else() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(21).await;
    let mut rival = house.pg.conn().await.unwrap();
    rival.batch_execute(&format!("BEGIN; SELECT FROM seats WHERE id = '{}' FOR UPDATE", seats[20])).await.unwrap();
    let buyers: Vec<_> = (0..20).map(|_| house.app.as_user()).collect();
    let answers = join_all(buyers.iter().enumerate().map(|(n, buyer)| {
        let seats = &seats;
        async move {
            if n % 2 == 0 {
                return reserve(buyer, event, &[seats[20]]).await;
            }
            // Those who come together may have to ask again, and get what they want while the other row is still held.
            insistently(async || reserve(buyer, event, &[seats[n]]).await).await
        }
    }));
    let answers = tokio::time::timeout(Duration::from_secs(30), answers).await.unwrap();
    for (n, answer) in answers.into_iter().enumerate() {
        if n % 2 == 0 {
            let answer = answer.assert_problem(503, "unavailable");
            assert!(!answer.header("retry-after").is_empty());
        } else {
            answer.assert_status(201);
        }
    }
    rival.batch_execute("ROLLBACK").await.unwrap();
    reserve(&house.app.as_user(), event, &seats[20..]).await.assert_status(201);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_go_on_after_the_databases_connections_are_cut() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(121).await;
    reserve(&house.app.as_user(), event, &seats[120..]).await.assert_status(201);
    for seats in seats[..120].chunks(30) {
        let buyers: Vec<_> = (0..30).map(|_| house.app.as_user()).collect();
        let buying = join_all(buyers.iter().zip(seats).map(async |(buyer, seat)| {
            loop {
                let answer = buyer.post_with(RESERVE, wish(event, &[*seat]), &[("idempotency-key", "k-1")]).await;
                if answer.status == 201 {
                    return;
                }
                answer.assert_problem(503, "unavailable");
            }
        }));
        tokio::join!(buying, house.cut_connections("maru-ticketing-seats"));
    }
    assert_eq!(house.number(RESERVATIONS).await, 121);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rush_for_seats_travels_together() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(80).await;
    let transactions = "SELECT count(DISTINCT xmin::text)::bigint AS number FROM reservations";
    let buyers: Vec<_> = (0..80).map(|_| house.app.as_user()).collect();
    let buying = buyers.iter().zip(&seats);
    let buying = buying.map(async |(buyer, seat)| insistently(async || reserve(buyer, event, &[*seat]).await).await);
    for answer in join_all(buying).await {
        answer.assert_status(201);
    }
    let transactions = house.number(transactions).await;
    assert!(transactions < 60, "{transactions} transactions for 80 holds: they did not travel together");
    house.assert_sound().await;
}

/// Seats of each of the two halls, and people who want them.
const SEATS: usize = 40;
const PEOPLE: usize = 7;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // Knuth's generator for MMIX; its upper half is random enough.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// One of the people of the first or the second hall; both halls have the same people under other ids.
fn person(hall: usize, person: usize) -> Uuid {
    let [hall, person] = [hall, person].map(|number| u128::try_from(number).unwrap() + 1);
    Uuid::from_u128(hall << 64 | person)
}

fn without_ids(came: &Came) -> (String, Value) {
    let mut answer: Value = came.answer.as_deref().map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
    if let Some(reservation) = answer.get_mut("reservation") {
        for field in ["id", "reservationNumber", "expiresAt"] {
            reservation[field] = Value::Null;
        }
        for seat in reservation["seats"].as_array_mut().unwrap() {
            seat["id"] = Value::Null;
        }
    }
    (came.outcome.clone(), answer)
}

/// What somebody wants, in either hall.
#[derive(Clone)]
struct Wish {
    seats: Vec<usize>,
    key: Option<String>,
    /// 0: of an event that is closed; 1: of one that is not there.
    place: usize,
}

impl Wish {
    fn random(dice: &mut Dice) -> Self {
        let mut seats: Vec<_> = (0..=dice.roll(4)).map(|_| dice.roll(SEATS)).collect();
        // No seat of the hall.
        if dice.roll(15) == 0 {
            seats[0] = SEATS;
        }
        seats.sort_unstable();
        seats.dedup();
        let key = Some(format!("k-{}", dice.roll(200))).filter(|_| dice.roll(4) > 0);
        Self { seats, key, place: dice.roll(20) }
    }
}

/// Two halls with the same seats, and where nothing is to be had.
struct Halls {
    halls: [(EventId, Vec<SeatId>); 2],
    closed: EventId,
}

impl Halls {
    fn ask(&self, hall: usize, who: usize, wish: &Wish, id: Uuid) -> Ask {
        let (event, seats) = &self.halls[hall];
        let event = match wish.place {
            0 => self.closed,
            1 => EventId(Uuid::from_u128(7)),
            _ => *event,
        };
        let seats = wish.seats.iter().map(|seat| seats.get(*seat).map_or(Uuid::from_u128(7), |seat| seat.0));
        let (user, body) = (person(hall, who), format!("{:?}", wish.seats));
        Ask { id, event: event.0, user, key: wish.key.clone(), body, seats: seats.collect() }
    }

    /// Counts how the halls differ; people are the same by the end of their ids.
    async fn differences(&self, house: &House) -> i64 {
        let seats = |event| {
            format!(
                "SELECT s.seat_number, s.status, right(r.user_id::text, 12) AS who FROM seats s \
                 LEFT JOIN reservations r ON r.id = s.reservation_id WHERE s.event_id = '{event}'"
            )
        };
        let counts = |event| {
            format!(
                "SELECT right(user_id::text, 12) AS who, quantity FROM user_event \
                 WHERE event_id = '{event}' AND quantity > 0"
            )
        };
        let [(a, _), (b, _)] = &self.halls;
        let query = format!(
            "SELECT (SELECT count(*) FROM ({}) a FULL JOIN ({}) b USING (seat_number) \
                     WHERE (a.status, a.who) IS DISTINCT FROM (b.status, b.who)) \
                 + (SELECT count(*) FROM ({}) a FULL JOIN ({}) b USING (who) \
                    WHERE a.quantity IS DISTINCT FROM b.quantity) AS number",
            seats(a),
            seats(b),
            counts(a),
            counts(b)
        );
        house.number(&query).await
    }
}

/// Lets the holds of one of the people end, in both halls.
async fn let_theirs_end(house: &House, who: usize) {
    let (here, there) = (person(0, who), person(1, who));
    house
        .sql(&format!(
            "UPDATE reservations SET expires_at = clock_timestamp() - interval '1 second' \
             WHERE status = 'pending' AND user_id IN ('{here}', '{there}'); \
             UPDATE seats s SET held_until = r.expires_at FROM reservations r \
             WHERE s.status = 'locked' AND r.id = s.reservation_id AND r.user_id IN ('{here}', '{there}')"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_batch_comes_to_the_same_as_its_requests_one_by_one() {
    let house = House::open().await;
    let seats = i32::try_from(SEATS).unwrap();
    let halls = Halls {
        halls: [house.seated_event(seats).await, house.seated_event(seats).await],
        closed: house.event("닫힌 공연", ["1 day", "2 days", "3 days"]).await,
    };
    let mut conn = house.pg.conn().await.unwrap();
    let mut dice = Dice(20_261_128);
    let mut before: HashMap<usize, Wish> = HashMap::new();
    let mut seen = BTreeMap::new();
    for round in 0..200 {
        let mut people: Vec<_> = (0..PEOPLE).collect();
        let mut asks: [Vec<Ask>; 2] = Default::default();
        for _ in 0..=dice.roll(PEOPLE) {
            let who = people.swap_remove(dice.roll(people.len()));
            let again = before.get(&who).filter(|_| dice.roll(3) == 0).cloned();
            let wish = again.unwrap_or_else(|| Wish::random(&mut dice));
            for (hall, asks) in asks.iter_mut().enumerate() {
                asks.push(halls.ask(hall, who, &wish, house.stage.clock.uuid()));
            }
            before.insert(who, wish);
        }
        let came = together(&mut conn, &asks[0]).await;
        let mut went = Vec::new();
        for ask in &asks[1] {
            went.push(alone(&mut conn, ask).await);
        }
        let same = |came: &[Came]| came.iter().map(without_ids).collect::<Vec<_>>();
        assert_eq!(same(&came), same(&went), "round {round}: {:?}", asks[1]);
        for came in came {
            *seen.entry(came.outcome).or_insert(0) += 1;
        }
        // What is over may have been cleaned up in one hall and not in the other.
        sweep(&house.pg).await.unwrap();
        assert_eq!(halls.differences(&house).await, 0, "round {round}");
        if dice.roll(3) > 0 {
            let_theirs_end(&house, dice.roll(PEOPLE)).await;
        }
    }
    for outcome in [
        "created",
        "kept",
        "idempotency_key_reused",
        "seat_taken",
        "seat_not_found",
        "event_not_found",
        "sale_closed",
        "limit_reached",
    ] {
        assert!(seen.contains_key(outcome), "{outcome} never came about: {seen:?}");
    }
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_over_the_limit_by_holds_that_are_over_keeps_the_place_in_the_batch() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(14).await;
    let kim = house.app.as_user();
    for choice in [&seats[..4], &seats[4..8], &seats[8..10]] {
        reserve(&kim, event, choice).await.assert_status(201);
    }
    house.let_holds_end().await;
    let first = Ask { user: kim.user_id.0, ..ask(&house, event, &seats[10..12]) };
    let second = ask(&house, event, &seats[11..13]);
    let third = ask(&house, event, &seats[13..]);
    let mut conn = house.pg.conn().await.unwrap();
    assert_eq!(
        outcomes(&call(&mut conn, &[first.clone(), second.clone(), third.clone()], false).await),
        ["due", "due", "created"]
    );
    let again = together(&mut conn, &[first, second, third]).await;
    assert_eq!(outcomes(&again), ["created", "seat_taken", "kept"]);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_in_two_replicas_batches_is_one_hold() {
    let house = House::open().await;
    let replica = house.replica();
    let (event, seats) = house.seated_event(60).await;
    let buyers: Vec<_> = (0..30).map(|_| house.app.as_user()).collect();
    let twins: Vec<_> = buyers
        .iter()
        .map(|buyer| {
            replica.as_principal(Principal {
                user_id: UserId(buyer.user_id.0),
                login_id: buyer.login_id,
                role: Role::User,
            })
        })
        .collect();
    let key = [("idempotency-key", "k-1")];
    let asked = buyers.iter().chain(&twins).zip(seats.chunks(2).cycle());
    let answers = join_all(asked.map(|(buyer, choice)| buyer.post_with(RESERVE, wish(event, choice), &key))).await;
    for (here, there) in answers[..30].iter().zip(&answers[30..]) {
        for answer in [here, there] {
            assert!(answer.status == 201 || answer.json["code"] == "idempotency_in_progress", "{}", answer.json);
        }
        assert!(here.status == 201 || there.status == 201);
    }
    assert_eq!(house.number(RESERVATIONS).await, 30);
    assert_eq!(house.number(DEADLOCKS).await, 0);
    house.assert_sound().await;
}
