//! What was executed, as a person would type it.

use serde_json::Value;

use super::{strings, text};
use crate::format::visible::{escape, word};

/// A script is at most this far behind its interpreters in argv: the kernel follows 5 of them, each
/// with at most one argument of its own.
const SCRIPT_POSITION_MAX: usize = 10;

/// What was executed, safe to show and quoted for a shell.
pub(super) struct Command {
    /// The file asked for.
    pub(super) program: String,
    /// Arguments behind it, as they were given by whoever started it.
    pub(super) args: Vec<String>,
    /// argv[0], where it is another name than the file's.
    pub(super) called: Option<String>,
}

impl Command {
    pub(super) fn of(event: &Value) -> Command {
        let args = strings(event, "/process/args");
        let file = text(event, "/file/path").or_else(|| text(event, "/process/executable"));
        let Some(file) = file else {
            // The path could not be had: argv is what the process says of itself.
            let mut args = args.into_iter().map(word);
            let program = args.next().unwrap_or_else(|| {
                let known = text(event, "/process/command_line");
                known
                    .or_else(|| text(event, "/process/name"))
                    .map_or_else(|| "-".to_owned(), escape)
            });
            return Command { program, args: args.collect(), called: None };
        };
        // For a script the kernel puts its interpreter, that one's argument and the path of the
        // script in front, in place of the argv[0] that was given.
        let script = event.pointer("/shipper/interpreter").and_then(|_| {
            args.iter()
                .take(SCRIPT_POSITION_MAX)
                .skip(1)
                .position(|arg| basename(arg) == basename(file) || arg.starts_with("/dev/fd/"))
        });
        let (given, called) = match script {
            Some(position) => (position + 2, None),
            None => (1, args.first().filter(|arg| basename(arg) != basename(file))),
        };
        Command {
            program: word(file),
            called: called.map(|arg| word(arg)),
            args: args.iter().skip(given).map(|arg| word(arg)).collect(),
        }
    }
}

fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
