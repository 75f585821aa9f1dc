//! Numbers as they stand in headers, without the machinery of formatting: each request has some.

/// Room for the longest number.
pub type Digits = [u8; 20];

/// Writes a number into the end of `digits` and returns that end.
pub fn decimal(mut value: u64, digits: &mut Digits) -> &[u8] {
    let mut first = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
        first -= 1;
        if value == 0 {
            break;
        }
    }
    digits.get(first..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for number in [0, 7, 10, 65_536, u64::MAX] {
            assert_eq!(decimal(number, &mut Digits::default()), number.to_string().as_bytes());
        }
    }
}
