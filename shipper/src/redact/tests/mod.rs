//! Redaction of command lines, a row each.
//!
//! In a row, arguments are separated by ` · `, what must be removed stands between `«` and `»`, and `~` is
//! left out: it keeps made-up tokens from being taken for real ones by those who scan sources for them.

mod found;
mod ordinary;

use std::sync::Arc;

use super::*;
use crate::event::{Event, testing};

fn redactor() -> Redactor {
    Redactor::new(Vec::new(), None)
}

fn with_own(name: &str, regex: &str) -> Redactor {
    Redactor::new(vec![OwnPattern::new(name, regex).expect("a pattern")], None)
}

fn split(line: &str) -> Vec<String> {
    line.split(" · ").map(str::to_owned).collect()
}

fn list(line: &str) -> Args {
    let list: Vec<Bytes> = split(line).iter().map(|arg| arg.as_bytes().into()).collect();
    let count = u32::try_from(list.len()).expect("a few");
    let bytes_total = list.iter().map(|arg| arg.len() as u64 + 1).sum();
    Args { list, count, bytes_total, ..Args::default() }
}

/// The row as it is executed.
fn plain(row: &str) -> String {
    row.replace(['«', '»', '~'], "")
}

/// The row as it should become.
fn expected(row: &str, kind: &str) -> String {
    let mut shown = String::new();
    let row = row.replace('~', "");
    let mut rest = row.as_str();
    while let Some((before, behind)) = rest.split_once('«') {
        let (_, after) = behind.split_once('»').expect("a row closes what it opens");
        shown += before;
        shown += &format!("[redacted:{kind}]");
        rest = after;
    }
    shown + rest
}

fn shown(args: &Args) -> String {
    let list: Vec<_> = args.list.iter().map(|arg| String::from_utf8_lossy(arg)).collect();
    list.join(" · ")
}

/// The line after redaction, and the kinds.
fn redact(redactor: &Redactor, args: &Args) -> (String, Vec<String>) {
    let redacted = redactor.args(args);
    let args = redacted.as_ref().unwrap_or(args);
    (shown(args), args.redacted.iter().map(|kind| kind.to_string()).collect())
}

#[test]
fn every_name_of_a_secret_is_found_in_every_form() {
    let redactor = redactor();
    // A word within is set off as well: `api_key`.
    let spelled = |name: &str| {
        let mut all = vec![name.to_owned()];
        if let Some(before) = name.strip_suffix("key") {
            all.extend(["-", "_", ".", "__"].map(|between| format!("{before}{between}key")));
        }
        all
    };
    let names = names::ENDINGS.iter().chain(&names::LAST_PARTS).flat_map(|name| spelled(name));
    for name in names.flat_map(|name| {
        let prefixed = ["-", "_", "."].map(|between| format!("db{between}{name}"));
        [vec![name.to_uppercase(), name], prefixed.into()].concat()
    }) {
        for line in [
            format!("x · --{name} · «S» · y"),
            format!("x · --{name}=«S» · y"),
            format!("x · {name}=«S»"),
            format!("x · {{\"{name}\":\"«S»\"}}"),
            format!("x · {{\"{name}\": \"«S»\", \"y\": 1}}"),
            format!("x · {{'{name}':'«S»'}}"),
            format!("sh · -c · x \"{{\\\"{name}\\\":\\\"«S»\\\"}}\""),
        ] {
            let (shown, kinds) = redact(&redactor, &list(&plain(&line)));
            let kind = kinds.first().map_or("", String::as_str);
            assert_eq!(shown, expected(&line, kind));
            assert!(kind.starts_with("password_"), "{line}: {kind}");
        }
    }
}

#[test]
fn counts_and_lengths_tell_what_there_was() {
    let args =
        Args { truncated: true, count: 9, bytes_total: 4711, ..list("x · --password=hunter2") };
    let redacted = redactor().args(&args).expect("a secret");
    assert_eq!((redacted.count, redacted.bytes_total), (9, 4711));
    assert!(redacted.truncated && !redacted.faulted);
}

