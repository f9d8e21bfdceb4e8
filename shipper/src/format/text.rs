//! Pieces every JSON format shares: bytes as text, command lines, times, hexadecimal ids. None of them
//! allocates unless bytes are not UTF-8.

use std::fmt::Write as _;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

use crate::event::{Bytes, ExecutedFile, Id, WallTime};

/// Bytes as JSON text. What is not UTF-8 becomes U+FFFD; the exact bytes go beside it as [`Exact`].
#[derive(Clone, Copy)]
pub struct Text<'a>(pub &'a [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.serialize_str(&String::from_utf8_lossy(self.0)),
        }
    }
}

/// The text of these bytes, unless there are none.
#[must_use]
pub fn some(bytes: &[u8]) -> Option<Text<'_>> {
    (!bytes.is_empty()).then_some(Text(bytes))
}

/// A list of them.
#[derive(Clone, Copy)]
pub struct Texts<'a>(pub &'a [Bytes]);

impl Texts<'_> {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|bytes| Text(bytes)))
    }
}

/// The arguments joined by single spaces, as the rules of SIEMs expect it; the list of them is exact.
#[derive(Clone, Copy)]
pub struct CommandLine<'a>(pub &'a [Bytes]);

impl std::fmt::Display for CommandLine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, arg) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_char(' ')?;
            }
            for chunk in arg.utf8_chunks() {
                f.write_str(chunk.valid())?;
                if !chunk.invalid().is_empty() {
                    f.write_char(char::REPLACEMENT_CHARACTER)?;
                }
            }
        }
        Ok(())
    }
}

impl Serialize for CommandLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Bytes as base64 (RFC 4648, with padding).
#[derive(Clone, Copy)]
pub struct Exact<'a>(pub &'a [u8]);

impl Serialize for Exact<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

/// The bytes, if they need [`Exact`] beside their text.
#[must_use]
pub fn exact(bytes: &[u8]) -> Option<Exact<'_>> {
    std::str::from_utf8(bytes).is_err().then_some(Exact(bytes))
}

/// A list in base64.
#[derive(Clone, Copy)]
pub struct Exacts<'a>(&'a [Bytes]);

impl Serialize for Exacts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|bytes| Exact(bytes)))
    }
}

/// All of a list in base64, when one of it is not UTF-8.
#[must_use]
pub fn exact_list(list: &[Bytes]) -> Option<Exacts<'_>> {
    list.iter().any(|bytes| exact(bytes).is_some()).then_some(Exacts(list))
}

/// `major:minor`.
#[derive(Clone, Copy)]
pub struct Device(pub (u32, u32));

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (major, minor) = self.0;
        serializer.collect_str(&format_args!("{major}:{minor}"))
    }
}

/// A SHA-256 as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy)]
pub struct Sha256<'a>(&'a [u8; 32]);

impl Sha256<'_> {
    /// Of a file, if its hash is known.
    #[must_use]
    pub fn of(file: &ExecutedFile) -> Option<Sha256<'_>> {
        file.hash.as_ref()?.sha256().map(Sha256)
    }
}

impl Serialize for Sha256<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [first, second] =
            std::array::from_fn(|half| Id(std::array::from_fn(|at| self.0[16 * half + at])).hex());
        let mut hex = [0; 64];
        hex[..32].copy_from_slice(&first);
        hex[32..].copy_from_slice(&second);
        serializer.serialize_str(ascii(&hex))
    }
}

/// A number as a string: ids and numbers that ECS has as keyword.
#[derive(Clone, Copy)]
pub struct Shown<T>(pub T);

impl<T: itoa::Integer + Copy> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(itoa::Buffer::new().format(self.0))
    }
}

/// A count or size as `long`, which is signed in every index: what is beyond it becomes its largest
/// value, where the number itself would have the whole event refused.
#[derive(Clone, Copy)]
pub struct Long(pub u64);

impl Serialize for Long {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(i64::try_from(self.0).unwrap_or(i64::MAX))
    }
}

/// A moment in milliseconds since the epoch.
#[derive(Clone, Copy)]
pub struct Millis(pub WallTime);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.0 / 1_000_000)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(ascii(&self.hex()))
    }
}

impl std::fmt::Display for WallTime {
    /// RFC 3339 in UTC, always with nine digits of the second.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(ascii(&rfc3339(*self)))
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(ascii(&rfc3339(*self)))
    }
}

/// An event shows some ten of them, and a library's general formatting was a tenth of its encoding.
/// 64 bits of nanoseconds end in the year 2554, so that a year always has four digits.
fn rfc3339(time: WallTime) -> [u8; 30] {
    let mut out = *b"0000-00-00T00:00:00.000000000Z";
    let (seconds, nanoseconds) = (time.0 / 1_000_000_000, time.0 % 1_000_000_000);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let parts = [
        (0..4, year),
        (5..7, month),
        (8..10, day),
        (11..13, of_day / 3600),
        (14..16, of_day / 60 % 60),
        (17..19, of_day % 60),
        (20..29, nanoseconds),
    ];
    for (place, mut number) in parts {
        for digit in out[place].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }
    out
}

/// Year, month and day of the Gregorian calendar, so many days after 1970-01-01. Years are counted
/// from March on, so that the leap day is their last.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    // Day 0 is 0000-03-01.
    let days = days + 719_468;
    let (era, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let of_month = day - (153 * month + 2) / 5 + 1;
    let year = year + 400 * era + u64::from(month >= 10);
    (year, if month < 10 { month + 3 } else { month - 9 }, of_month)
}

/// Digits and signs, as text.
#[must_use]
pub fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_nine_digits_and_end_in_z() {
        assert_eq!(WallTime(0).to_string(), "1970-01-01T00:00:00.000000000Z");
        let time = WallTime(1_795_515_300_120_000_000);
        assert_eq!(time.to_string(), "2026-11-24T10:15:00.120000000Z");
        assert_eq!(WallTime(u64::MAX).to_string(), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn times_are_those_of_a_calendar_library_on_every_day() {
        let day = 86_400_000_000_000;
        for days in 0..u64::MAX / day {
            let time = WallTime(days * day + days * 7_919_771 % day);
            let known = jiff::Timestamp::from_nanosecond(i128::from(time.0)).expect("in range");
            assert_eq!(time.to_string(), format!("{known:.9}"));
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_carried_twice() {
        let json = |value: &dyn erased::Json| value.json();
        assert_eq!(json(&Text(b"a\"\n\x1b")), r#""a\"\n\u001b""#);
        assert_eq!(json(&Text(b"a\xff")), "\"a\u{fffd}\"");
        assert!(exact("gr\u{fc}n".as_bytes()).is_none());
        assert_eq!(exact(b"a\xff").map(|exact| json(&exact)).as_deref(), Some("\"Yf8=\""));
    }

    mod erased {
        pub trait Json {
            fn json(&self) -> String;
        }
        impl<T: serde::Serialize> Json for T {
            fn json(&self) -> String {
                serde_json::to_string(self).expect("serializes")
            }
        }
    }
}
