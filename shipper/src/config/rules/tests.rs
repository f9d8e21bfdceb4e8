//! Rules that are wrong, and where in a file what is wrong is shown.

use super::*;

fn problems(text: &str) -> Vec<String> {
    let mut gathered = Gathered::default();
    let mut problems = Problems::new("f.yaml");
    gathered.text(&Text { name: "f.yaml", text }, &mut problems);
    problems.into_sorted().iter().map(ToString::to_string).collect()
}

/// In each form that YAML has for text.
#[test]
fn what_is_wrong_in_an_expression_is_shown_where_it_stands_in_the_file() {
    let cases = [
        "when: true && file.pth == 'x'",
        "when: \"true && file.pth == 'x'\"",
        "when: \"'\\\"' == '' || file.pth == 'x'\"",
        "when: 'user.name == ''a'' && file.pth == ''x'''",
        "when: |\n      user.name == 'a'\n      && file.pth == 'x'",
        "when: >-\n      user.name == 'a' &&\n        file.pth == 'x'",
        "when: user.name == 'é'\n      && file.pth == 'x'",
    ];
    for when in cases {
        let text = format!("rules:\n  - id: a\n    severity: low\n    {when}\n");
        let mut places = text.lines().enumerate().filter_map(|(line, text)| {
            let bytes = text.find("file.pth")?;
            Some((line + 1, text[..bytes].chars().count() + 1))
        });
        let (line, column) = places.next().expect("it is in there");
        let expected = format!("f.yaml:{line}:{column}: `rules[0].when`, character ");
        let found = problems(&text);
        let starts = found.len() == 1 && found[0].starts_with(&expected);
        assert!(starts, "{when}: {found:?} is not at {expected}");
    }
}

#[test]
fn everything_wrong_with_rules_is_said_at_once() {
    let text = "rules:\n\
                - { id: a, severity: low, when: file.memfd }\n\
                - { id: a, severity: lwo, when: file.memfd, suppress: file.path }\n\
                - { id: b, severity: low, whn: 'true', dedup: { by: [file.pth, rules], window: 0s } }\n\
                - { id: c, severity: low, when: 'true', tags: [a b], tests: [{ matches: 1, event: {} }] }\n";
    let expected = [
        "f.yaml:3:9: `rules[1].id` must be unique, but the rule in f.yaml:2 is `a` too",
        "f.yaml:3:22: `rules[1].severity` must be one of informational, low, medium, high, critical, but is `lwo`; did you mean `low`?",
        "f.yaml:3:55: `rules[1].suppress`, character 1: this must be true or false, but is a text",
        "f.yaml:4:27: unknown key `whn`; did you mean `when`?",
        "f.yaml:4:54: `rules[2].dedup.by[0]`: there is no field `file.pth`; did you mean `file.path`?",
        "f.yaml:4:64: `rules[2].dedup.by[1]` must be a field of the event, but is `rules`",
        "f.yaml:4:80: `rules[2].dedup.window` must be from 1s to 1d, but is `0s`",
        "f.yaml:5:48: `rules[3].tags[0]` must be 1 to 64 letters, digits, `-`, `_` or `.`, but is `a b`",
        "f.yaml:5:73: `rules[3].tests[0].matches` must be `true` or `false`, but is `1`",
    ];
    assert_eq!(problems(text), expected);
}

#[test]
fn what_is_missing_at_the_end_is_shown_there() {
    let text = "rules:\n  - id: a\n    severity: low\n    when: (file.uid != 0\n";
    let found = problems(text);
    assert_eq!(
        found,
        ["f.yaml:4:25: `rules[0].when`, character 15: this is no expression: a `)` is missing"]
    );
}

#[test]
fn of_a_directory_what_is_hidden_is_left_and_what_would_never_end_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let text = "rules: [{ id: a, severity: low, when: file.memfd }]\n";
    std::fs::write(at("a.yaml"), text).expect("written");
    std::fs::write(at(".#b.yaml"), "an editor's").expect("written");
    std::fs::write(at("notes.txt"), "no rules").expect("written");
    let load =
        |paths: &[PathBuf]| load(paths).map(|rules| rules.len()).map_err(|error| error.to_string());
    assert_eq!(load(&[dir.path().to_owned()]), Ok(1));
    let twice = load(&[dir.path().to_owned(), at("a.yaml")]).expect_err("the same");
    assert!(twice.ends_with("a.yaml:1:1: this file of rules is named twice"), "{twice}");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at("pipe.yaml"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("a pipe");
    let pipe = load(&[dir.path().to_owned()]).expect_err("a pipe");
    assert!(pipe.ends_with("pipe.yaml: cannot be read: it is no regular file"), "{pipe}");
}
