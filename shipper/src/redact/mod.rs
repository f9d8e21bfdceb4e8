//! Takes secrets out of arguments and environment variables, before anything of an event is stored.
//!
//! An ordinary command line costs one search for words such as `pass` or `://` (`Hints`). Where one is
//! found, the arguments are looked at in two ways: as what a shell would make of them (`command`: options,
//! variables, the options of known programs), and as bytes in which something has the shape of a secret
//! (`shapes`, `pem`). What is found is replaced by a mark (`mark`). Counts and lengths of the arguments go on to
//! tell what there was.
//!
//! What it cannot find is said in ARCHITECTURE.md.

mod command;
mod mark;
mod names;
mod own;
mod pem;
mod programs;
mod shapes;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use crate::event::{Args, Bytes, Environment, Exec};
pub use mark::{HASH_KEY_BYTES_MIN, HashKey, KeyTooShort};
pub use own::{OwnPattern, PATTERN_COMPILED_BYTES_MAX, PatternError, is_kind_name};
use pem::Pem;
use shapes::Shape;

/// Most marks of full length in one list. Without a limit, an argv of `-pX` after `-pX` would become ten
/// times as long.
const MARKS_MAX: usize = 256;

/// What stands for each secret beyond [`MARKS_MAX`].
const SHORT_MARK: &[u8] = b"*";

/// A kind of secret. Where two are found in one place, the first of this order names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// By the operator's pattern of this number.
    Own(usize),
    /// A private key in PEM.
    PrivateKey,
    GithubToken,
    GitlabToken,
    SlackToken,
    AwsKey,
    GoogleKey,
    StripeKey,
    /// A key of another service, known by its prefix.
    ApiKey,
    /// A JSON web token.
    Jwt,
    /// `Authorization: ...` and other headers with credentials.
    AuthorizationHeader,
    /// The password in `https://user:password@host`.
    UrlUserinfo,
    /// A parameter of a URL, or a field of a form as it is in one.
    UrlToken,
    /// `-pX` of the programs of MySQL and MariaDB.
    MysqlPassword,
    /// `--password X`, and what known programs take as a password.
    PasswordOption,
    /// `NAME=X` or `"name": "X"` with the name of a secret.
    PasswordField,
}

impl Kind {
    /// The word in marks and in the event; that of an own pattern is the operator's.
    fn word(self) -> &'static str {
        match self {
            Kind::Own(_) => "own",
            Kind::PrivateKey => "private_key",
            Kind::GithubToken => "github_token",
            Kind::GitlabToken => "gitlab_token",
            Kind::SlackToken => "slack_token",
            Kind::AwsKey => "aws_key",
            Kind::GoogleKey => "google_key",
            Kind::StripeKey => "stripe_key",
            Kind::ApiKey => "api_key",
            Kind::Jwt => "jwt",
            Kind::AuthorizationHeader => "authorization_header",
            Kind::UrlUserinfo => "url_userinfo",
            Kind::UrlToken => "url_token",
            Kind::MysqlPassword => "mysql_password",
            Kind::PasswordOption => "password_option",
            Kind::PasswordField => "password_field",
        }
    }
}

/// A secret among the joined arguments: never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    at: Range<usize>,
    kind: Kind,
}

/// What stands instead of a list with secrets.
struct Redacted {
    list: Vec<Bytes>,
    kinds: Vec<Arc<str>>,
}

/// Finds secrets and replaces them.
pub struct Redactor {
    hints: AhoCorasick,
    pem: Pem,
    shapes: Vec<Shape>,
    own: Vec<OwnPattern>,
    key: Option<HashKey>,
}

impl Redactor {
    /// With the operator's own patterns beside those that are built in, and with a key marks carry a hash
    /// of what was removed.
    #[must_use]
    pub fn new(own: Vec<OwnPattern>, key: Option<HashKey>) -> Self {
        let hints = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            // Other kinds take several times as long, and this one some 100 KiB.
            .kind(Some(AhoCorasickKind::DFA))
            .build(command::HINTS.iter().chain(&[pem::HINT]).chain(shapes::HINTS))
            .expect("a test builds it");
        Redactor { hints, pem: Pem::new(), shapes: shapes::all(), own, key }
    }

