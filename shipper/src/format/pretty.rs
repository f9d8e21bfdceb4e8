//! One event as one line for people: when, who, under which process, what was executed, and what
//! is unusual about it.
//!
//! ```text
//! 10:15:00.123 alice       4242       bash › /home/alice/deploy.sh  [not root-owned: alice 0755]
//! 10:15:01.374 -           4242       bash › exit 3 after 1.25s: /home/alice/deploy.sh
//! ```
//!
//! Works on the JSON of [`super::ecs`], so that it serves live events and log files alike; any key
//! may be missing. Every text of the event goes through [`super::visible`].

mod command;
mod end;
mod matches;

use std::os::fd::AsFd;

use anstyle::{AnsiColor, Color, Effects, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use self::command::Command;
use super::visible::{columns, cut, escape, escape_bytes, word};

/// Columns of a line that goes to no terminal: bounds what one hostile command line can print, and
/// leaves room for any that a person types.
const COLUMNS_PIPED: usize = 4096;
/// A command gets at least this much even where the line then wraps: on a terminal of 80 columns
/// what was executed matters more than one row an event.
const COMMAND_COLUMNS_MIN: usize = 48;
/// Columns of a time of today.
const TIME_COLUMNS: usize = 12;
/// Columns of a user name, when it is no longer.
const USER_COLUMNS: usize = 8;
/// Columns of a parent's name, when it is no longer: commands mostly begin in one column then.
const PARENT_COLUMNS: usize = 10;
/// Columns of a process id: the largest that Linux gives is 4194304.
const PID_COLUMNS: usize = 7;
/// Most columns of a user or process name. Process names have 15 bytes, user names at most 32.
const NAME_COLUMNS_MAX: usize = 32;
/// Most columns of one value in a mark.
const MARK_COLUMNS_MAX: usize = 64;
/// Most columns of the command of an ancestor: it is there to be recognised.
const ANCESTOR_COLUMNS_MAX: usize = 72;
/// Digits of a container id that its tools print.
const CONTAINER_ID_SHOWN: usize = 12;

const DIM: Style = Style::new().effects(Effects::DIMMED);
const BOLD: Style = Style::new().bold();
const USER: Style = coloured(AnsiColor::Cyan);
const NOTE: Style = coloured(AnsiColor::Magenta);
const WARNING: Style = coloured(AnsiColor::Yellow);
const DANGER: Style = coloured(AnsiColor::Red).bold();

const fn coloured(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(colour)))
}

/// How lines are made for one output.
#[derive(Clone, Debug)]
pub struct Pretty {
    /// Zone of the times shown.
    pub zone: TimeZone,
    /// Columns a line should fit in.
    pub columns: usize,
    /// Whether styles are wanted.
    pub colour: bool,
}

impl Pretty {
    /// Local time, the width of the terminal, and colours where the output and the environment
    /// (`NO_COLOR`, `CLICOLOR`, `TERM`) want them.
    #[must_use]
    pub fn for_output<W: AsFd + anstream::stream::RawStream>(output: &W) -> Pretty {
        Pretty {
            zone: TimeZone::system(),
            columns: columns_of_output(output),
            colour: anstream::AutoStream::choice(output) != anstream::ColorChoice::Never,
        }
    }

    /// The event on one line, without its newline. `now` decides whether the date is shown.
    #[must_use]
    pub fn line(&self, event: &Value, now: Timestamp) -> String {
        if event.pointer("/shipper/loss").is_some()
            || text(event, "/event/kind") == Some("pipeline_error")
        {
            return self.loss(event, now);
        }
        let mut line = self.time(event, now);
        self.who(event, &mut line);
        let parent = name(text(event, "/process/parent/name"));
        line.put(Style::new(), &format!("{parent:>PARENT_COLUMNS$}"));
        line.put(DIM, " › ");
        self.what(event, &mut line, 0);
        line.text
    }

    /// The event as a line of a process tree, with `glyph_columns` kept free for its branches.
    #[must_use]
    pub fn tree_line(&self, event: &Value, now: Timestamp, glyph_columns: usize) -> TreeLine {
        let mut left = self.time(event, now);
        self.who(event, &mut left);
        let mut right = Line::new(self.colour);
        self.what(event, &mut right, left.columns + glyph_columns);
        TreeLine { left: left.text, right: right.text, colour: self.colour }
    }

    /// An ancestor (an entry of `shipper.ancestry`, or `process.parent`) as a dim line of a process
    /// tree.
    #[must_use]
    pub fn ancestor_line(&self, ancestor: &Value) -> TreeLine {
        let command = match words(ancestor, "/args") {
            args if !args.is_empty() => join(&args, ANCESTOR_COLUMNS_MAX),
            _ => command_of(ancestor, ""),
        };
        let (mut left, mut right) = (Line::new(self.colour), Line::new(self.colour));
        let pid = number(ancestor, "/pid");
        left.put(DIM, &format!("{:TIME_COLUMNS$} {:USER_COLUMNS$} {pid:>PID_COLUMNS$} ", "", ""));
        right.put(DIM, &cut(command, ANCESTOR_COLUMNS_MAX));
        TreeLine { left: left.text, right: right.text, colour: self.colour }
    }

