//! Values with a unit as they are written in the configuration: sizes (`64KiB`) and lengths of time
//! (`24h`). What is accepted here is what the JSON Schema's pattern tells an editor.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error as _, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Value of `format` in the schema by which the check knows a size.
pub const BYTE_SIZE_FORMAT: &str = "byte-size";

/// Value of `format` in the schema by which the check knows a length of time.
pub const SPAN_FORMAT: &str = "time-span";

/// Value of `format` in the schema by which the check knows an amount of free space.
pub const FREE_SPACE_FORMAT: &str = "free-space";

/// What an amount of free space must look like, in words for messages.
pub const FREE_SPACE_EXPECTED: &str = "a whole percentage up to `90%` or a size such as `64KiB`";

/// Largest percentage that may be kept free: beyond, a spool would hardly ever be written.
const FREE_PERCENT_MAX: u8 = 90;

/// What a size must look like, in words for messages.
pub const BYTE_SIZE_EXPECTED: &str = "a size such as `64KiB` or a whole number of bytes";

/// What a length of time must look like, in words for messages.
pub const SPAN_EXPECTED: &str = "a length of time such as `500ms`, `20s`, `24h` or `30d`";

/// Longest text taken for a length of time. It leaves room for `365d 23h 59m 59s`; humantime
/// panics when a carry overflows 64 bits of seconds, which takes a longer text than this.
const SPAN_TEXT_BYTES_MAX: usize = 16;

/// A number of bytes: `4096`, `64KiB`, `100MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A length of time: `500ms`, `20s`, `24h`, `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// Free space on a file system: `5%`, `10GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreeSpace {
    /// So many bytes.
    Bytes(u64),
    /// So much of the whole, 0 to 90.
    Percent(u8),
}

/// The text is not a value of the kind asked for. Whoever shows it knows which kind that was.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a number with a known unit")]
pub struct UnitError;

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        // A sign, which u64 would take, or more than kilo to tera is not in the schema's pattern.
        let known = |c: char| c.is_ascii_digit() || ". kKmMgGtTiIbB".contains(c);
        if !text.starts_with(|c: char| c.is_ascii_digit()) || !text.chars().all(known) {
            return Err(UnitError);
        }
        bytesize::ByteSize::from_str(text)
            .map(|size| ByteSize(size.as_u64()))
            .map_err(|_| UnitError)
    }
}

impl FromStr for FreeSpace {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let Some(percent) = text.strip_suffix('%') else {
            return text.parse::<ByteSize>().map(|size| FreeSpace::Bytes(size.0));
        };
        // Digits alone: u8 would take a sign as well.
        if !percent.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(UnitError);
        }
        let percent = percent.parse().map_err(|_| UnitError)?;
        if percent > FREE_PERCENT_MAX { Err(UnitError) } else { Ok(FreeSpace::Percent(percent)) }
    }
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        // Only the letters of ms, s, m, h, d and w: `M` would be months to humantime, and nobody
        // who writes `10M` means them.
        let known = |c: char| c.is_ascii_digit() || ". mshdw".contains(c);
        if text.len() > SPAN_TEXT_BYTES_MAX || !text.chars().all(known) {
            return Err(UnitError);
        }
        humantime::parse_duration(text).map(Span).map_err(|_| UnitError)
    }
}

/// The shortest exact form: `64KiB`, `4097`.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u32, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        match UNITS.iter().find(|(shift, _)| self.0 != 0 && self.0.trailing_zeros() >= *shift) {
            Some((shift, unit)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

/// The shortest exact form: `5%`, `64KiB`.
impl fmt::Display for FreeSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FreeSpace::Bytes(bytes) => ByteSize(*bytes).fmt(f),
            FreeSpace::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// The shortest exact form, to the millisecond: `1d`, `90s`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u128, &str); 4] =
            [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        let millis = self.0.as_millis();
        match UNITS.iter().find(|(unit, _)| millis != 0 && millis.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{}{name}", millis / unit),
            None => write!(f, "{millis}ms"),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for FreeSpace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a text with a unit, or a whole number of bytes.
struct SizeVisitor<T> {
    expected: &'static str,
    bytes: fn(u64) -> T,
}

impl<T: FromStr> Visitor<'_> for SizeVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<T, E> {
        Ok((self.bytes)(bytes))
    }

    fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<T, E> {
        let size = u64::try_from(bytes);
        size.map(self.bytes).map_err(|_| E::invalid_value(Unexpected::Signed(bytes), &self))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = SizeVisitor { expected: BYTE_SIZE_EXPECTED, bytes: ByteSize };
        deserializer.deserialize_any(visitor)
    }
}

impl<'de> Deserialize<'de> for FreeSpace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = SizeVisitor { expected: FREE_SPACE_EXPECTED, bytes: FreeSpace::Bytes };
        deserializer.deserialize_any(visitor)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::invalid_value(Unexpected::Str(&text), &SPAN_EXPECTED))
    }
}

