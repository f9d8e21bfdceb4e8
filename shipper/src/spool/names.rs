//! Names of the files in a spool.

/// A segment, by the number of its first record.
pub(super) fn segment(first: u64) -> String {
    format!("{first:020}.seg")
}

/// A segment while it is made.
pub(super) fn temporary_segment(first: u64) -> String {
    format!("{first:020}.tmp")
}

/// The first number of a segment of this name.
pub(super) fn parse_segment(name: &str) -> Option<u64> {
    number(name.strip_suffix(".seg")?)
}

/// Whether a file was being made when the daemon ended.
pub(super) fn is_temporary(name: &str) -> bool {
    name.ends_with(".tmp")
}

/// The bytes kept of records that could not be read.
pub(super) fn mark(first: u64, last: u64) -> String {
    format!("{first:020}-{last:020}.bin")
}

/// First and last number of such a file.
pub(super) fn parse_mark(name: &str) -> Option<(u64, u64)> {
    let (first, last) = name.strip_suffix(".bin")?.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// The cursor of a sink.
pub(super) fn cursor(sink: &str) -> String {
    format!("{sink}.cursor")
}

/// The sink of a cursor of this name.
pub(super) fn parse_cursor(name: &str) -> Option<&str> {
    name.strip_suffix(".cursor").filter(|sink| is_sink(sink))
}

/// Whether a sink's name can be a file's name, and be stored with a length of one byte.
pub(super) fn is_sink(name: &str) -> bool {
    (1..=200).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn number(digits: &str) -> Option<u64> {
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?.filter(|&number| number > 0)
}