    /// A line that is no event, cut and made safe, with what is wrong with it.
    #[must_use]
    pub fn unreadable(&self, bytes: &[u8], what: &str) -> String {
        let mut line = Line::new(self.colour);
        // A column takes at most 4 bytes: what is left out here would be cut below.
        let shown = escape_bytes(bytes.get(..self.columns * 4).unwrap_or(bytes));
        line.put(
            DIM,
            &cut(shown, self.columns.saturating_sub(what.len() + 4).max(COMMAND_COLUMNS_MIN)),
        );
        line.put(DANGER, &format!("  [{what}]"));
        line.text
    }

    fn who(&self, event: &Value, line: &mut Line) {
        let user = name(text(event, "/user/name").or_else(|| text(event, "/user/id")));
        line.put(USER, &format!("{user:USER_COLUMNS$} "));
        line.put(DIM, &format!("{:>PID_COLUMNS$} ", number(event, "/process/pid")));
    }

    /// Command and marks, or how it ended and what, in the columns that `line` and `taken` leave.
    fn what(&self, event: &Value, line: &mut Line, taken: usize) {
        if text(event, "/event/action") == Some("end") {
            return self.end(event, line, taken);
        }
        let command = Command::of(event);
        let marks = marks(event, &command);
        let marks_columns: usize = marks.iter().map(|(_, mark)| columns(mark) + 3).sum();
        let room = self.columns.saturating_sub(line.columns + taken + marks_columns + 1);
        let room = room.max(COMMAND_COLUMNS_MIN);
        let program_columns = columns(&command.program);
        line.put(BOLD, &cut(command.program.clone(), room));
        if !command.args.is_empty() && program_columns <= room {
            let room = room.saturating_sub(program_columns + 1).max(1);
            line.put(Style::new(), &format!(" {}", join(&command.args, room)));
        }
        for (at, (style, mark)) in marks.iter().enumerate() {
            line.put(Style::new(), if at == 0 { "  " } else { " " });
            line.put(*style, &format!("[{mark}]"));
        }
    }

    /// How it ended comes first, since that is new; the command is there to be recognised.
    fn end(&self, event: &Value, line: &mut Line, taken: usize) {
        let (is_well, how) = end::told(event);
        line.put(if is_well { Style::new() } else { DANGER }, &how);
        let command = match words(event, "/process/args") {
            args if !args.is_empty() => args,
            _ => vec![command_of(event, "/process")],
        };
        line.put(DIM, ": ");
        let room = self.columns.saturating_sub(line.columns + taken).max(COMMAND_COLUMNS_MIN);
        line.put(DIM, &join(&command, room));
    }

    fn loss(&self, event: &Value, now: Timestamp) -> String {
        let mut line = self.time(event, now);
        let what = match (text(event, "/event/reason"), event.pointer("/shipper/loss/count")) {
            (Some(reason), _) => escape(reason),
            (None, Some(count)) => escape(&format!("{count} records were lost")),
            (None, None) => "records were lost".to_owned(),
        };
        let (style, word) = match text(event, "/event/action") {
            Some("events-left-out") => (DIM, "LEFT OUT"),
            _ => (DANGER, "LOSS"),
        };
        let taken = line.columns + word.len() + 1;
        let room = self.columns.saturating_sub(taken).max(COMMAND_COLUMNS_MIN);
        line.put(style, &format!("{word} {}", cut(what, room)));
        line.text
    }

    /// The time column: of today without the date.
    fn time(&self, event: &Value, now: Timestamp) -> Line {
        let shown = text(event, "/@timestamp")
            .and_then(|stamp| stamp.parse::<Timestamp>().ok())
            .map_or_else(
                || "-".to_owned(),
                |stamp| {
                    let stamp = self.zone.to_datetime(stamp);
                    let today = self.zone.to_datetime(now).date();
                    let format = if stamp.date() == today { "%T%.3f" } else { "%F %T%.3f" };
                    stamp.strftime(format).to_string()
                },
            );
        let mut line = Line::new(self.colour);
        line.put(DIM, &format!("{shown:TIME_COLUMNS$} "));
        line
    }
}

/// A line of a process tree: who and when on the left, what on the right, the branches between.
#[derive(Clone, Debug)]
pub struct TreeLine {
    left: String,
    right: String,
    colour: bool,
}

impl TreeLine {
    /// The whole line, without its newline.
    #[must_use]
    pub fn below(&self, glyphs: &str) -> String {
        let mut branches = Line::new(self.colour);
        branches.put(DIM, glyphs);
        format!("{}{}{}", self.left, branches.text, self.right)
    }
}

/// The width of the terminal, or [`COLUMNS_PIPED`] where the output is none.
fn columns_of_output<W: AsFd>(output: &W) -> usize {
    match rustix::termios::tcgetwinsize(output) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => COLUMNS_PIPED,
    }
}

/// A line as it grows, with the columns it takes without its styles.
struct Line {
    text: String,
    columns: usize,
    colour: bool,
}

impl Line {
    fn new(colour: bool) -> Line {
        Line { text: String::new(), columns: 0, colour }
    }

