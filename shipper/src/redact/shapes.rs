//! Secrets by their shape, wherever they stand: tokens with a prefix, passwords in URLs, headers. The bytes are arguments joined by NUL.
//!
//! Prefixes and lengths are those that the services document for scanners of secrets. Lengths are lower
//! bounds well below the real ones, so that a token which was cut is found as well.

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};

use super::names::{is_harmless, is_secret};
use super::words::is_reference;
use super::{Found, Kind};

/// What must be in an argument, whatever its case, for any shape to be found.
pub(super) const HINTS: &[&str] = &[
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "glrt-",
    "glcbt-",
    "glptt-",
    "glft-",
    "glsoat-",
    "glagent-",
    "glimt-",
    "xox",
    "xapp-",
    "hooks.slack.com",
    "akia",
    "asia",
    "secret",
    "aiza",
    "ya29.",
    "gocspx-",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "rk_test_",
    "whsec_",
    "npm_",
    "pypi-",
    "sk-",
    "sg.",
    "hvs.",
    "dop_v1_",
    "hf_",
    "dckr_",
    "age-secret-key-1",
    "eyj",
    "auth",
    "bearer",
    "session",
    "cookie",
    "://",
    "sig=",
    "signature=",
    "key:",
    "identified",
    // Names of secrets have their hints in `command`.
];

/// Most places that one shape with a group finds in a line: telling where a group is takes a hundred
/// times as long as passing over a byte, and whoever executes chooses how many there are.
const MATCHES_MAX: usize = 256;

/// How far before a reference of a shell a blank is looked for.
const SCRIPT_BYTES_MAX: usize = 256;

/// A regular expression. Its group `secret`, else the whole, is the secret.
#[derive(Debug)]
pub(super) struct Shape {
    kind: Kind,
    regex: Regex,
    /// Only where the end of the arguments is missing.
    pub only_cut: bool,
}

/// The name of a header with a secret, and what stands before the secret.
macro_rules! header {
    () => {
        r"(?:(?:proxy-)?authorization|x-[a-z-]*(?:key|token|secret|auth|session)[a-z-]*|private-token|job-token|deploy-token|(?:[a-z0-9]+-)*api-?key|(?:set-)?cookie)\s*:\s*(?:(?:bearer|basic|token|digest|negotiate|apikey|splunk|bot)\s+)?"
    };
}

