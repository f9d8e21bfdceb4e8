//! No text whatever brings the reader down.

use proptest::prelude::*;
use shipper::config::{self, ConfigError};

use super::whole_example;

/// Pieces of which texts near to a configuration are made.
fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "sinks:",
        "- ",
        "  ",
        "\n",
        "name: a",
        "type: file",
        "type: console",
        "path: /x",
        "capture:",
        "mode: lsm",
        "{",
        "}",
        "[",
        "]",
        ",",
        ": ",
        "? ",
        "&a ",
        "*a",
        "!!str ",
        "!x ",
        "|\n",
        ">-\n",
        "'",
        "\"",
        "#",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "\t",
        "\r",
        "1",
        "null",
        "16MiB",
        "\u{feff}",
        "é",
        "\u{85}",
        "\0",
        "<<: ",
    ];
    prop_oneof![proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned), "\\PC{0,3}"]
}

/// The example with a part replaced.
fn damaged_example() -> impl Strategy<Value = String> {
    let chars: Vec<char> = whole_example().chars().collect();
    let range = (0..chars.len(), 0_usize..20);
    (range, proptest::collection::vec(piece(), 0..3)).prop_map(move |((start, length), pieces)| {
        let end = (start + length).min(chars.len());
        let (before, after) = (chars[..start].iter(), chars[end..].iter());
        before.chain(&pieces.concat().chars().collect::<Vec<_>>()).chain(after).collect()
    })
}

/// Parses, or has a problem with a place in the text.
fn holds(text: &str) -> Result<(), TestCaseError> {
    let Err(error) = config::parse("f", text) else {
        return Ok(());
    };
    let ConfigError::Invalid(problems) = error else {
        return Err(TestCaseError::fail("text was read, so that it can only be invalid"));
    };
    prop_assert!(!problems.is_empty());
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in problems {
        let line = lines.get(problem.at.line.wrapping_sub(1));
        let inside =
            line.is_some_and(|line| (1..=line.chars().count() + 1).contains(&problem.at.column));
        prop_assert!(inside, "{}", problem);
        prop_assert_eq!(problem.to_string().lines().count(), 1);
    }
    Ok(())
}

proptest! {
    // A failure prints the shortest text that shows it; no file is kept beside the tests.
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_text_parses_or_has_a_problem_with_a_place_in_it(text in any::<String>()) {
        holds(&text)?;
    }

    #[test]
    fn text_like_yaml_parses_or_has_a_problem_with_a_place_in_it(
        pieces in proptest::collection::vec(piece(), 0..30),
    ) {
        holds(&pieces.concat())?;
    }

    #[test]
    fn a_damaged_example_parses_or_has_a_problem_with_a_place_in_it(text in damaged_example()) {
        holds(&text)?;
    }
}
