//! Small pictures of large ones.

use std::io::Cursor;

use bytes::Bytes;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage, codecs::jpeg::JpegEncoder};

use super::Preview;

/// Longest side of a small picture, pixels.
const SIDE: u32 = 600;
/// Its quality, of 100.
const QUALITY: u8 = 80;
/// Most pixels of an image that is read: a phone's 50 megapixels. It is checked before any of them is.
const PIXELS_MAX: u64 = 52_000_000;
/// Most memory of a decoder: those pixels, and what it needs to get there.
const MEMORY_MAX: u64 = 320 * 1024 * 1024;

/// Makes a small picture without anything that the large one says about where and when it was taken.
pub(super) fn shrink(bytes: &[u8]) -> Option<Preview> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
    let known = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP];
    if !reader.format().is_some_and(|format| known.contains(&format)) {
        return None;
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MEMORY_MAX);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return None;
    }
    // Cameras write pixels as they lie in them, and beside them how they were held.
    let orientation = decoder.orientation().ok()?;
    let mut picture = DynamicImage::from_decoder(decoder).ok()?.thumbnail(SIDE, SIDE);
    picture.apply_orientation(orientation);
    let is_upright = (picture.width() > picture.height()) == (width > height);
    let (width, height) = if is_upright { (width, height) } else { (height, width) };
    let mut thumbnail = Vec::new();
    JpegEncoder::new_with_quality(&mut thumbnail, QUALITY).encode_image(&on_white(&picture)).ok()?;
    Some(Preview::Image { width, height, thumbnail: Bytes::from(thumbnail) })
}

/// Lays a picture that may be transparent on white paper.
fn on_white(picture: &DynamicImage) -> RgbImage {
    let picture = picture.to_rgba8();
    let mut paper = RgbImage::new(picture.width(), picture.height());
    for (from, to) in picture.pixels().zip(paper.pixels_mut()) {
        let [red, green, blue, alpha] = from.0;
        let mix = |colour: u8| {
            let mixed = (u16::from(colour) * u16::from(alpha) + 255 * (255 - u16::from(alpha))) / 255;
            u8::try_from(mixed).unwrap_or(u8::MAX)
        };
        *to = Rgb([mix(red), mix(green), mix(blue)]);
    }
    paper
}

#[cfg(test)]
mod tests {
    use image::{Rgba, RgbaImage};

    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        RgbaImage::from_pixel(width, height, Rgba([200, 0, 0, 128])).write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_large_picture_becomes_a_small_one_on_white() {
        let Some(Preview::Image { width, height, thumbnail }) = shrink(&png(1200, 300)) else { panic!("no picture") };
        assert_eq!((width, height), (1200, 300));
        let small = image::load_from_memory(&thumbnail).unwrap().to_rgb8();
        assert_eq!(small.dimensions(), (600, 150));
        let [red, green, _] = small.get_pixel(300, 75).0;
        assert!(red > 210 && (110..145).contains(&green), "{red} {green}");
    }

    #[test]
    fn a_picture_that_says_it_is_huge_is_not_read() {
        let mut bomb = png(1, 1);
        // Width and height stand behind the header of the first chunk, whose checksum is behind them.
        bomb[16..20].copy_from_slice(&100_000_u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&100_000_u32.to_be_bytes());
        assert!(shrink(&bomb).is_none());
        assert!(shrink(b"\x89PNG\r\n\x1a\n and then nothing").is_none());
        assert!(shrink(b"MZ").is_none());
    }
}
