//! Which request targets are looked at, at all.
//!
//! A path that two programs read differently is how a request checked as one thing arrives as another. So every path
//! has one spelling here: no dot segments, no empty segments, no backslashes, no parameters behind a semicolon, no control
//! characters, and nothing encoded that could be written plainly, that would change the segments, or that a second
//! decoding would change. What passes is forwarded byte for byte.

use actix_web::http::Uri;
use chassis::problem::{Outcome, Problem};

use crate::faults::BAD_PATH;

/// Returns the path of an acceptable request target.
///
/// # Errors
/// Refuses targets in absolute or authority form, and paths with more than one reading.
pub fn check(target: &Uri) -> Outcome<&str> {
    let path = target.path();
    if target.scheme().is_some() || target.authority().is_some() || !has_one_reading(path.as_bytes()) {
        return Err(Problem::from(BAD_PATH));
    }
    Ok(path)
}

fn has_one_reading(path: &[u8]) -> bool {
    let Some(mut rest) = path.strip_prefix(b"/") else { return false };
    let mut segment_length = 0_usize;
    let mut only_dots = true;
    loop {
        let Some((&byte, after)) = rest.split_first() else {
            return segment_length == 0 || !is_dots(segment_length, only_dots);
        };
        rest = after;
        match byte {
            b'/' => {
                if segment_length == 0 || is_dots(segment_length, only_dots) {
                    return false;
                }
                (segment_length, only_dots) = (0, true);
                continue;
            }
            b'%' => {
                let Some((encoded, after)) = rest.split_first_chunk::<2>() else { return false };
                if !may_be_encoded(*encoded) {
                    return false;
                }
                rest = after;
                only_dots = false;
            }
            b'.' => {}
            b'\\' | b';' | 0..=0x20 | 0x7f.. => return false,
            _ => only_dots = false,
        }
        segment_length += 1;
    }
}

const fn is_dots(length: usize, only_dots: bool) -> bool {
    only_dots && length <= 2
}

/// Judges one percent-encoded byte: separators and control characters change the path, and what needs no encoding must
/// have none, or a path could be spelled in two ways.
fn may_be_encoded(hex: [u8; 2]) -> bool {
    let [high, low] = hex.map(|digit| char::from(digit).to_digit(16));
    let (Some(high), Some(low)) = (high, low) else { return false };
    let byte = u8::try_from(high * 16 + low).unwrap_or_default();
    !(byte.is_ascii_control() || byte.is_ascii_alphanumeric() || b"/\\;%.-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_pass() {
        for good in
            ["/", "/health", "/api/v1/sessions/", "/memo/a.b/..c/d..", "/...", "/x/%ED%95%9C", "/a%20b", "/a@b:c"]
        {
            assert!(has_one_reading(good.as_bytes()), "{good}");
        }
    }

    #[test]
    fn paths_with_two_readings_do_not() {
        let bad = [
            "",
            "*",
            "x",
            "//",
            "//x",
            "/x//y",
            "/x//",
            "/.",
            "/..",
            "/./x",
            "/x/.",
            "/x/..",
            "/x/../y",
            "/x/./y",
            "/%2e/x",
            "/%2E%2e/x",
            "/.%2e/x",
            "/x/%2e%2e",
            "/x\\y",
            "/x%2fy",
            "/x%2Fy",
            "/x%5cy",
            "/x;y=z",
            "/..;/x",
            "/x%3by",
            "/%252e%252e/x",
            "/x%252fy",
            "/x%00",
            "/x%0d%0a",
            "/x%7f",
            "/x%",
            "/x%4",
            "/x%zz",
            "/%69nternal/x",
            "/x y",
            "/x\ty",
            "/x\x7f",
            "/\u{ff0f}x",
        ];
        for bad in bad {
            assert!(!has_one_reading(bad.as_bytes()), "{bad:?}");
        }
    }
}
