//! What the guest reports over its third serial port: the files it hands out and the exit code of
//! its script. The writers are `init.sh` and `emit_file.sh`.
//!
//! A report is a line, `file NAME BYTES` or `exit CODE`; a file's bytes follow their line as they
//! are, and a newline ends them.

use std::collections::BTreeMap;

/// All that came through, up to the end or to where the guest was cut off.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reports {
    /// The files that arrived whole, by the name the script gave them.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The script's exit code; none when the guest ended before its script did.
    pub exit_code: Option<i32>,
    /// What was wrong with the stream, when it did not end cleanly.
    pub damage: Option<String>,
}

/// Reads the stream from its beginning; stops at the first report that is not whole.
pub(super) fn read(stream: &[u8]) -> Reports {
    let mut reports = Reports::default();
    let mut rest = stream;
    while !rest.is_empty() {
        match next(rest, &mut reports) {
            Ok(after) => rest = after,
            Err(damage) => {
                reports.damage = Some(damage);
                break;
            }
        }
    }
    reports
}

/// Takes one report off the stream and returns what follows it.
fn next<'a>(stream: &'a [u8], reports: &mut Reports) -> Result<&'a [u8], String> {
    let end = stream.iter().position(|&byte| byte == b'\n').ok_or("a report's line is cut off")?;
    let line = String::from_utf8_lossy(&stream[..end]);
    let rest = &stream[end + 1..];
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["exit", code] => {
            let code = code.parse().map_err(|_| format!("no number: {line:?}"))?;
            reports.exit_code = Some(code);
            Ok(rest)
        }
        ["file", name, bytes] => {
            let bytes: usize = bytes.parse().map_err(|_| format!("no number: {line:?}"))?;
            if rest.len() <= bytes {
                return Err(format!("the file {name} is cut off: {} of {bytes} bytes", rest.len()));
            }
            if rest[bytes] != b'\n' {
                return Err(format!("the file {name} does not end after {bytes} bytes"));
            }
            reports.files.insert(name.to_owned(), rest[..bytes].to_vec());
            Ok(&rest[bytes + 1..])
        }
        _ => Err(format!("not a report: {line:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_hold_anything_even_what_looks_like_a_report() {
        let reports = read(b"file a.bin 9\nexit 7\n\0\n\nfile empty 0\n\nexit 3\n");
        assert_eq!(reports.damage, None);
        assert_eq!(reports.files["a.bin"], b"exit 7\n\0\n");
        assert_eq!(reports.files["empty"], b"");
        assert_eq!(reports.exit_code, Some(3));
    }

    #[test]
    fn what_is_cut_off_is_said_and_what_came_before_it_is_kept() {
        for cut in [&b"file b 3\nxy"[..], b"file b 3\nxyz", b"file b", b"what\n"] {
            let stream = [&b"file a 1\nA\n"[..], cut].concat();
            let reports = read(&stream);
            assert!(reports.damage.is_some(), "{cut:?}");
            assert_eq!(reports.files.len(), 1, "{cut:?}");
            assert_eq!(reports.exit_code, None);
        }
    }
}
