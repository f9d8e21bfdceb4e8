//! The part of the check that is about values: a field that is compared with one that it never has
//! would make a rule that never matches.

use cel::common::ast::IdedExpr;

use super::{Checked, Compiler, Typed};
use crate::rules::asks::Asks;
use crate::rules::field::{Field, ListField, TextField};
use crate::rules::node::{Items, Text};

/// What a field may be.
enum Values {
    /// One of these.
    Words(&'static [&'static str]),
    /// So many digits of this base, 8 or 16; those of 16 in lower case.
    Digits(usize, u32),
}

fn values(field: TextField) -> Option<Values> {
    Some(match field {
        TextField::EventAction => Values::Words(&["exec", "end"]),
        TextField::EventOutcome => Values::Words(&["success", "failure"]),
        TextField::EntryType => Values::Words(&[
            "init",
            "sshd",
            "ssm",
            "container",
            "terminal",
            "console",
            "kthread",
            "unknown",
        ]),
        TextField::FileOverlayLayer => Values::Words(&["upper", "lower"]),
        TextField::DeniedBy => Values::Words(&["lsm", "shipper"]),
        TextField::EnforcementAction => Values::Words(&["denied", "would_deny", "not_judged"]),
        TextField::ContainerRuntime => Values::Words(&["docker", "containerd", "cri-o", "podman"]),
        TextField::FileMode => Values::Digits(4, 8),
        TextField::FileSha256 => Values::Digits(64, 16),
        _ => return None,
    })
}

impl Values {
    fn have(&self, text: &[u8]) -> bool {
        match self {
            Values::Words(words) => words.iter().any(|word| word.as_bytes() == text),
            Values::Digits(count, base) => {
                let is_digit =
                    |byte: &u8| char::from(*byte).is_digit(*base) && !byte.is_ascii_uppercase();
                text.len() == *count && text.iter().all(is_digit)
            }
        }
    }

    fn describe(&self) -> String {
        match self {
            Values::Words(words) => {
                words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
            }
            Values::Digits(count, 8) => format!("{count} octal digits"),
            Values::Digits(count, _) => format!("{count} hexadecimal digits in lower case"),
        }
    }
}

impl Compiler<'_> {
    /// That two sides of `==` or `!=` can be equal.
    pub(super) fn may_be(
        &mut self,
        left: (&IdedExpr, &Typed),
        right: (&IdedExpr, &Typed),
    ) -> Checked<()> {
        match (left, right) {
            ((_, Typed::Text(Text::Field(field))), (at, Typed::Text(Text::Literal(text))))
            | ((at, Typed::Text(Text::Literal(text))), (_, Typed::Text(Text::Field(field)))) => {
                self.is_value(at, *field, [&**text], "")
            }
            _ => Ok(()),
        }
    }

    /// That `value` can be in `list`; and what a sink looks for among what rules say.
    pub(super) fn may_be_in(&mut self, value: &Typed, list: (&IdedExpr, &Typed)) -> Checked<()> {
        match (value, list) {
            (Typed::Text(Text::Field(field)), (at, Typed::Items(Items::Literal(items)))) => {
                self.is_value(at, *field, items.iter(), "")
            }
            (Typed::Text(Text::Field(field)), (at, Typed::Items(Items::Set(set)))) => {
                // A set has no order: the same entry each time.
                let wrong = |entry: &&[u8]| !values(*field).is_none_or(|values| values.have(entry));
                let wrong = set.iter().map(|entry| &**entry).filter(wrong).min();
                self.is_value(at, *field, wrong, ", but an entry of this file is")
            }
            (Typed::Text(Text::Literal(text)), (_, Typed::Items(Items::Field(list)))) => {
                let text = String::from_utf8_lossy(text).into_owned();
                match list {
                    ListField::Rules => Asks::add(&mut self.asks.rules, text),
                    ListField::Tags => Asks::add(&mut self.asks.tags, text),
                    _ => {}
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn is_value<'t>(
        &mut self,
        at: &IdedExpr,
        field: TextField,
        texts: impl IntoIterator<Item = &'t [u8]>,
        never: &str,
    ) -> Checked<()> {
        let Some(values) = values(field) else { return Ok(()) };
        for text in texts {
            if !values.have(text) {
                let never = if never.is_empty() { ", never" } else { never };
                let shown: String = String::from_utf8_lossy(text).chars().take(64).collect();
                let (name, known) = (Field::Text(field).name(), values.describe());
                return self.error(at, format!("`{name}` is {known}{never} `{shown}`"));
            }
            self.asks.ends |= field == TextField::EventAction && text == b"end";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{DeniedBy, EnforcementAction, EntryKind, Layer};

    #[test]
    fn the_words_are_those_of_events() {
        let words = |field| match values(field) {
            Some(Values::Words(words)) => words,
            _ => &[],
        };
        assert_eq!(words(TextField::EntryType), EntryKind::ALL.map(EntryKind::as_str));
        assert_eq!(
            words(TextField::EnforcementAction),
            EnforcementAction::ALL.map(EnforcementAction::as_str)
        );
        let denied_by = [DeniedBy::SecurityModule, DeniedBy::Shipper].map(DeniedBy::as_str);
        assert_eq!(words(TextField::DeniedBy), denied_by);
        assert_eq!(
            words(TextField::FileOverlayLayer),
            [Layer::Upper, Layer::Lower].map(Layer::as_str)
        );
    }
}
