//! Secrets by what stands before them in a command: options, variables, and what known programs take as
//! a password. Arguments are words; one with blanks in it is looked at as a command of a shell as well.

use std::ops::Range;

use super::names::{is_harmless, is_secret};
use super::programs::{self, Program, Value};
use super::words::{commands, commands_in_quotes, is_reference, unquoted};
use super::{Found, Kind};
use crate::event::basename;

/// What must be in an argument, whatever its case, for anything to be found here.
pub(super) const HINTS: &[&str] = &[
    // Parts of the names of secrets.
    "pass",
    "pwd",
    "pw=",
    "-pw",
    "_pw",
    ".pw",
    "\"pw",
    "'pw",
    "secret",
    "token",
    "apikey",
    "api-key",
    "api_key",
    "api.key",
    "__key",
    "accesskey",
    "access-key",
    "access_key",
    "access.key",
    "authkey",
    "auth-key",
    "auth_key",
    "encryptionkey",
    "encryption-key",
    "encryption_key",
    "encryption.key",
    "masterauth",
    // Programs.
    "mysql",
    "mariadb",
    "mariabackup",
    "curl",
    "redis-cli",
    "valkey-cli",
    "mongo",
    "ldap",
    "sqlcmd",
    "bcp",
    "ipmitool",
    "smbclient",
    "rpcclient",
    "ssh-keygen",
    "login",
];

/// How deep commands in commands are looked at: `bash -c "ssh host 'sh -c ...'"`.
const DEPTH_MAX: usize = 4;

/// Fields of one word that are looked at, as in `a=1&b=2`.
const FIELDS_MAX: usize = 256;

/// Options with one dash that have a password. Others of that form are letters of their own.
const SHORT_DASHED: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "storepass",
    "keypass",
    "srcstorepass",
    "deststorepass",
    "srckeypass",
    "destkeypass",
    "token",
    "secret",
    "apikey",
    "pw",
    "pwd",
];

/// Options of OpenSSL, with one dash or two, whose value says where a password is: `pass:X` is one,
/// `file:PATH` is none.
const OPENSSL: [&[u8]; 3] = [b"pass", b"passin", b"passout"];

/// How many words before a `--secret` are looked at for the program that it belongs to.
const WORDS_BEFORE_MAX: usize = 64;

/// Options of programs of containers that have no value in the next word.
const BARE_OF_CONTAINERS: [&[u8]; 10] = [
    b"-i",
    b"-t",
    b"-d",
    b"-q",
    b"--rm",
    b"--init",
    b"--tty",
    b"--interactive",
    b"--detach",
    b"--privileged",
];

/// Their words before an image.
const BEFORE_IMAGE: [&[u8]; 6] = [b"run", b"create", b"container", b"service", b"build", b"buildx"];

/// Adds what is found in arguments that are joined by NUL.
pub(super) fn find(joined: &[u8], found: &mut Vec<Found>) {
    let mut start = 0;
    let words: Vec<Range<usize>> = joined
        .split(|byte| *byte == 0)
        .map(|word| {
            let place = start..start + word.len();
            start = place.end + 1;
            place
        })
        .collect();
    Search { text: joined, depth: 0, found }.command(&words);
}

/// The program whose options follow.
#[derive(Clone, Copy)]
struct Running {
    program: &'static Program,
    /// What looks like a port is one: a container is run, and the name may be that of its image.
    has_ports: bool,
    /// Its subcommand was there, where it is only meant with one.
    is_meant: bool,
}

impl Running {
    fn new(program: &'static Program, has_ports: bool) -> Self {
        Running { program, has_ports, is_meant: program.subcommand.is_none() }
    }

    fn see(&mut self, word: &[u8]) {
        self.is_meant |= self.program.subcommand.is_some_and(|known| known.as_bytes() == word);
    }
}

struct Search<'a> {
    text: &'a [u8],
    /// How deep in commands of commands: 0 are the arguments themselves.
    depth: usize,
    found: &'a mut Vec<Found>,
}

