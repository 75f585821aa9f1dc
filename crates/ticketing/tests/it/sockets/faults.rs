//! Redis away, readers that do not read.

use std::{net::SocketAddr, time::Duration};

use deadpool_redis::redis::cmd;
use domain::seat_hold::SeatStatus;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use testkit::{SocketIo, fault_proxy::FaultProxy};
use ticketing::{
    config::TicketingConfig,
    notice::{Notice, STREAM, SeatNotice},
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{
    Hall,
    hall::{ScriptedAuth, joined, socket},
};
use crate::house::{self, House, ON_SALE};

/// Says where Redis is, and puts a proxy before it.
fn through_proxy(config: &mut TicketingConfig) -> FaultProxy {
    let mut url: url::Url = config.base.redis.redis_url.expose_secret().parse().unwrap();
    let upstream = SocketAddr::new(url.host_str().unwrap().parse().unwrap(), url.port().unwrap());
    let proxy = FaultProxy::start(upstream).unwrap();
    url.set_port(Some(proxy.addr().port())).unwrap();
    config.base.redis.redis_url = SecretString::from(url.to_string());
    proxy
}

/// Opens a hall whose second replica reaches Redis through a proxy.
async fn hall_with_proxy() -> (Hall, FaultProxy) {
    let mut proxy = None;
    let stage = house::stage().await.on_one_redis();
    let hall = Hall::on(stage, |config| proxy = Some(through_proxy(config)));
    (hall, proxy.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_a_replica_goes_on_by_itself_and_catches_up_after() {
    let (hall, proxy) = hall_with_proxy().await;
    let (event, seat_id) = (hall.event().await, hall.house.stage.clock.id());
    let choose = |socket: SocketIo| joined(socket, "join-seat-selection", event);
    let (mut one, mut two) = (choose(hall.there().await).await, choose(hall.there().await).await);
    let mark = json!({ "eventId": event, "seats": [seat_id] });
    let seat = |version| {
        let seat = SeatNotice { seat_id, status: SeatStatus::Locked, version };
        Notice::Seats { event_id: event, seats: vec![seat] }
    };
    // Read by both replicas, so that there is something to go on from.
    hall.tell(&[seat(1)]).await;
    assert_eq!(two.hear("seat-locked").await["version"], 1);
    proxy.reset();
    one.ask("seat-selection-changed", &mark).await;
    two.hear("seat-update").await;
    let mut three = joined(hall.there().await, "join-event", event).await;
    three.hear_where("room-info", |info| info["userCount"] == 1).await;
    // Said while this replica could not hear it.
    hall.tell(&[seat(2)]).await;
    proxy.heal();
    assert_eq!(two.hear("seat-locked").await["version"], 2);
    assert_eq!(two.heard("refetch"), 0);
    let mut four = joined(hall.here().await, "join-event", event).await;
    four.hear_where("room-info", |info| info["userCount"] == 2).await;
    three.hear_where("room-info", |info| info["userCount"] == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_by_itself_tells_what_was_committed_while_redis_is_away() {
    let (auth, mut proxy) = (ScriptedAuth::start(), None);
    let house = House::on(house::stage().await.on_one_redis(), |config| {
        config.realtime.auth_urls = auth.urls();
        proxy = Some(through_proxy(config));
    });
    let event = house.event("달빛 재즈", ON_SALE).await;
    let mut socket = joined(socket(&house.app.as_user()).await, "join-seat-selection", event).await;
    proxy.as_ref().unwrap().reset();
    let payload = json!({
        "kind": "seats", "event_id": event, "seats": [{ "seat_id": event, "status": "locked", "version": 5 }]
    });
    house
        .sql(&format!("INSERT INTO outbox (id, topic, payload) VALUES (gen_random_uuid(), 'notice', '{payload}')"))
        .await;
    assert_eq!(socket.hear("seat-locked").await["version"], 5);
    // And once more, with everybody, when Redis is back.
    proxy.as_ref().unwrap().heal();
    assert_eq!(socket.hear("seat-locked").await["version"], 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_have_missed_something_is_told_to_look_again() {
    let (hall, proxy) = hall_with_proxy().await;
    let event = hall.event().await;
    let mut socket = joined(hall.there().await, "join-queue", event).await;
    let size = |queue_size| Notice::Queue { event_id: event, queue_size, current_users: 0, threshold: 1 };
    hall.tell(&[size(1)]).await;
    assert_eq!(socket.hear("queue-updated").await["queueSize"], 1);
    proxy.reset();
    let redis = hall.house.stage.redis();
    redis.run::<()>(cmd("XTRIM").arg(redis.key(STREAM)).arg("MAXLEN").arg(0)).await.unwrap();
    proxy.heal();
    assert!(socket.hear("refetch").await["timestamp"].is_string());
    hall.tell(&[size(3)]).await;
    assert_eq!(socket.hear("queue-updated").await["queueSize"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stops_harms_nobody_else() {
    let hall = Hall::open().await;
    let event = hall.event().await;
    let mut good = joined(hall.there().await, "join-seat-selection", event).await;
    // A client that comes in, and then reads nothing any more.
    let client = hall.other.as_user();
    let mut frozen = TcpStream::connect(hall.other.addr()).await.unwrap();
    let head = format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nauthorization: Bearer {}\r\n\r\n",
        client.token().unwrap()
    );
    frozen.write_all(head.as_bytes()).await.unwrap();
    let join = format!("420{}", json!(["join-seat-selection", event]));
    for packet in ["40", &join] {
        frozen.write_all(&masked(packet)).await.unwrap();
    }
    let seats = |round: i64| Notice::Seats {
        event_id: event,
        seats: (0..50)
            .map(|_| SeatNotice { seat_id: hall.house.stage.clock.id(), status: SeatStatus::Available, version: round })
            .collect(),
    };
    for round in 0..200 {
        hall.tell(&[seats(round)]).await;
    }
    for round in 0..200 {
        for _ in 0..50 {
            let released = tokio::time::timeout(Duration::from_secs(10), good.hear("seat-released")).await.unwrap();
            assert_eq!(released["version"], json!(round));
        }
    }
    drop(frozen);
}

/// Writes a text frame as a client does, with a mask that changes nothing.
fn masked(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 126);
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}
