use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{super::frame, *};

async fn next(body: &mut Downward) -> Option<Bytes> {
    poll_fn(|cx| Pin::new(&mut *body).poll_next(cx)).await.map(Result::unwrap)
}

#[tokio::test]
async fn what_is_written_arrives_at_once_and_in_order() {
    let (mut server, client) = pipe(STALL);
    let mut body = client.downward();
    server.write_all(b"one ").await.unwrap();
    server.write_all(b"two").await.unwrap();
    assert_eq!(next(&mut body).await.unwrap(), "one two");
    server.write_all(b"last").await.unwrap();
    drop(server);
    assert_eq!(next(&mut body).await.unwrap(), "last");
    assert_eq!(next(&mut body).await, None);
}

#[tokio::test]
async fn what_the_client_says_is_read_in_order_and_then_its_end() {
    let (mut server, client) = pipe(STALL);
    let upward = client.upward();
    for part in ["ab", "", "cde"] {
        assert!(upward.push(Bytes::from(part)).await);
    }
    drop(upward);
    let mut heard = String::new();
    server.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "abcde");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_given_up() {
    let (mut server, client) = pipe(Duration::from_secs(15));
    let (mut body, _upward) = (client.downward(), client.upward());
    let begun = Instant::now();
    let failed = server.write_all(&vec![0; DOWN_MAX + 1]).await.unwrap_err();
    assert_eq!((failed.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, Duration::from_secs(15)));
    assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(next(&mut body).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_a_little_is_waited_for() {
    let (mut server, client) = pipe(Duration::from_secs(15));
    let mut body = client.downward();
    let write = async {
        server.write_all(&vec![7; 4 * DOWN_MAX]).await.unwrap();
        drop(server);
    };
    let read = async {
        let mut taken = 0;
        while let Some(bytes) = next(&mut body).await {
            taken += bytes.len();
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        taken
    };
    assert_eq!(tokio::join!(write, read).1, 4 * DOWN_MAX);
}

#[tokio::test]
async fn a_closed_connection_hears_nothing_and_still_says_goodbye() {
    let (mut server, client) = pipe(STALL);
    let (mut body, upward) = (client.downward(), client.upward());
    client.wire().close();
    assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(!upward.push(Bytes::from("late")).await);
    server.write_all(b"bye").await.unwrap();
    drop(server);
    assert_eq!(next(&mut body).await.unwrap(), "bye");
    upward.unheard().await;
}

#[tokio::test]
async fn what_many_are_told_comes_between_frames_and_never_into_one() {
    let (mut server, client) = pipe(STALL);
    let (mut body, wire) = (client.downward(), client.wire());
    let (told, own) = (frame::event("told", &1).unwrap(), frame::event("own", &"x".repeat(200)).unwrap());
    assert_eq!(wire.tell(&told), Told::Yes);
    server.write_all(&own[..100]).await.unwrap();
    assert_eq!(wire.tell(&told), Told::Yes);
    assert_eq!(next(&mut body).await.unwrap(), [&told, &own[..100]].concat());
    server.write_all(&own[100..]).await.unwrap();
    assert_eq!(next(&mut body).await.unwrap(), [&own[100..], &told[..]].concat());
    drop(body);
    assert_eq!(wire.tell(&told), Told::Gone);
    assert!(wire.is_gone());
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_told_so_much_and_no_more_and_is_still_pinged() {
    let (mut server, client) = pipe(STALL);
    let (mut body, wire) = (client.downward(), client.wire());
    let frame = frame::event("told", &"x".repeat(1_000)).unwrap();
    let told = std::iter::repeat_with(|| wire.tell(&frame)).take_while(|told| *told == Told::Yes).count();
    assert_eq!(told, TOLD_MAX / frame.len());
    assert_eq!(wire.tell(&frame), Told::Full);
    server.write_all(b"\x81\x012").await.unwrap();
    assert_eq!(next(&mut body).await.unwrap().len(), told * frame.len() + 3);
    assert_eq!(wire.tell(&frame), Told::Yes);
}

#[tokio::test]
async fn a_client_that_left_ends_the_connection() {
    let (mut server, client) = pipe(STALL);
    drop(client.downward());
    assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(server.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}
