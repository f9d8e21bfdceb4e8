//! The command but for its waiting: options, and what each kind of line looks like.

use super::*;
use clap::{Args as _, FromArgMatches as _};

fn args(line: &str) -> TailArgs {
    let command = TailArgs::augment_args(clap::Command::new("tail"));
    let matches = command.try_get_matches_from(line.split(' ')).expect("valid arguments");
    TailArgs::from_arg_matches(&matches).expect("valid arguments")
}

fn shown(options: &str, items: &[Item<'_>]) -> String {
    let mut screen = Screen::new(&args(options));
    screen.pretty = lineage::fixture::pretty();
    for item in items {
        screen.show(match item {
            Item::Line(line) => Item::Line(line),
            Item::Cut(line) => Item::Cut(line),
            Item::Unfinished(line) => Item::Unfinished(line),
            Item::Truncated => Item::Truncated,
        });
    }
    screen.finish();
    String::from_utf8(screen.out).expect("text")
}

#[test]
fn the_lines_to_begin_with_depend_on_the_view() {
    for (line, lines) in [
        ("tail", 10),
        ("tail -n 3 /x", 3),
        ("tail --tree", 10),
        ("tail --no-follow", 10),
        ("tail --tree --no-follow", 10_000),
        ("tail --tree --no-follow -n 20000", 10_000),
        ("tail --tree --no-follow -n 5", 5),
    ] {
        assert_eq!(args(line).lines(), lines, "{line}");
    }
}

#[test]
fn an_event_in_another_format_is_told_as_such() {
    for format in Format::ALL {
        let mut line = Vec::new();
        crate::format::encode(format, &crate::event::testing::loss(), &mut line);
        for options in ["tail", "tail --tree"] {
            let text = shown(options, &[Item::Line(line.trim_ascii_end())]);
            let said = format!("[in format {}; tail reads ecs]", format.as_str());
            assert_eq!(text.contains(&said), format != Format::Ecs, "{text}");
            assert_eq!(text.contains("LOSS"), format == Format::Ecs, "{text}");
        }
    }
}

#[test]
fn lines_that_are_no_events_are_marked_and_harmless() {
    let big = vec![b'{'; 1000];
    let items = [
        Item::Line(b"\x1b[31mhello\x1b[0m"),
        Item::Line(b""),
        Item::Line(b"  "),
        Item::Line(b"[1]"),
        Item::Line(b"{\"process\":{\"pid\":7}}"),
        Item::Line(&big),
        Item::Unfinished(b"{\"process\":"),
        Item::Unfinished(b"{}"),
        Item::Cut(b"xxx"),
    ];
    for options in ["tail", "tail --tree"] {
        let text = shown(options, &items);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "\\x1b[31mhello\\x1b[0m  [not JSON]");
        assert_eq!(lines[1], "[1]  [not an event]");
        assert!(lines[2].contains("       7 "), "{text}");
        assert!(lines[3].ends_with("{{{…  [not JSON]"), "{text}");
        assert_eq!(lines[4], "{\"process\":  [unfinished line]");
        assert_eq!(lines[5], "{}  [not an event]");
        assert_eq!(lines[6], "xxx  [line of more than 4 MiB]");
        assert_eq!(lines.len(), 7, "{text}");
    }
}

#[test]
fn a_tree_without_following_is_one_tree() {
    let events = [("a", &["init"][..]), ("x", &["cron"]), ("b", &["init"])];
    let lines: Vec<Vec<u8>> = events
        .iter()
        .map(|(name, above)| lineage::fixture::exec(name, above).to_string().into_bytes())
        .collect();
    let items: Vec<Item<'_>> = lines.iter().map(|line| Item::Line(line)).collect();
    let commands = |text: &str| {
        let command = |line: &str| line.rsplit(' ').nth(1).map(str::to_owned);
        text.lines().filter_map(command).collect::<Vec<_>>()
    };
    let tree = shown("tail --tree --no-follow", &items);
    assert_eq!(commands(&tree), ["init", "/bin/a", "/bin/b", "cron", "/bin/x"]);
    let live = shown("tail --tree", &items);
    assert_eq!(commands(&live), ["init", "/bin/a", "cron", "/bin/x", "init", "/bin/b"]);
}
