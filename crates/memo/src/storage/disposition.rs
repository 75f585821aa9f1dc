//! Under which name a file is saved, and whether it is shown where it is opened.

use std::fmt::Write as _;

/// Writes a `Content-Disposition` that carries any name (RFC 6266 with RFC 8187): no character of it can end the header
/// or its value.
pub(super) fn content_disposition(disposition: &str, filename: &str) -> String {
    let mut encoded = String::new();
    for byte in filename.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            _ = write!(encoded, "%{byte:02X}");
        }
    }
    format!("{disposition}; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_ends_the_header_or_its_value() {
        let header = content_disposition("inline", "가 \"; x=y\r\nset-cookie: a=b");
        assert_eq!(header, "inline; filename*=UTF-8''%EA%B0%80%20%22%3B%20x%3Dy%0D%0Aset-cookie%3A%20a%3Db");
    }
}
