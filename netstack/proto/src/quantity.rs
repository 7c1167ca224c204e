//! Times, sizes and octets as people type them: `250ms`, `64K`, `de:ad`.

use core::fmt;
use core::time::Duration;

/// Reads a time: a decimal number and one of the units `us`, `ms`, `s`, `m`, `h`; a bare `0` needs none.
pub fn duration(text: &str) -> Result<Duration, Error> {
    const FORMAT: &str = "a time with its unit, such as 250ms, 5s or 1m";
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (number, unit) = number_and_unit(text, FORMAT)?;
    let micros: u64 = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" | "min" => 60_000_000,
        "h" => 3_600_000_000,
        _ => return Err(Error { text: text.into(), expected: FORMAT }),
    };
    // a year is far beyond any limit a boot can mean, and keeps sums of times from overflowing
    const YEAR: u64 = 365 * 24 * 3_600_000_000;
    number
        .checked_mul(micros)
        .filter(|&sum| sum <= YEAR)
        .map(Duration::from_micros)
        .ok_or_else(|| Error { text: text.into(), expected: "a time below one year" })
}

/// Reads a size in octets: a decimal number, optionally `K`, `M` or `G` (powers of 1024).
pub fn size(text: &str) -> Result<u64, Error> {
    const FORMAT: &str = "a size in octets, such as 512, 64K or 16M";
    let (number, unit) = number_and_unit(text, FORMAT)?;
    let shift = match unit {
        "" => 0,
        "K" | "k" => 10,
        "M" => 20,
        "G" => 30,
        _ => return Err(Error { text: text.into(), expected: FORMAT }),
    };
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| Error { text: text.into(), expected: "a size below 16 exbibytes" })
}

/// Reads octets in hexadecimal; spaces, colons and dashes between them are passed over.
pub fn hex(text: &str) -> Result<Vec<u8>, Error> {
    let wrong =
        || Error { text: text.into(), expected: "hexadecimal octets, such as 0d0a or 0d:0a" };
    let digits: Vec<u8> = text
        .bytes()
        .filter(|octet| !matches!(octet, b' ' | b':' | b'-'))
        .map(|octet| char::from(octet).to_digit(16).map(|digit| digit as u8).ok_or_else(wrong))
        .collect::<Result<_, _>>()?;
    if !digits.len().is_multiple_of(2) {
        return Err(wrong());
    }
    Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn number_and_unit<'a>(text: &'a str, expected: &'static str) -> Result<(u64, &'a str), Error> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    match number.parse() {
        Ok(number) => Ok((number, unit)),
        Err(_) => Err(Error { text: text.into(), expected }),
    }
}

/// A quantity that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What was typed.
    pub text: String,
    /// What would have been right.
    pub expected: &'static str,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not {}", self.text, self.expected)
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, micros) in [
            ("250ms", 250_000),
            ("5s", 5_000_000),
            ("1m", 60_000_000),
            ("7us", 7),
            ("0", 0),
            ("2h", 7_200_000_000),
        ] {
            assert_eq!(duration(text).unwrap(), Duration::from_micros(micros), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1.5s", "5 s", "5S", "99999999999999999999s", "9000000h"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, octets) in
            [("0", 0), ("512", 512), ("64K", 65_536), ("16M", 16 << 20), ("1G", 1 << 30)]
        {
            assert_eq!(size(text).unwrap(), octets, "{text}");
        }
        for text in ["", "K", "1KB", "-1", "18446744073709551615K"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn octets_in_hexadecimal() {
        assert_eq!(hex("0d0A").unwrap(), [13, 10]);
        assert_eq!(hex("0d:0a-ff 00").unwrap(), [13, 10, 255, 0]);
        assert_eq!(hex("").unwrap(), []);
        for text in ["0", "0g", "é0", "0x00"] {
            assert!(hex(text).is_err(), "{text}");
        }
    }
}