    /// Arguments and environment variables of an execution. Those of its ancestors and leaders come from
    /// the process table, which has them redacted already.
    pub fn exec(&self, exec: &mut Exec) {
        if let Some(args) = self.args(&exec.process.args) {
            exec.process.args = args;
        }
        if let Some(env) = self.env(&exec.process.env) {
            exec.process.env = env;
        }
    }

    /// The arguments without their secrets; `None` when there are none.
    #[must_use]
    pub fn args(&self, args: &Args) -> Option<Args> {
        let is_cut = args.truncated || args.faulted;
        let Redacted { list, kinds } = self.list(&args.list, is_cut)?;
        Some(Args { list, redacted: kinds, ..*args })
    }

    /// The same for variables.
    fn env(&self, env: &Environment) -> Option<Environment> {
        let is_cut = env.truncated || env.faulted;
        let Redacted { list, kinds } = self.list(&env.list, is_cut)?;
        Some(Environment { list, redacted: kinds, ..*env })
    }

    /// `is_cut`: something is missing at the end of the list.
    fn list(&self, list: &[Bytes], is_cut: bool) -> Option<Redacted> {
        let is_hinted = list.iter().any(|each| self.hints.is_match(&**each));
        if !is_hinted && self.own.is_empty() {
            return None;
        }
        let mut joined = list.join(&0);
        let mut found = Vec::new();
        if is_hinted {
            command::find(&joined, &mut found);
            self.pem.find(&joined, &mut found);
            for shape in self.shapes.iter().filter(|shape| is_cut || !shape.only_cut) {
                shape.find(&joined, &mut found);
            }
        }
        if !self.own.is_empty() {
            // An operator writes a pattern for a command line as it is shown.
            joined.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
            for (number, pattern) in self.own.iter().enumerate() {
                pattern.find(&joined, |at| found.push(Found { at, kind: Kind::Own(number) }));
            }
        }
        let found = merged(found);
        (!found.is_empty()).then(|| self.replaced(list, &found))
    }

    /// The list with marks for what was found, which is in order and does not overlap.
    fn replaced(&self, list: &[Bytes], found: &[Found]) -> Redacted {
        let mut marks = 0;
        let mut start = 0;
        let mut left = found;
        let list = list.iter().map(|each| {
            let end = start + each.len();
            let mut text = Vec::with_capacity(each.len());
            let mut done = 0;
            // One that begins here may end in a later argument.
            while let Some(Found { at, kind }) = left.first().filter(|found| found.at.start < end) {
                let from = at.start.max(start) - start;
                let to = at.end.min(end) - start;
                text.extend_from_slice(&each[done..from]);
                if to > from {
                    marks += 1;
                    if marks > MARKS_MAX {
                        text.extend_from_slice(SHORT_MARK);
                    } else {
                        mark::write(
                            &mut text,
                            self.word(*kind),
                            &each[from..to],
                            self.key.as_ref(),
                        );
                    }
                }
                done = to;
                if at.end > end {
                    break;
                }
                left = &left[1..];
            }
            text.extend_from_slice(&each[done..]);
            start = end + 1;
            text.into()
        });
        let list = list.collect();
        let kinds: BTreeSet<&str> = found.iter().map(|found| self.word(found.kind)).collect();
        Redacted { list, kinds: kinds.into_iter().map(Arc::from).collect() }
    }

    fn word(&self, kind: Kind) -> &str {
        match kind {
            Kind::Own(number) => self.own.get(number).map_or(kind.word(), OwnPattern::name),
            _ => kind.word(),
        }
    }
}

/// In order, and what overlaps as one.
fn merged(mut found: Vec<Found>) -> Vec<Found> {
    found.retain(|found| !found.at.is_empty());
    found.sort_unstable_by_key(|found| (found.at.start, found.at.end));
    let mut merged: Vec<Found> = Vec::with_capacity(found.len());
    for next in found {
        match merged.last_mut() {
            Some(last) if next.at.start < last.at.end => {
                last.at.end = last.at.end.max(next.at.end);
                last.kind = last.kind.min(next.kind);
            }
            _ => merged.push(next),
        }
    }
    merged
}
