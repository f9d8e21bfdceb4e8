//! Programs that take a password by an option whose name does not say so.

use super::Kind;
use crate::event::basename;

/// How an option has its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In the same word: `-pX`.
    Attached,
    /// In the next one: `-a X`.
    Following,
    /// Either.
    Any,
}

/// An option.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    /// With its dashes.
    pub text: &'static str,
    /// How it has its value.
    pub form: Form,
    /// The secret is what follows this byte: the `:` of `user:password`.
    pub after: Option<u8>,
}

/// A program, or several that are alike.
#[derive(Debug)]
pub(super) struct Program {
    /// Names of the files.
    names: &'static [&'static str],
    /// Only behind this word.
    pub subcommand: Option<&'static str>,
    /// Its first word that is no option begins another command.
    pub wraps: bool,
    /// Kind of what is found.
    pub kind: Kind,
    /// Its options.
    pub flags: &'static [Flag],
}

const fn flag(text: &'static str, form: Form) -> Flag {
    Flag { text, form, after: None }
}

const fn user_and(after: u8, text: &'static str) -> Flag {
    Flag { text, form: Form::Any, after: Some(after) }
}

const fn program(names: &'static [&'static str], flags: &'static [Flag]) -> Program {
    Program { names, subcommand: None, wraps: false, kind: Kind::PasswordOption, flags }
}

/// Where a program could be two, the first one counts. Each name needs a hint in `command::HINTS`.
static PROGRAMS: [Program; 10] = [
    Program {
        kind: Kind::MysqlPassword,
        ..program(
            &[
                "mysql",
                "mysqldump",
                "mysqladmin",
                "mysqlimport",
                "mysqlshow",
                "mysqlcheck",
                "mysqlslap",
                "mysqlpump",
                "mysqlbinlog",
                "mysql_upgrade",
                "mysqlsh",
                "mariadb",
                "mariadb-dump",
                "mariadb-admin",
                "mariadb-import",
                "mariadb-show",
                "mariadb-check",
                "mariadb-slap",
                "mariadb-binlog",
                "mariadb-upgrade",
                "mariadb-backup",
                "mariabackup",
            ],
            &[flag("-p", Form::Attached)],
        )
    },
    Program { wraps: true, ..program(&["sshpass"], &[flag("-p", Form::Any)]) },
    program(
        &["curl"],
        &[
            user_and(b':', "-u"),
            user_and(b':', "--user"),
            user_and(b':', "-U"),
            user_and(b':', "--proxy-user"),
        ],
    ),
    program(&["redis-cli", "valkey-cli"], &[flag("-a", Form::Following)]),
    program(
        &[
            "mongo",
            "mongosh",
            "mongodump",
            "mongorestore",
            "mongoexport",
            "mongoimport",
            "mongostat",
            "mongotop",
            "mongofiles",
        ],
        &[flag("-p", Form::Any)],
    ),
    program(
        &["ldappasswd"],
        &[flag("-w", Form::Any), flag("-a", Form::Any), flag("-s", Form::Any)],
    ),
    program(
        &[
            "ldapsearch",
            "ldapadd",
            "ldapmodify",
            "ldapdelete",
            "ldapwhoami",
            "ldapcompare",
            "ldapmodrdn",
            "ldapexop",
        ],
        &[flag("-w", Form::Any)],
    ),
    program(&["sqlcmd", "bcp", "ipmitool"], &[flag("-P", Form::Any)]),
    program(&["smbclient", "rpcclient"], &[user_and(b'%', "-U"), user_and(b'%', "--user")]),
    Program {
        subcommand: Some("login"),
        ..program(
            &["docker", "podman", "nerdctl", "buildah", "skopeo", "helm", "oras", "crane"],
            &[flag("-p", Form::Any)],
        )
    },
];

/// Programs and words of a shell behind which another program may be named, after options of their own.
const RUN_OTHERS: [&str; 47] = [
    "sudo",
    "doas",
    "su",
    "runuser",
    "env",
    "nice",
    "ionice",
    "nohup",
    "time",
    "timeout",
    "exec",
    "command",
    "setsid",
    "stdbuf",
    "chroot",
    "ssh",
    "sshpass",
    "xargs",
    "parallel",
    "strace",
    "ltrace",
    "watch",
    "flock",
    "systemd-run",
    "unshare",
    "nsenter",
    "docker",
    "podman",
    "nerdctl",
    "docker-compose",
    "podman-compose",
    "kubectl",
    "oc",
    "crictl",
    "lxc",
    "lxc-attach",
    "proxychains",
    "torsocks",
    "busybox",
    "if",
    "then",
    "else",
    "elif",
    "do",
    "while",
    "until",
    "!",
];

/// Whether the first word of a command may be followed by the name of another program.
pub(super) fn runs_others(word: &[u8]) -> bool {
    RUN_OTHERS.iter().any(|known| known.as_bytes() == basename(word))
}

/// The program that a word names, by its name or its path in a directory `bin` or `sbin`: `/var/lib/mysql`
/// is none.
pub(super) fn named(word: &[u8]) -> Option<&'static Program> {
    let name = basename(word);
    let dir = &word[..word.len() - name.len()];
    if !dir.is_empty() && !dir.ends_with(b"bin/") {
        return None;
    }
    PROGRAMS.iter().find(|program| program.names.iter().any(|known| known.as_bytes() == name))
}

/// Where the value of an option is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// In the same word, from this byte on.
    From(usize),
    /// The next word.
    Next,
}

impl Flag {
    /// The value, when the word is this option.
    pub(super) fn value(&self, word: &[u8]) -> Option<Value> {
        let (attached, following) = match self.form {
            Form::Attached => (true, false),
            Form::Following => (false, true),
            Form::Any => (true, true),
        };
        let is_long = self.text.starts_with("--");
        match word.strip_prefix(self.text.as_bytes()) {
            Some([]) => following.then_some(Value::Next),
            Some([b'=', _, ..]) if is_long => Some(Value::From(self.text.len() + 1)),
            Some(_) if !is_long => attached.then_some(Value::From(self.text.len())),
            // `curl -su user:password`: only what has the `:` is taken for the value.
            None if self.after.is_some() && !is_long => {
                let is_cluster = word.len() > 2
                    && word[0] == b'-'
                    && word[1..].iter().all(u8::is_ascii_alphabetic)
                    && word.ends_with(&self.text.as_bytes()[1..]);
                is_cluster.then_some(Value::Next)
            }
            _ => None,
        }
    }
}