    /// Appends text that is already safe to show.
    fn put(&mut self, style: Style, text: &str) {
        self.columns += columns(text);
        if self.colour && !style.is_plain() && !text.is_empty() {
            self.text.push_str(&format!("{style}{text}{style:#}"));
        } else {
            self.text.push_str(text);
        }
    }
}

/// What a person should notice, the gravest first.
fn marks(event: &Value, command: &Command) -> Vec<(Style, String)> {
    let mut marks = matches::marks(event);
    if text(event, "/event/outcome") == Some("failure") {
        let code = text(event, "/error/code").unwrap_or("failed");
        let by = text(event, "/shipper/failure/denied_by");
        let by = by.map_or_else(String::new, |by| format!(" by {}", value(by)));
        let rule = text(event, "/shipper/enforcement/rule").filter(|_| by == " by shipper");
        let rule = rule.map_or_else(String::new, |rule| format!(", rule {}", value(rule)));
        marks.push((DANGER, format!("not executed: {}{by}{rule}", value(code))));
    }
    if let (Some(rule), Some(action @ ("would_deny" | "not_judged"))) =
        (text(event, "/shipper/enforcement/rule"), text(event, "/shipper/enforcement/action"))
    {
        let what = if action == "would_deny" { "would be denied" } else { "not judged" };
        marks.push((WARNING, format!("{what}: rule {}", value(rule))));
    }
    let mode = text(event, "/file/mode");
    if flag(event, "/shipper/file_not_root_owned") {
        let owner = text(event, "/file/owner").or_else(|| text(event, "/file/uid"));
        let mode = mode.map_or_else(String::new, |mode| format!(" {}", value(mode)));
        // Root running a file that somebody else can change hands the machine to that somebody.
        let style = if text(event, "/user/id") == Some("0") { DANGER } else { WARNING };
        marks.push((style, format!("not root-owned: {}{mode}", value(owner.unwrap_or("-")))));
    }
    let mode_bits = mode.and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(0);
    if mode_bits & 0o6000 != 0 {
        let what = if mode_bits & 0o4000 != 0 { "setuid" } else { "setgid" };
        marks.push((WARNING, format!("{what} {mode_bits:04o}")));
    }
    if flag(event, "/shipper/args_truncated") {
        marks.push((WARNING, "argv cut".to_owned()));
    }
    let login = text(event, "/user/audit/id");
    if login.is_some() && login != text(event, "/user/id") {
        let login = text(event, "/user/audit/name").or(login);
        marks.push((NOTE, format!("login {}", value(login.unwrap_or("-")))));
    }
    marks.extend(container(event).map(|shown| (NOTE, format!("container {shown}"))));
    if let Some(path) = text(event, "/shipper/interpreter/path") {
        marks.push((DIM, format!("interpreter {}", value(path))));
    }
    if let Some(called) = &command.called {
        marks.push((DIM, format!("as {}", cut(called.clone(), MARK_COLUMNS_MAX))));
    }
    marks
}

/// What a process is known by where its arguments are not: `at` is where it is in the event.
fn command_of(event: &Value, at: &str) -> String {
    text(event, &format!("{at}/executable"))
        .or_else(|| text(event, &format!("{at}/name")))
        .map_or_else(|| "-".to_owned(), word)
}

/// The container by its name, that of its pod before it; by its id where the name is not known.
fn container(event: &Value) -> Option<String> {
    let name = text(event, "/container/name");
    let pod = text(event, "/orchestrator/resource/name");
    match (pod, name) {
        (Some(pod), Some(name)) => Some(format!("{}/{}", value(pod), value(name))),
        (None, Some(name)) => Some(value(name)),
        (_, None) => {
            let id: String =
                text(event, "/container/id")?.chars().take(CONTAINER_ID_SHOWN).collect();
            Some(value(&id))
        }
    }
}

/// Quoted words with blanks between, cut to `columns_max`.
fn join(words: &[String], columns_max: usize) -> String {
    let mut out = String::new();
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        out.push_str(word);
        // Every character takes a column: more than this is cut anyway.
        if out.len() / 4 > columns_max {
            break;
        }
    }
    cut(out, columns_max)
}

fn text<'a>(event: &'a Value, pointer: &str) -> Option<&'a str> {
    event.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
}

fn flag(event: &Value, pointer: &str) -> bool {
    event.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

fn number(event: &Value, pointer: &str) -> String {
    let number = event.pointer(pointer).and_then(Value::as_u64);
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

fn strings<'a>(event: &'a Value, pointer: &str) -> Vec<&'a str> {
    let list = event.pointer(pointer).and_then(Value::as_array);
    list.map_or_else(Vec::new, |list| list.iter().filter_map(Value::as_str).collect())
}

fn words(event: &Value, pointer: &str) -> Vec<String> {
    strings(event, pointer).into_iter().map(word).collect()
}

/// A user or process name for its column.
fn name(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| cut(word(text), NAME_COLUMNS_MAX))
}

/// A value inside a mark.
fn value(text: &str) -> String {
    cut(word(text), MARK_COLUMNS_MAX)
}

#[cfg(test)]
mod tests;
