//! Following real files.

use std::fs;
use std::io::Write;
use std::sync::mpsc;

use super::*;
use proptest::prelude::*;

/// Steps until nothing more comes, and gives what was found as text.
fn drain(follower: &mut Follower) -> (Vec<String>, Step) {
    let mut found = Vec::new();
    loop {
        let step = follower
            .step(&mut |item| {
                found.push(match item {
                    Item::Line(line) => String::from_utf8_lossy(line).into_owned(),
                    Item::Cut(line) => format!("cut {}", line.len()),
                    Item::Unfinished(line) => {
                        format!("unfinished {}", String::from_utf8_lossy(line))
                    }
                    Item::Truncated => "truncated".to_owned(),
                });
            })
            .expect("readable");
        if step != Step::More {
            return (found, step);
        }
    }
}

fn append(path: &Path, text: &str) {
    let mut file = File::options().append(true).create(true).open(path).expect("writable");
    file.write_all(text.as_bytes()).expect("writable");
}

#[test]
fn a_file_that_comes_later_is_read_when_it_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    let mut follower = Follower::new(&path, 10);
    assert_eq!(drain(&mut follower), (vec![], Step::Missing));
    append(&path, "a\n");
    assert_eq!(drain(&mut follower), (vec!["a".to_owned()], Step::AtEnd));
}

#[test]
fn reading_begins_with_the_last_lines() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    // Lines long enough that the newlines looked for lie in several reads.
    let lines: Vec<String> = (0..50).map(|n| format!("{n} {}", "x".repeat(7000))).collect();
    append(&path, &(lines.join("\n") + "\n"));
    for (asked, given) in [(0, 0), (1, 1), (10, 10), (49, 49), (50, 50), (51, 50), (usize::MAX, 50)]
    {
        let (found, _) = drain(&mut Follower::new(&path, asked));
        assert_eq!(found, lines[lines.len() - given..], "{asked}");
    }
    // A line that is still being written is not one of them.
    append(&path, "half");
    let mut follower = Follower::new(&path, 1);
    assert_eq!(drain(&mut follower).0, lines[49..]);
    append(&path, " whole\n");
    assert_eq!(drain(&mut follower).0, ["half whole"]);
}

#[test]
fn a_line_is_given_when_its_newline_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    append(&path, "a");
    let mut follower = Follower::new(&path, 10);
    for (more, found) in
        [("", vec![]), ("b", vec![]), ("c\nd", vec!["abc"]), ("\n\n", vec!["d", ""])]
    {
        append(&path, more);
        assert_eq!(drain(&mut follower).0, found);
    }
}

#[test]
fn a_renamed_file_is_read_to_its_end_before_the_new_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, old) = (dir.path().join("log"), dir.path().join("log.1"));
    append(&path, "a\n");
    let mut follower = Follower::new(&path, 10);
    assert_eq!(drain(&mut follower).0, ["a"]);
    append(&path, "b\n");
    fs::rename(&path, &old).expect("renamed");
    assert_eq!(drain(&mut follower), (vec!["b".to_owned()], Step::AtEnd));
    // logrotate makes the new file before the daemon has let go of the old one.
    append(&path, "");
    append(&old, "c\n");
    assert_eq!(drain(&mut follower).0, ["c"]);
    append(&old, "d\ntorn");
    append(&path, "e\n");
    assert_eq!(drain(&mut follower).0, ["d", "unfinished torn", "e"]);
    fs::remove_file(&old).expect("removed");
    append(&path, "f\n");
    assert_eq!(drain(&mut follower).0, ["f"]);
}

#[test]
fn a_truncated_file_is_read_from_its_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    append(&path, "a\nb\nc");
    let mut follower = Follower::new(&path, 10);
    assert_eq!(drain(&mut follower).0, ["a", "b"]);
    fs::write(&path, "n\n").expect("writable");
    assert_eq!(drain(&mut follower).0, ["unfinished c", "truncated", "n"]);
}

#[test]
fn a_line_without_end_is_cut_and_the_next_one_is_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    let exact = "x".repeat(LINE_BYTES_MAX);
    append(&path, &format!("{exact}\n{exact}y{exact}\nnext\n"));
    let mut follower = Follower::new(&path, 10);
    let (found, _) = drain(&mut follower);
    assert_eq!(found, [exact, format!("cut {LINE_BYTES_MAX}"), "next".to_owned()]);
    assert!(follower.splitter.partial.capacity() <= 2 * LINE_BYTES_MAX);
}

#[test]
fn a_directory_is_named_as_such() {
    let dir = tempfile::tempdir().expect("a directory");
    let error = Follower::new(dir.path(), 10).step(&mut |_| {}).expect_err("a directory");
    assert!(matches!(error, FollowError::Directory(_)), "{error}");
}

/// The writer goes at its own pace, but lets the reader see each file: tail promises no more.
#[test]
fn no_line_is_lost_or_doubled_while_a_writer_rotates() {
    const FILES: usize = 40;
    const LINES: usize = 500;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    let (arrived, wait) = mpsc::channel::<()>();
    let writer = {
        let path = path.clone();
        std::thread::spawn(move || {
            for number in 0..FILES {
                if number > 0 {
                    fs::rename(&path, path.with_extension(number.to_string())).expect("renamed");
                }
                let mut file = File::create_new(&path).expect("a new file");
                for line in 0..LINES {
                    let text = format!("{number} {line} {}\n", "x".repeat(line % 300));
                    // In two pieces, so that the reader meets halves.
                    let (head, tail) = text.split_at(text.len() / 2);
                    file.write_all(head.as_bytes()).expect("writable");
                    file.write_all(tail.as_bytes()).expect("writable");
                    if line == 0 {
                        wait.recv().expect("the reader is there");
                    }
                }
            }
        })
    };
    let mut follower = Follower::new(&path, 10);
    let mut found = Vec::new();
    while found.len() < FILES * LINES {
        follower
            .step(&mut |item| {
                let Item::Line(line) = item else { unreachable!("not a line: {item:?}") };
                let text = String::from_utf8_lossy(line).into_owned();
                let mut words = text.split(' ').map(str::to_owned);
                let line = (words.next().expect("a file"), words.next().expect("a line"));
                if line.1 == "0" {
                    arrived.send(()).expect("the writer is there");
                }
                found.push(line);
            })
            .expect("readable");
    }
    writer.join().expect("the writer came to its end");
    let expected = (0..FILES)
        .flat_map(|file| (0..LINES).map(move |line| (file.to_string(), line.to_string())));
    assert!(found.into_iter().eq(expected));
}

proptest! {
    #[test]
    fn however_the_bytes_arrive_the_lines_are_the_same(
        text in "[ab\n]{0,200}",
        cuts in proptest::collection::vec(1_usize..20, 1..20),
    ) {
        let mut splitter = Splitter::default();
        let mut found = Vec::new();
        let mut each = |item: Item<'_>| match item {
            Item::Line(line) | Item::Unfinished(line) => found.push(line.to_vec()),
            other => unreachable!("{other:?}"),
        };
        let mut rest = text.as_bytes();
        for size in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*size).min(rest.len()));
            splitter.feed(now, &mut each);
            rest = later;
        }
        splitter.finish(&mut each);
        let expected: Vec<&[u8]> = text.lines().map(str::as_bytes).collect();
        prop_assert_eq!(found, expected);
    }
}