#[test]
fn several_kinds_in_one_line_are_all_told_in_alphabetical_order() {
    let line =
        "curl · -u · me:one · -H · PRIVATE-TOKEN: two · https://h/?sig=three · --pass · four";
    let (shown, kinds) = redact(&redactor(), &list(line));
    assert_eq!(kinds, ["authorization_header", "password_option", "url_token"]);
    for secret in ["one", "two", "three", "four"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn where_two_kinds_meet_the_more_telling_one_is_named_and_all_of_both_is_removed() {
    let line = format!("x · --token={}{}.rest · y", "ghp_", "A".repeat(36));
    let (shown, kinds) = redact(&redactor(), &list(&line));
    assert_eq!(shown, "x · --token=[redacted:github_token] · y");
    assert_eq!(kinds, ["github_token"]);
}

#[test]
fn environment_variables_are_redacted_by_name_and_by_shape() {
    let Event::Exec(mut exec) = testing::exec() else { unreachable!("an execution") };
    let jwt = format!("JWT={}.{}.c2ln", "eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiIxIn0");
    exec.process.env.list =
        ["DB_PASSWORD=hunter2", &jwt, "LD_PRELOAD=x"].map(|text| text.as_bytes().into()).into();
    redactor().exec(&mut exec);
    let shown: Vec<_> = exec.process.env.list.iter().map(|v| String::from_utf8_lossy(v)).collect();
    assert_eq!(
        shown,
        ["DB_PASSWORD=[redacted:password_field]", "JWT=[redacted:jwt]", "LD_PRELOAD=x"]
    );
    let kinds: Vec<Arc<str>> = vec!["jwt".into(), "password_field".into()];
    assert_eq!(exec.process.env.redacted, kinds);
    assert!(exec.process.args.redacted.is_empty());
}

#[test]
fn equal_secrets_have_equal_hashes_in_any_option_and_others_have_not() {
    let key = HashKey::new(b"0123456789abcdef").expect("long enough");
    let redactor = Redactor::new(Vec::new(), Some(key));
    let hash = |line: &str| {
        let (shown, _) = redact(&redactor, &list(line));
        let (_, hash) = shown.trim_end_matches(']').rsplit_once(':').expect("a hash");
        assert_eq!(hash.len(), 16, "{shown}");
        hash.to_owned()
    };
    let first = hash("x · --password · hunter2");
    assert_eq!(first, hash("mysql · -phunter2"));
    assert_eq!(first, hash("PGPASSWORD=hunter2"));
    assert_ne!(first, hash("x · --password · hunter3"));
}

#[test]
fn what_is_not_utf8_is_redacted_and_otherwise_kept_byte_by_byte() {
    let bytes = [&b"\xff\xfe"[..], b"--password=\xffhunter2\xfe", b"\x80 --token x\xff \x81"];
    let args = Args { list: bytes.map(Bytes::from).into(), ..Args::default() };
    let redacted = redactor().args(&args).expect("secrets");
    let expected = [
        &b"\xff\xfe"[..],
        b"--password=[redacted:password_option]",
        b"\x80 --token [redacted:password_option] \x81",
    ];
    assert_eq!(redacted.list, expected.map(Bytes::from));
}

#[test]
fn a_list_of_nothing_but_secrets_grows_by_a_bounded_number_of_bytes() {
    let line = vec!["-px"; 20_000].join(" · ");
    let args = list(&format!("mysql · {line}"));
    let redacted = redactor().args(&args).expect("secrets");
    let bytes = |args: &Args| args.list.iter().map(|arg| arg.len()).sum::<usize>();
    assert!(bytes(&redacted) < bytes(&args) + MARKS_MAX * 64);
    assert_eq!(redacted.list.len(), args.list.len());
    assert!(redacted.list[1..].iter().all(|arg| **arg != *b"-px"));
    assert_eq!(*redacted.list[MARKS_MAX], *b"-p[redacted:mysql_password]");
    assert_eq!(*redacted.list[MARKS_MAX + 1], *b"-p*");
}

#[test]
fn own_patterns_remove_their_match_or_their_group() {
    let cases = [
        (r"tkt-[0-9]{4}", "x · a tkt-1234 b · tkt-99", "x · a [redacted:own_kind] b · tkt-99"),
        (
            r"--ticket (?<secret>\S+)",
            "x · --ticket · 42 · y",
            "x · --ticket · [redacted:own_kind] · y",
        ),
        // It does not take part: nothing is the secret.
        (r"a|b(?<secret>c)", "a · bc", "a · b[redacted:own_kind]"),
        // Over the end of an argument: each part has its mark.
        (
            r"begin .* end",
            "begin · x · end",
            "[redacted:own_kind] · [redacted:own_kind] · [redacted:own_kind]",
        ),
        (r"caf\xe9|é", "x · é", "x · [redacted:own_kind]"),
    ];
    for (regex, line, expected) in cases {
        let (shown, kinds) = redact(&with_own("own_kind", regex), &list(line));
        assert_eq!(shown, expected, "{regex}");
        assert_eq!(kinds, ["own_kind"], "{regex}");
    }
}

#[test]
fn of_a_line_with_very_many_matches_of_a_shape_the_rest_is_removed() {
    let line = vec!["https://a:b@c/"; 300].join(" · ");
    let (shown, _) = redact(&redactor(), &list(&line));
    let args: Vec<&str> = shown.split(" · ").collect();
    assert_eq!(args[255], "https://a:[redacted:url_userinfo]@c/");
    assert_eq!((args[256], args[299]), ("https://a:*", "*"));
}

#[test]
fn of_a_line_with_very_many_matches_of_an_own_pattern_the_rest_is_removed() {
    let line = vec!["a1b"; 100].join(" · ");
    let (shown, _) = redact(&with_own("digit", "[0-9]"), &list(&line));
    let args: Vec<&str> = shown.split(" · ").collect();
    assert_eq!((args[0], args[63]), ("a[redacted:digit]b", "a[redacted:digit]b"));
    assert_eq!((args[64], args[99]), ("a[redacted:digit]", "[redacted:digit]"));
}

#[test]
fn an_own_pattern_names_what_a_built_in_one_finds_too() {
    let (shown, kinds) = redact(&with_own("pin", "[0-9]{4}"), &list("x · --password=1234"));
    assert_eq!((shown.as_str(), kinds), ("x · --password=[redacted:pin]", vec!["pin".to_owned()]));
}

#[test]
fn a_pattern_that_is_none_is_refused_in_one_line() {
    let cases = [
        ("(a", "is no regular expression that shipper knows: unclosed group"),
        (r"\p{Greek}", "is no regular expression that shipper knows: Unicode not allowed here"),
        (
            r"(\w{1000}){1000}",
            "is too large: compiled it takes more than 1 MiB; use fewer or smaller repetitions",
        ),
        ("x*", "would match where there is nothing; let it need at least one character"),
    ];
    for (regex, expected) in cases {
        let error = OwnPattern::new("x", regex).map(|_| ()).expect_err("refused");
        assert_eq!(error.to_string(), expected, "{regex}");
    }
}

#[test]
fn only_words_can_be_names_of_kinds() {
    assert!(is_kind_name("ticket_2") && is_kind_name(&"x".repeat(32)));
    for name in ["", "A", "a-b", "a]", "é", &"x".repeat(33)] {
        assert!(!is_kind_name(name), "{name}");
    }
}
