//! Moments as people name them on a command line.

use std::str::FromStr;

use anyhow::bail;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::config::units::Span;

/// How a moment may be written, for help and errors.
pub const FORMS: &str = "`2026-11-24T08:00:00Z`, `2026-11-24 08:00` (local time), `2026-11-24`, or `2h` for so long ago";

/// Nanoseconds of wall time since 1970.
pub fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> anyhow::Result<u64> {
    let moment = if let Ok(moment) = Timestamp::from_str(text) {
        Some(moment)
    } else if let Ok(ago) = text.parse::<Span>() {
        now.checked_sub(ago.0).ok()
    } else if let Ok(local) = DateTime::from_str(text) {
        // A time that a change of the clock skipped or repeated: the earlier reading.
        zone.to_ambiguous_timestamp(local).earlier().ok()
    } else {
        None
    };
    match moment.map(|moment| u64::try_from(moment.as_nanosecond())) {
        Some(Ok(unix_ns)) => Ok(unix_ns),
        Some(Err(_)) => bail!("`{text}` is not between 1970 and 2554"),
        None => bail!("`{text}` is no time; write {FORMS}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_in_every_form_that_the_help_names() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().expect("a time");
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let cases = [
            ("2026-11-24T08:00:00Z", Some("2026-11-24T08:00:00Z")),
            ("2026-11-24T08:00:00.5+02:00", Some("2026-11-24T06:00:00.5Z")),
            ("2026-11-24 08:00", Some("2026-11-24T07:00:00Z")),
            ("2026-11-24T08:00:07", Some("2026-11-24T07:00:07Z")),
            ("2026-11-24", Some("2026-11-23T23:00:00Z")),
            ("2h", Some("2026-11-24T10:00:00Z")),
            ("1d 1h", Some("2026-11-23T11:00:00Z")),
            ("0s", Some("2026-11-24T12:00:00Z")),
            ("yesterday", None),
            ("1969-12-31T23:59:59Z", None),
            ("", None),
            ("8:00", None),
            ("10000w", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|time| {
                let moment: Timestamp = time.parse().expect("a time");
                u64::try_from(moment.as_nanosecond()).expect("after 1970")
            });
            assert_eq!(parse(text, now, &zone).ok(), expected, "{text:?}");
        }
    }
}