/// Kind, and what it looks like. A first group `name` must be the name of a secret.
const ROWS: &[(Kind, &str)] = &[
    (Kind::GithubToken, r"\b(?:gh[pousr]_[A-Za-z0-9]{6,}|github_pat_\w{6,})"),
    (Kind::GitlabToken, r"\bgl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt)-[\w.-]{8,}"),
    (Kind::SlackToken, r"\b(?:xox[abcdeoprs]|xapp)-[A-Za-z0-9.%-]{6,}"),
    (Kind::SlackToken, r"hooks\.slack\.com/(?:services|workflows|triggers)/(?<secret>[\w/-]+)"),
    (Kind::AwsKey, r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    // The secret key has no prefix, so only with its name.
    (
        Kind::AwsKey,
        r#"(?i)secret_?(?:access_?)?key["']?(?:\s*[:=]\s*|[\s\x00]+)["']?(?<secret>[A-Za-z0-9/+]{16,})"#,
    ),
    (Kind::GoogleKey, r"\b(?:AIza[\w-]{35}|ya29\.[\w.-]{16,}|GOCSPX-[\w-]{8,})"),
    (Kind::StripeKey, r"\b(?:[sr]k_(?:live|test)_[A-Za-z0-9]{8,}|whsec_[A-Za-z0-9+/=]{16,})"),
    (
        Kind::ApiKey,
        r"\b(?:npm_[A-Za-z0-9]{30,}|pypi-[\w-]{50,}|sk-(?:proj|ant|svcacct|admin|or)-[\w-]{16,}|sk-[A-Za-z0-9]{32,}|SG\.[\w-]{16,}\.[\w-]{16,}|hvs\.[\w-]{20,}|dop_v1_[a-f0-9]{16,}|hf_[A-Za-z0-9]{30,}|dckr_(?:pat|oat)_[\w-]{8,}|AGE-SECRET-KEY-1[A-Z0-9]{8,})",
    ),
    // Header and payload, both JSON; the signature may be cut off.
    (Kind::Jwt, r"\beyJ[\w-]{8,}\.eyJ[\w-]{4,}(?:\.[\w-]*)?"),
    // A header that is an argument, with all that is in it.
    (
        Kind::AuthorizationHeader,
        concat!(r"(?i)(?:^|\x00)(?:-H|--header=)?", header!(), r"(?<secret>[^\x00\r\n]+)"),
    ),
    // One in quotes in a script.
    (
        Kind::AuthorizationHeader,
        concat!(r"(?i)'(?:-H|--header=)?", header!(), r"(?<secret>[^'\x00\r\n]+)"),
    ),
    (
        Kind::AuthorizationHeader,
        concat!(
            r#"(?i)(?:^|[^\\])"(?:-H|--header=)?"#,
            header!(),
            r#"(?<secret>(?:[^"\\\x00\r\n]|\\[^\x00\r\n])+)"#
        ),
    ),
    (
        Kind::AuthorizationHeader,
        concat!(
            r#"(?i)\\"(?:-H|--header=)?"#,
            header!(),
            r#"(?<secret>(?:[^"\\\x00\r\n]|\\[^"\x00\r\n])+)"#
        ),
    ),
    // And without.
    (
        Kind::AuthorizationHeader,
        concat!(
            r"(?i)\s(?:(?:-H\s*|--header[\s=]\s*)",
            header!(),
            r"|x-[a-z-]*(?:key|token|secret|auth|session)[a-z-]*:)",
            r#"(?<secret>(?:"[^"\x00]*"|'[^'\x00]*'|\\[^\x00]|[^\s\x00"'\\;|&<>()`])+)"#
        ),
    ),
    // Elsewhere it ends at a blank.
    (
        Kind::AuthorizationHeader,
        r#"(?i)\bauthorization\\?["']?\s*[:=]\s*\\?["']?(?:(?:bearer|basic|token|digest|negotiate|apikey|splunk|bot)\s+)?(?<secret>[^\s\x00"'\\]+)"#,
    ),
    (Kind::AuthorizationHeader, r"(?i)\bbearer[\x00\s]+(?<secret>[\w.~+/=-]{20,})"),
    (Kind::UrlUserinfo, r#"[A-Za-z][\w+.-]*://[^\s\x00"'/?#@:\[]*:(?<secret>[^\s\x00"'/?#]+)@"#),
    // With a `/`, `?` or `#` in it, which should not be there: then it is no port.
    (
        Kind::UrlUserinfo,
        r#"[A-Za-z][\w+.-]*://[^\s\x00"'/?#@:\[]*:(?<secret>[0-9]*[^\s\x00"'/?#@0-9][^\s\x00"'@]*)@"#,
    ),
    (
        Kind::UrlToken,
        r#"(?i)[?&#](?:(?:[a-z]+[_-])*(?:token|secret|password|passwd|pwd|api[_-]?key|auth)|sig|(?:x-(?:amz|goog)-)?signature|x-amz-security-token)=(?<secret>[^\s\x00"'&#;]+)"#,
    ),
    (Kind::PasswordField, r#""(?<name>[\w.-]+)"\s*:\s*"(?<secret>(?:[^"\\\x00]|\\[^\x00])+)"#),
    (
        Kind::PasswordField,
        r#"\\"(?<name>[\w.-]+)\\"\s*:\s*\\"(?<secret>[^"\x00]+?)(?:\\"|\x00|\z)"#,
    ),
    (Kind::PasswordField, r#"'(?<name>[\w.-]+)'\s*:\s*'(?<secret>(?:[^'\\\x00]|\\[^\x00])+)"#),
    (
        Kind::PasswordField,
        r#"(?i)\bidentified\s+(?:with\s+\S+\s+)?(?:by|as)\s+(?:password\s+)?\\?["'](?<secret>(?:[^"'\\\x00]|\\[^"'\x00])+)"#,
    ),
];

/// The same at the end of arguments of which the rest is missing.
const CUT_ROWS: &[(Kind, &str)] = &[
    (Kind::AwsKey, r"\b(?:AKIA|ASIA)[A-Z0-9]{4,15}\z"),
    (
        Kind::AwsKey,
        r#"(?i)aws_secret_access_key["']?(?:\s*[:=]\s*|[\s\x00]+)["']?(?<secret>[A-Za-z0-9/+]{1,15})\z"#,
    ),
    (Kind::GoogleKey, r"\b(?:AIza|ya29\.|GOCSPX-)[\w.-]{4,}\z"),
    (Kind::StripeKey, r"\b(?:[sr]k_(?:live|test)|whsec)_[A-Za-z0-9]{4,}\z"),
    (Kind::GithubToken, r"\b(?:gh[pousr]_|github_pat_)\w{1,5}\z"),
    (Kind::GitlabToken, r"\bgl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt)-[\w.-]{4,}\z"),
    (Kind::SlackToken, r"\b(?:xox[abcdeoprs]|xapp)-[A-Za-z0-9.%-]{4,}\z"),
    (
        Kind::ApiKey,
        r"\b(?:npm_|hf_|pypi-|sk-(?:proj|ant|svcacct|admin|or)-|SG\.|hvs\.|dop_v1_|dckr_(?:pat|oat)_|AGE-SECRET-KEY-1)[\w.-]{4,}\z",
    ),
    (Kind::ApiKey, r"\bsk-[A-Za-z0-9]{8,31}\z"),
    (
        Kind::UrlUserinfo,
        r#"[A-Za-z][\w+.-]*://[^\s\x00"'/?#@:\[]*:(?<secret>[0-9]*[^\s\x00"'/?#@0-9][^\s\x00"'@]*)\z"#,
    ),
];

/// A regular expression of ours, on bytes.
pub(super) fn compile(regex: &str) -> Regex {
    RegexBuilder::new(regex).unicode(false).build().expect("a test builds it")
}

/// All shapes.
pub(super) fn all() -> Vec<Shape> {
    let shape = |only_cut| {
        move |(kind, regex): &(Kind, &str)| Shape { kind: *kind, regex: compile(regex), only_cut }
    };
    ROWS.iter().map(shape(false)).chain(CUT_ROWS.iter().map(shape(true))).collect()
}

impl Shape {
    /// Adds every place in the joined arguments. Of a line with more than [`MATCHES_MAX`], all that
    /// follows these.
    pub(super) fn find(&self, joined: &[u8], found: &mut Vec<Found>) {
        if self.regex.captures_len() == 1 {
            let whole =
                |found: regex::bytes::Match<'_>| Found { at: found.range(), kind: self.kind };
            return found.extend(self.regex.find_iter(joined).map(whole));
        }
        for (count, captures) in self.regex.captures_iter(joined).enumerate() {
            let Some(secret) = captures.name("secret") else { continue };
            let whole = captures.get_match().start();
            let start = whole + usize::from(joined[whole] == 0);
            if count == MATCHES_MAX {
                found.push(Found { at: secret.start()..joined.len(), kind: self.kind });
                return;
            }
            let is_named = captures.name("name").is_none_or(|name| {
                is_secret(name.as_bytes()) && !is_harmless(name.as_bytes(), secret.as_bytes())
            });
            if is_named && !self.is_expanded(joined, start, secret.range()) {
                found.push(Found { at: secret.range(), kind: self.kind });
            }
        }
    }

    /// Whether a shell puts something in its place: in a script, which has a blank before or where the match
    /// begins. A field in JSON may stand there without any shell, but not where its quotes are escaped.
    fn is_expanded(&self, joined: &[u8], start: usize, secret: Range<usize>) -> bool {
        let before = &joined[start.saturating_sub(SCRIPT_BYTES_MAX)..=start];
        let argument = before.rsplit(|byte| *byte == 0).next().unwrap_or_default();
        is_reference(joined, secret.clone())
            && argument.iter().any(u8::is_ascii_whitespace)
            && (self.kind != Kind::PasswordField || joined[..secret.start].ends_with(b"\\\""))
    }
}
