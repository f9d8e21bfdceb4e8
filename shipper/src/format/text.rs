//! Pieces every JSON format shares: bytes as text, times, hexadecimal ids.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

use crate::event::{Id, WallTime};

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

/// Bytes as base64 (RFC 4648, with padding).
#[derive(Clone, Copy)]
pub struct Exact<'a>(pub &'a [u8]);

impl Serialize for Exact<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

/// The bytes, if they need [`Exact`] beside their text.
#[must_use]
pub fn exact(bytes: &[u8]) -> Option<Exact<'_>> {
    std::str::from_utf8(bytes).is_err().then_some(Exact(bytes))
}

/// Anything as the string of its `Display`: ids and numbers that ECS has as keyword.
#[derive(Clone, Copy)]
pub struct Shown<T>(pub T);

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
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

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::fmt::Display for WallTime {
    /// RFC 3339 in UTC, always with nine digits of the second.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(time) => write!(f, "{time:.9}"),
            // Beyond the year 9999: a clock that is set to nonsense still gives a valid date.
            Err(_) => write!(f, "{:.9}", jiff::Timestamp::MAX),
        }
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_nine_digits_and_end_in_z() {
        assert_eq!(WallTime(0).to_string(), "1970-01-01T00:00:00.000000000Z");
        let time = WallTime(1_795_515_300_120_000_000);
        assert_eq!(time.to_string(), "2026-11-24T10:15:00.120000000Z");
        assert!(WallTime(u64::MAX).to_string().ends_with('Z'));
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