impl Search<'_> {
    fn command(&mut self, words: &[Range<usize>]) {
        let text = self.text;
        let is_variable = |word: &[u8]| word.contains(&b'=') && !word.starts_with(b"-");
        let Some(start) = words.first().map(|place| &text[place.clone()]) else { return };
        let first = words.iter().position(|place| !is_variable(&text[place.clone()])).unwrap_or(0);
        let is_ssh = basename(&text[words[first].clone()]) == b"ssh";
        let is_pulumi = self.pulumi(words);
        // `ProxyCommand=ssh ...`, `--rsh=ssh ...`: the value begins a command.
        let value = start.iter().rposition(|byte| *byte == b'=').map(|equals| &start[equals + 1..]);
        let mut program = value.and_then(programs::named).map(|named| Running::new(named, false));
        let mut runs_others = value.is_some_and(programs::runs_others);
        let mut has_ports = false;
        // The next word that is neither option nor variable begins a command.
        let mut is_start = true;
        let mut at = 0;
        while let Some(place) = words.get(at) {
            let word = &text[place.clone()];
            let next = words.get(at + 1);
            at += 1;
            if !word.starts_with(b"-") {
                if at > 1 && program.is_some_and(|running| running.program.wraps) {
                    program = None;
                }
                has_ports |= runs_others && matches!(word, b"run" | b"create");
                let begins = is_start && !is_variable(word);
                if let Some(named) =
                    if begins || runs_others { programs::named(word) } else { None }
                {
                    program = Some(Running::new(named, has_ports));
                } else if let Some(running) = &mut program {
                    running.see(word);
                }
                if begins {
                    runs_others |= programs::runs_others(word);
                    is_start = programs::is_interpreter(word);
                }
            } else if word.starts_with(b"--secret")
                && (is_pulumi || self.is_of_containers(&words[..at - 1]))
            {
                continue;
            } else if self.option_of(program, place, next) || self.option(place, next) {
                at += 1;
                continue;
            }
            is_start |= programs::is_before_command(word);
            let before = at.checked_sub(2).map(|at| &text[words[at].clone()]);
            let has_blank = word.iter().any(u8::is_ascii_whitespace);
            let mut inner = if has_blank { commands(text, place.clone()) } else { Vec::new() };
            // `PASSWORD="my secret"`
            let is_one_word = matches!(&inner[..], [words] if words[..] == [place.clone()]);
            let is_script = is_ssh || before.is_some_and(is_script_option);
            self.fields(place, is_script && !is_one_word);
            if is_one_word {
                inner = commands_in_quotes(text, place.clone());
            }
            if self.depth < DEPTH_MAX {
                self.depth += 1;
                inner.iter().for_each(|words| self.command(words));
                self.depth -= 1;
            }
        }
    }

    /// False when it is none: nothing, or in a script what a shell puts in.
    fn add(&mut self, at: Range<usize>, kind: Kind) -> bool {
        let at = unquoted(self.text, at);
        let is_secret = !at.is_empty() && (self.depth == 0 || !is_reference(self.text, at.clone()));
        if is_secret {
            self.found.push(Found { at, kind });
        }
        is_secret
    }

    /// `pulumi config set --secret name value`, in any order: what follows the name.
    fn pulumi(&mut self, words: &[Range<usize>]) -> bool {
        let text = self.text;
        let is = |word: &[u8], known: &str| word == known.as_bytes();
        let mut rest = words.iter().map(|place| &text[place.clone()]);
        let is_set = rest.any(|word| word.ends_with(b"pulumi")) && rest.any(|word| is(word, "set"));
        let behind = &words[words.len() - rest.len()..];
        if !is_set || !behind.iter().any(|place| is(&text[place.clone()], "--secret")) {
            return false;
        }
        for place in behind.iter().filter(|place| !text[place.start..].starts_with(b"-")).skip(1) {
            self.add(place.clone(), Kind::PasswordOption);
        }
        true
    }

    /// Whether an option behind these words is one of a program of containers, before the image, and not
    /// of what runs in the container.
    fn is_of_containers(&self, before: &[Range<usize>]) -> bool {
        let before = &before[before.len().saturating_sub(WORDS_BEFORE_MAX)..];
        let mut words = before.iter().map(|place| &self.text[place.clone()]);
        let (mut is_command, mut is_value) = (false, false);
        let is_before_image = |word: &[u8]| {
            let is_of_option = std::mem::take(&mut is_value);
            if word.starts_with(b"-") {
                is_value = (word.len() == 2 || word.starts_with(b"--"))
                    && !word.contains(&b'=')
                    && !BARE_OF_CONTAINERS.contains(&word);
                return true;
            }
            let is_known = BEFORE_IMAGE.contains(&word);
            is_command |= is_known;
            is_known || is_of_option
        };
        words.any(programs::is_of_containers) && words.all(is_before_image) && is_command
    }

    /// An option of a known program. True when the next word is its value.
    fn option_of(
        &mut self,
        program: Option<Running>,
        place: &Range<usize>,
        next: Option<&Range<usize>>,
    ) -> bool {
        let Some(Running { program, has_ports, is_meant: true }) = program else { return false };
        let word = &self.text[place.clone()];
        for flag in program.flags {
            let (value, is_next) = match (flag.value(word, program.bare), next) {
                (Some(Value::From(from)), _) => (place.start + from..place.end, false),
                (Some(Value::Next), Some(next)) => (next.clone(), true),
                _ => continue,
            };
            let bytes = &self.text[value.clone()];
            let secret = match flag.after {
                None => value,
                Some(after) => match bytes.iter().position(|byte| *byte == after) {
                    Some(before) => value.start + before + 1..value.end,
                    None => continue,
                },
            };
            // `docker run --name mysql -p3306:3306`: the word names a container.
            if has_ports && is_port(&self.text[secret.clone()]) {
                continue;
            }
            return self.add(secret, program.kind) && is_next;
        }
        false
    }

    /// An option with the name of a secret. True when the next word is its value.
    fn option(&mut self, place: &Range<usize>, next: Option<&Range<usize>>) -> bool {
        let word = &self.text[place.clone()];
        let equals = word.iter().position(|byte| *byte == b'=');
        let option = &word[..equals.unwrap_or(word.len())];
        let dashes = option.iter().take_while(|byte| **byte == b'-').count();
        let name = &option[dashes..];
        if matches!(dashes, 1 | 2) && OPENSSL.contains(&name) {
            let value = equals.map(|equals| place.start + equals + 1..place.end);
            let value = value.or_else(|| next.cloned()).map(|place| unquoted(self.text, place));
            if let Some(value) = value
                && self.text[value.clone()].starts_with(b"pass:")
            {
                let is_secret = self.add(value.start + 5..value.end, Kind::PasswordOption);
                return is_secret && equals.is_none();
            }
            if dashes == 1 {
                return false;
            }
        }
        let is_option = match dashes {
            1 => SHORT_DASHED.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())),
            _ => is_secret(name),
        };
        if !is_option {
            return false;
        }
        if let Some(equals) = equals {
            let value = place.start + equals + 1..place.end;
            if !is_harmless(name, &self.text[value.clone()]) {
                self.add(value, Kind::PasswordOption);
            }
            return false;
        }
        let Some(next) = next else { return false };
        let value = &self.text[next.clone()];
        // The option may be one without a value, which asks for the password.
        if value.starts_with(b"-") || is_harmless(name, value) {
            return false;
        }
        self.add(next.clone(), Kind::PasswordOption)
    }

    /// `NAME=value` anywhere in a word: a variable, `-Dname=value`, a field of a form or of a connection
    /// string. The value ends with the word, or where the next field begins as this one did. What stands
    /// behind a blank, or is a command as a whole (`is_script`), is looked at word by word.
    fn fields(&mut self, place: &Range<usize>, is_script: bool) {
        let word = &self.text[place.clone()];
        let blank = word.iter().position(u8::is_ascii_whitespace);
        if is_script && blank.is_some() {
            return;
        }
        let mut from = 0;
        for _ in 0..FIELDS_MAX {
            let Some(equals) = word[from..].iter().position(|byte| *byte == b'=') else { break };
            let equals = from + equals;
            from = equals + 1;
            if blank.is_some_and(|blank| blank < equals) {
                return;
            }
            let is_of_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
            let length = word[..equals].iter().rev().take_while(is_of_name).count();
            let name = &word[equals - length..equals];
            if !is_secret(name) {
                continue;
            }
            let before = (equals - length).checked_sub(1).map(|at| word[at]);
            let ends: &[u8] = match before {
                Some(b'?' | b'&') => b"&#",
                Some(b';') => b";",
                Some(b',') => b",",
                _ => b"",
            };
            let value = &word[from..];
            let length = value.iter().position(|byte| ends.contains(byte)).unwrap_or(value.len());
            if !is_harmless(name, &value[..length]) {
                let start = place.start + from;
                self.add(start..start + length, Kind::PasswordField);
            }
            from += length;
        }
    }
}

/// `-c`, also together with others: `bash -lc`.
fn is_script_option(word: &[u8]) -> bool {
    matches!(word, [b'-', letters @ .., b'c'] if letters.iter().all(u8::is_ascii_lowercase))
}

/// `80`, `8080:80`, `127.0.0.1:53:53/udp`.
fn is_port(value: &[u8]) -> bool {
    let value =
        [&b"/tcp"[..], b"/udp"].iter().find_map(|end| value.strip_suffix(*end)).unwrap_or(value);
    value.iter().all(|byte| byte.is_ascii_digit() || b".:-/".contains(byte))
}
