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
    /// Letters of options without a value, which may stand before the one that has it: `-sSLuX`.
    pub bare: &'static str,
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
    Program { names, subcommand: None, wraps: false, kind: Kind::PasswordOption, bare: "", flags }
}

/// Where a program could be two, the first one counts. Each name needs a hint in `command::HINTS`.
static PROGRAMS: &[Program] = &[
    Program {
        kind: Kind::MysqlPassword,
        bare: "ABCEGHILNUVWXbcfgijnoqrstvw",
        ..program(&["mysql", "mariadb"], &[flag("-p", Form::Attached)])
    },
    Program {
        kind: Kind::MysqlPassword,
        bare: "ABCEFGHIKLNQRVXYabcdefgiklmnoqstvxy",
        ..program(
            &[
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
    Program { wraps: true, bare: "vV", ..program(&["sshpass"], &[flag("-p", Form::Any)]) },
    Program {
        bare: "#:012346BGIJLMNOSRVZafgijklnpqsv",
        ..program(
            &["curl"],
            &[
                user_and(b':', "-u"),
                user_and(b':', "--user"),
                user_and(b':', "-U"),
                user_and(b':', "--proxy-user"),
            ],
        )
    },
    program(&["redis-cli", "valkey-cli"], &[flag("-a", Form::Following)]),
    Program {
        bare: "v",
        ..program(
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
        )
    },
    Program {
        bare: "AICMNQSVWZnvx",
        ..program(
            &["ldappasswd"],
            &[flag("-w", Form::Any), flag("-a", Form::Any), flag("-s", Form::Any)],
        )
    },
    Program {
        bare: "AICLMNQVWZacnrtuvx",
        ..program(
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
        )
    },
    Program { bare: "v", ..program(&["sqlcmd", "bcp", "ipmitool"], &[flag("-P", Form::Any)]) },
    Program {
        bare: "EKNPVegkq",
        ..program(&["smbclient", "rpcclient"], &[user_and(b'%', "-U"), user_and(b'%', "--user")])
    },
    Program {
        bare: "ABHLceilopqvy",
        ..program(&["ssh-keygen"], &[flag("-N", Form::Any), flag("-P", Form::Any)])
    },
    Program {
        subcommand: Some("login"),
        ..program(
            &["docker", "podman", "nerdctl", "buildah", "skopeo", "helm", "oras", "crane"],
            &[flag("-p", Form::Any)],
        )
    },
];

/// Programs and words of a shell behind which another program may be named, after options of their own.
#[rustfmt::skip]
const RUN_OTHERS: &[&str] = &[
    "sudo", "doas", "su", "runuser", "env", "nice", "ionice", "nohup", "time", "timeout", "exec",
    "command", "setsid", "stdbuf", "chroot", "ssh", "sshpass", "xargs", "parallel", "strace", "ltrace",
    "watch", "flock", "systemd-run", "unshare", "nsenter", "docker", "podman", "nerdctl",
    "docker-compose", "podman-compose", "kubectl", "oc", "crictl", "lxc", "lxc-attach", "proxychains",
    "torsocks", "busybox", "tini", "gosu", "su-exec", "setpriv", "dumb-init", "catatonit", "taskset",
    "chrt", "pkexec", "cgexec", "firejail", "numactl", "prlimit", "fakeroot", "dbus-run-session",
    "xvfb-run", "eatmydata", "chpst", "setuidgid", "s6-setuidgid", "softlimit", "bwrap", "runcon", "sg",
    "setarch", "ip", "unbuffer", "valgrind", "proxychains4", "apptainer", "singularity",
    "docker-entrypoint.sh", "ProxyCommand", "builtin", "{", "if", "then", "else", "elif", "do", "while",
    "until", "!",
];

/// Interpreters: the first word that is no option may be a program.
const INTERPRETERS: [&str; 10] =
    ["sh", "bash", "dash", "ash", "zsh", "ksh", "python3", "perl", "ruby", "node"];

/// Words behind which a command begins, whatever the program: `find -exec`, `run -- this`.
const BEFORE_COMMAND: [&str; 5] = ["--", "-exec", "-execdir", "-ok", "-okdir"];

/// Programs of containers. Their `--secret` has the name of a secret that is kept elsewhere.
const OF_CONTAINERS: [&str; 4] = ["docker", "podman", "nerdctl", "buildah"];

fn is_one_of(word: &[u8], known: &[&str]) -> bool {
    known.iter().any(|known| known.as_bytes() == word)
}

/// Whether a word that begins a command may be followed by the name of another program. The loader of
/// shared libraries may be given one as well.
pub(super) fn runs_others(word: &[u8]) -> bool {
    let name = basename(word);
    is_one_of(name, RUN_OTHERS)
        || [&b"ld-linux"[..], b"ld-musl", b"ld.so"].iter().any(|loader| name.starts_with(loader))
}

/// Whether the next word that is no option may be the name of a program: behind an interpreter.
pub(super) fn is_interpreter(word: &[u8]) -> bool {
    is_one_of(basename(word), &INTERPRETERS)
}

/// Whether a command begins behind this word.
pub(super) fn is_before_command(word: &[u8]) -> bool {
    is_one_of(word, &BEFORE_COMMAND)
}

/// Whether it runs containers.
pub(super) fn is_of_containers(word: &[u8]) -> bool {
    is_one_of(basename(word), &OF_CONTAINERS)
}

/// The program that a word names, by its name or its path in a directory `bin` or `sbin`: `/var/lib/mysql`
/// is none.
pub(super) fn named(word: &[u8]) -> Option<&'static Program> {
    let name = basename(word);
    let dir = &word[..word.len() - name.len()];
    if !dir.is_empty() && !dir.ends_with(b"bin/") {
        return None;
    }
    PROGRAMS.iter().find(|program| is_one_of(name, program.names))
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
    /// The value, when the word is this option. `bare` are the letters that may stand before its own.
    pub(super) fn value(&self, word: &[u8], bare: &str) -> Option<Value> {
        let (attached, following) = match self.form {
            Form::Attached => (true, false),
            Form::Following => (false, true),
            Form::Any => (true, true),
        };
        let is_long = self.text.starts_with("--");
        let rest = if is_long {
            word.strip_prefix(self.text.as_bytes())?
        } else {
            let letters = word.strip_prefix(b"-")?;
            let skipped = letters.iter().take_while(|byte| bare.as_bytes().contains(byte)).count();
            letters[skipped..].strip_prefix(&self.text.as_bytes()[1..])?
        };
        let from = word.len() - rest.len();
        match rest {
            [] => following.then_some(Value::Next),
            [b'=', _, ..] if is_long => Some(Value::From(from + 1)),
            _ if !is_long => attached.then_some(Value::From(from)),
            _ => None,
        }
    }
}
