//! The QR code of the join link.

use std::io::Cursor;

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::Method;
use testkit::Answer;

use crate::{SESSIONS, make, start, talk};

/// Reads the text of a QR code in a PNG, and how wide the picture is.
fn read(file: &[u8]) -> (String, usize) {
    let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let (side, line) = (usize::try_from(info.width).unwrap(), info.line_size);
    assert_eq!((info.width, info.bit_depth), (info.height, png::BitDepth::One));
    let dark = |x: usize, y: usize| pixels[y * line + x / 8] & (0x80 >> (x % 8)) == 0;
    let mut image = rqrr::PreparedImage::prepare_from_bitmap(side, side, dark);
    (image.detect_grids()[0].decode().unwrap().1, side)
}

fn link(session: &Answer) -> String {
    format!("http://localhost:8080/join/{}", session.text("/session_code"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_view_of_a_session_has_a_picture_that_reads_as_its_link() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let made = kim.post(SESSIONS, talk("마루 발표")).await.assert_status(201);
    let encoded = made.text("/qr_code_url").strip_prefix("data:image/png;base64,").unwrap();
    let (text, side) = read(&BASE64_STANDARD.decode(encoded).unwrap());
    assert_eq!((text, side), (link(&made), 370));
    let shown = kim.get(&format!("{SESSIONS}/{}", made.text("/id"))).await;
    assert_eq!(shown.json["qr_code_url"], made.json["qr_code_url"]);
    assert_eq!(kim.get(SESSIONS).await.json[0]["qr_code_url"], made.json["qr_code_url"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_drawn_at_the_size_that_was_asked_for() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = make(&kim).await;
    let expected = link(&kim.get(&path).await);
    for (query, side) in [("", 512), ("?size=128", 128), ("?size=300", 300), ("?size=2048", 2_048)] {
        let picture = kim.get(&format!("{path}/qr.png{query}")).await.assert_status(200);
        assert_eq!(picture.header("content-type"), "image/png");
        assert_eq!(read(&picture.body), (expected.clone(), side));
    }
    for query in ["size=127", "size=2049"] {
        let refused = kim.get(&format!("{path}/qr.png?{query}")).await.assert_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), "?size");
    }
    for query in ["size=-1", "size=big", "width=300"] {
        kim.get(&format!("{path}/qr.png?{query}")).await.assert_problem(400, "malformed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_keeps_a_picture_to_itself_and_asks_whether_it_is_still_the_one() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = make(&kim).await;
    for target in [format!("{path}/qr.png"), format!("{path}/qr.svg")] {
        let picture = kim.get(&target).await.assert_status(200);
        let etag = picture.header("etag").to_owned();
        assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 20, "{etag}");
        assert_eq!(picture.header("cache-control"), "private, max-age=86400");
        let ask = |tag: &str| kim.send(kim.request(Method::GET, &target).header("if-none-match", tag.to_owned()));
        let same = ask(&etag).await.assert_status(304);
        assert!(same.body.is_empty() && same.header("etag") == etag);
        ask(&format!("\"x\", {etag}")).await.assert_status(304);
        assert_eq!(ask("\"x\"").await.assert_status(200).body, picture.body);
    }
    assert_ne!(
        kim.get(&format!("{path}/qr.png?size=300")).await.header("etag"),
        kim.get(&format!("{path}/qr.png")).await.header("etag")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_svg_is_one_path_on_white() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = make(&kim).await;
    let picture = kim.get(&format!("{path}/qr.svg")).await.assert_status(200);
    assert_eq!(picture.header("content-type"), "image/svg+xml");
    let svg = String::from_utf8(picture.body).unwrap();
    assert!(
        svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>") && svg.contains("viewBox=\"0 0 37 37\""),
        "{svg}"
    );
    assert!(!svg.contains("script") && !svg.contains("href"), "{svg}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_its_owners() {
    let (_stage, app) = start().await;
    let path = make(&app.as_user()).await;
    for target in ["qr.png", "qr.svg"] {
        let target = format!("{path}/{target}");
        app.as_user().get(&target).await.assert_problem(404, "session_not_found");
        app.anonymous().get(&target).await.assert_problem(401, "unauthenticated");
    }
}