impl JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "format": BYTE_SIZE_FORMAT,
            "pattern": r"^([0-9]+|[0-9]+(\.[0-9]+)? ?([KkMmGgTt][Ii]?[Bb]?|[Bb]))$",
            "minimum": 0,
            "examples": ["64KiB", "100MB", 4096],
        })
    }
}

impl JsonSchema for FreeSpace {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "FreeSpace".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "format": FREE_SPACE_FORMAT,
            "pattern": r"^([0-9]|[1-8][0-9]|90)%$|^([0-9]+|[0-9]+(\.[0-9]+)? ?([KkMmGgTt][Ii]?[Bb]?|[Bb]))$",
            "minimum": 0,
            "examples": ["5%", "10GiB"],
        })
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": SPAN_FORMAT,
            "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d|w)( ?[0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))*$",
            "examples": ["500ms", "20s", "24h", "30d"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_with_decimal_and_binary_units() {
        let cases = [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("64KiB", Some(64 << 10)),
            ("64k", Some(64_000)),
            ("100MB", Some(100_000_000)),
            ("1.5 GiB", Some(3 << 29)),
            ("2t", Some(2_000_000_000_000)),
            ("", None),
            ("KiB", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1PiB", None),
            ("64 elephants", None),
            ("1\u{a0}MiB", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse().ok(), bytes.map(ByteSize), "{text:?}");
        }
    }

    #[test]
    fn a_length_of_time_is_read_and_months_are_not_taken_for_minutes() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let cases = [
            ("500ms", Some(Duration::from_millis(500))),
            ("20s", seconds(20)),
            ("10m", seconds(600)),
            ("24h", seconds(86_400)),
            ("30d", seconds(30 * 86_400)),
            ("1w", seconds(7 * 86_400)),
            ("1h 30m", seconds(5_400)),
            ("1.5h", seconds(5_400)),
            ("", None),
            ("10", None),
            ("h", None),
            ("-1s", None),
            ("10M", None),
            ("1 fortnight", None),
            ("18446744073709551615s 1000ms", None),
        ];
        for (text, span) in cases {
            assert_eq!(text.parse().ok(), span.map(Span), "{text:?}");
        }
    }

    #[test]
    fn free_space_is_a_percentage_or_a_size() {
        let cases = [
            ("0%", Some(FreeSpace::Percent(0))),
            ("90%", Some(FreeSpace::Percent(90))),
            ("10GiB", Some(FreeSpace::Bytes(10 << 30))),
            ("4096", Some(FreeSpace::Bytes(4096))),
            ("91%", None),
            ("+5%", None),
            ("5 %", None),
            ("1.5%", None),
            ("%", None),
            ("999999%", None),
        ];
        for (text, space) in cases {
            assert_eq!(text.parse().ok(), space, "{text:?}");
        }
        assert_eq!(FreeSpace::Percent(5).to_string(), "5%");
        assert_eq!(FreeSpace::Bytes(1 << 30).to_string(), "1GiB");
    }

    #[test]
    fn values_are_shown_in_their_shortest_exact_form_and_read_back() {
        for (bytes, text) in
            [(0, "0"), (1, "1"), (4097, "4097"), (64 << 10, "64KiB"), (3 << 29, "1536MiB")]
        {
            assert_eq!(ByteSize(bytes).to_string(), text);
            assert_eq!(text.parse(), Ok(ByteSize(bytes)));
        }
        for (millis, text) in [(0, "0ms"), (1_500, "1500ms"), (90_000, "90s"), (86_400_000, "1d")] {
            assert_eq!(Span(Duration::from_millis(millis)).to_string(), text);
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_value_or_an_error_and_never_a_panic(text in "\\PC*", near in "[0-9. mshdwkKiB]{0,16}") {
            for text in [text, near] {
                let _ = text.parse::<ByteSize>();
                let _ = text.parse::<Span>();
                let _ = text.parse::<FreeSpace>();
            }
        }

        #[test]
        fn what_an_editor_accepts_by_the_pattern_is_accepted_here(
            size in r"([0-9]{1,12}|[0-9]{1,12}(\.[0-9]{1,3})? ?([KkMmGgTt][Ii]?[Bb]?|[Bb]))",
            span in r"[0-9]{1,4}(\.[0-9])?(s|m|h|d|w)( ?[0-9]{1,4}(ms|s|m))?",
        ) {
            proptest::prop_assert!(size.parse::<ByteSize>().is_ok(), "{}", size);
            proptest::prop_assert!(span.parse::<Span>().is_ok(), "{}", span);
        }
    }
}
