//! A QR code as modules, as pixels and as a path.

use std::fmt::Write as _;

use fast_qr::{ECL, QRBuilder, QRCode};
use png::{BitDepth, ColorType, Compression, Encoder, EncodingError, Filter};

/// White around a code, in modules: what readers need to find it.
const QUIET: u32 = 4;

/// A QR code with the quiet zone around it.
#[derive(Clone, Debug)]
pub struct Drawing {
    rows: Vec<Vec<bool>>,
}

impl Drawing {
    /// Draws a text, so that a seventh of it may be hidden by glare.
    ///
    /// # Errors
    /// Says that the text is too long.
    pub fn new(text: &str) -> Result<Self, fast_qr::qr::QRCodeError> {
        let code: QRCode = QRBuilder::new(text).ecl(ECL::M).build()?;
        let side = code.size;
        let rows = code.data.chunks(side.max(1)).take(side);
        Ok(Self { rows: rows.map(|row| row.iter().map(|module| module.value()).collect()).collect() })
    }

    /// Returns how many modules it is wide and high, with the quiet zone.
    pub fn modules(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or_default() + 2 * QUIET
    }

    /// Draws a square PNG, `size` pixels wide, one bit a pixel: modules of whole pixels, and the rest is quiet zone.
    ///
    /// # Errors
    /// Returns the encoder's error; into memory it does not happen.
    pub fn png(&self, size: u32) -> Result<Vec<u8>, EncodingError> {
        let scale = (size / self.modules()).max(1);
        let width = size.max(self.modules());
        let margin = (width - (self.modules() - 2 * QUIET) * scale) / 2;
        let stride = width.div_ceil(8);
        let blank = vec![0xff; usize::try_from(stride).unwrap_or_default()];
        let mut pixels = Vec::with_capacity(blank.len() * usize::try_from(width).unwrap_or_default());
        for y in 0..width {
            let row = y.checked_sub(margin).and_then(|y| self.rows.get(usize::try_from(y / scale).ok()?));
            let mut line = blank.clone();
            for (place, _dark) in row.into_iter().flatten().enumerate().filter(|(_, dark)| **dark) {
                let left = margin + u32::try_from(place).unwrap_or_default() * scale;
                for x in left..left + scale {
                    if let Some(byte) = usize::try_from(x / 8).ok().and_then(|at| line.get_mut(at)) {
                        *byte &= !(0x80 >> (x % 8));
                    }
                }
            }
            pixels.extend_from_slice(&line);
        }
        encode(width, &pixels)
    }

    /// Draws an SVG whose unit is a module: one path, dark on white.
    pub fn svg(&self) -> String {
        let side = self.modules();
        let mut path = String::new();
        for (y, row) in (QUIET..).zip(&self.rows) {
            let mut x = QUIET;
            for run in row.chunk_by(|left, right| left == right) {
                let length = u32::try_from(run.len()).unwrap_or_default();
                if run.first() == Some(&true) {
                    // Writing to a text cannot fail.
                    _ = write!(path, "M{x} {y}h{length}v1h-{length}z");
                }
                x += length;
            }
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
             <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path d=\"{path}\"/></svg>"
        )
    }
}

fn encode(width: u32, pixels: &[u8]) -> Result<Vec<u8>, EncodingError> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width, width);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::One);
    // Eight times as fast as the usual one, for two and a half times the bytes: a list shows a hundred pictures.
    encoder.set_compression(Compression::Fast);
    // Most lines are the same as the one above; a compression chooses a filter of its own, so this comes after it.
    encoder.set_filter(Filter::Up);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://maru.example/join/AB23CD";

    /// Reads a picture's size and pixels, `true` where it is dark.
    fn read(file: &[u8]) -> (u32, Vec<bool>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.color_type, info.bit_depth), (ColorType::Grayscale, BitDepth::One));
        let line = |bytes: &[u8]| -> Vec<bool> {
            (0..info.width).map(|x| bytes[x as usize / 8] & (0x80 >> (x % 8)) == 0).collect()
        };
        (info.width, pixels.chunks(info.line_size).flat_map(line).collect())
    }

    #[test]
    fn a_picture_has_the_size_that_was_asked_for_and_a_quiet_zone() {
        let drawing = Drawing::new(LINK).unwrap();
        for size in [128, 129, 370, 500, 2_048] {
            let (width, pixels) = read(&drawing.png(size).unwrap());
            assert_eq!(width, size);
            let scale = size / drawing.modules();
            let quiet = QUIET * scale;
            for (place, _) in pixels.iter().enumerate().filter(|(_, dark)| **dark) {
                let place = u32::try_from(place).unwrap();
                let (x, y) = (place % width, place / width);
                assert!((quiet..width - quiet).contains(&x) && (quiet..width - quiet).contains(&y), "{size}: {x} {y}");
            }
        }
    }

    #[test]
    fn a_reader_reads_the_link_at_every_size() {
        let drawing = Drawing::new(LINK).unwrap();
        for size in [128, 371, 1_000] {
            let (width, pixels) = read(&drawing.png(size).unwrap());
            let side = width as usize;
            let mut image = rqrr::PreparedImage::prepare_from_bitmap(side, side, |x, y| pixels[y * side + x]);
            let grids = image.detect_grids();
            assert_eq!(grids.len(), 1, "{size}");
            assert_eq!(grids[0].decode().unwrap().1, LINK);
        }
    }

    #[test]
    fn a_path_has_the_same_modules() {
        let drawing = Drawing::new(LINK).unwrap();
        let svg = drawing.svg();
        let path = svg.rsplit("<path d=\"").next().unwrap().split('"').next().unwrap();
        let dark: u32 =
            path.split('M').filter_map(|run| run.split_once('h')?.1.split_once('v')?.0.parse::<u32>().ok()).sum();
        let modules = drawing.rows.iter().flatten().filter(|dark| **dark).count();
        assert_eq!(dark as usize, modules);
        assert!(svg.contains("viewBox=\"0 0 37 37\""), "{svg}");
    }
}
