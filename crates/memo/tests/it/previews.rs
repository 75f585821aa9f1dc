//! What is shown of a file before it is opened.

use std::{io::Cursor, time::Duration};

use image::{ImageFormat, Rgb, RgbImage};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{TestClient, eventually};

use crate::{
    PICTURE, fetch,
    forms::{Form, objects_of, send},
    start,
};

/// Waits until nothing is in the making any more, and returns the memo's files.
async fn made(of: &TestClient, path: &str) -> Value {
    let done = || async {
        let memo = of.get(path).await.json;
        memo["attachments"].as_array().unwrap().iter().all(|file| file["preview"] != "processing")
    };
    eventually(Duration::from_secs(20), done).await;
    of.get(path).await.json["attachments"].take()
}

fn photograph(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(width, height, Rgb([30, 90, 200])).write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// One second of a tone, 8,000 samples of 16 bits.
fn tone() -> Vec<u8> {
    let samples = (0..8_000_i32).flat_map(|n| i16::try_from((n % 50 - 25) * 1_000).unwrap().to_le_bytes());
    let head = b"RIFF\xa4\x3e\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x80\x3e\0\0";
    head.iter().copied().chain(samples).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_gets_a_small_picture_and_a_recording_its_length_and_loudness() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let form = Form::default().file("image_0", "a.jpg", "image/jpeg", &photograph(900, 300)).file(
        "audio_0",
        "b.wav",
        "audio/wav",
        &tone(),
    );
    let memo = send(&kim, Method::POST, "/memo", form, &[]).await.assert_status(201);
    let files = made(&kim, &format!("/memo/{}", memo.text("/id"))).await;
    let (image, audio) = (&files[0], &files[1]);
    assert_eq!((&image["preview"], &image["width"], &image["height"]), (&json!("ready"), &json!(900), &json!(300)));
    let small = fetch(image["thumbnail_url"].as_str().unwrap()).await;
    assert_eq!(small.headers()["content-type"], "image/jpeg");
    let small = image::load_from_memory(&small.bytes().await.unwrap()).unwrap();
    assert_eq!((small.width(), small.height()), (600, 200));
    assert_eq!((&audio["preview"], &audio["duration_ms"]), (&json!("ready"), &json!(1_000)));
    assert!(audio["waveform"].as_array().unwrap().iter().all(|value| value.as_u64().unwrap() > 100), "{audio}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_which_nothing_can_be_made_is_there_all_the_same() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let form = Form::default()
        .file("image_0", "a.png", "image/png", PICTURE)
        .file("image_1", "a.heic", "image/heic", b"\0\0\0\x18ftypheic and more")
        .file("audio_0", "b.mp3", "audio/mpeg", b"ID3\x04 and nothing");
    let memo = send(&kim, Method::POST, "/memo", form, &[]).await.assert_status(201);
    let files = made(&kim, &format!("/memo/{}", memo.text("/id"))).await;
    let previews: Vec<_> = files.as_array().unwrap().iter().map(|file| file["preview"].clone()).collect();
    assert_eq!(previews, [json!("failed"), Value::Null, json!("failed")]);
    assert_eq!(fetch(files[0]["url"].as_str().unwrap()).await.bytes().await.unwrap(), PICTURE);
    assert_eq!(objects_of(&stage, &kim).await, 3);
}
