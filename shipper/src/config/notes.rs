//! What is valid and yet cannot be what was meant: a rule, or the `when` of a sink, that asks for what
//! this configuration does not record or for a rule that there is not. Such a sink would stay empty
//! without a word.

use super::model::Failures;
use super::problem::quote;
use super::{Settings, nearest};
use crate::rules::field::{Field, FlagField, NumberField, TextField};
use crate::rules::{Asks, Expression};

impl Settings {
    /// A sentence for each, without its full stop.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let mut note = |of: &str, note: String| {
            let note = format!("{of} {note}");
            if !notes.contains(&note) {
                notes.push(note);
            }
        };
        for rule in &self.rules {
            let of = format!("rule {}", rule.id);
            for asks in [Some(&rule.when), rule.suppress.as_ref()].into_iter().flatten() {
                self.of_records(asks.asks(), |what| note(&of, what));
            }
        }
        for sink in &self.sinks {
            let Some(asks) = sink.delivery.when.as_ref().map(Expression::asks) else { continue };
            let of = format!("sink {}: its `when`", sink.name);
            self.of_records(asks, |what| note(&of, what));
            self.of_rules(asks, |what| note(&of, what));
        }
        notes
    }

    /// What is not recorded.
    fn of_records(&self, asks: &Asks, mut note: impl FnMut(String)) {
        for name in asks.variables.iter().filter(|name| !self.capture.env.contains(name)) {
            note(format!(
                "looks at the variable {name}, which is not recorded; name it in capture.env"
            ));
        }
        let mut absent = |field: Field, advice: &str| {
            note(format!("looks at {}, which is not recorded; {advice}", field.name()));
        };
        for field in &asks.fields {
            match field {
                Field::Text(TextField::FileSha256) if self.enrich.hash.is_none() => {
                    absent(*field, "set `enrich.hash: sha256`");
                }
                Field::Text(TextField::DeniedBy) | Field::Number(NumberField::FailureErrno)
                    if self.capture.failures == Failures::None =>
                {
                    absent(*field, "set `capture.failures: denied` or `all`");
                }
                Field::Text(TextField::ExitSignalName)
                | Field::Number(
                    NumberField::ExitCode | NumberField::ExitSignal | NumberField::ExitDurationNs,
                )
                | Field::Flag(FlagField::ExitCoreDumped)
                    if !self.capture.exit =>
                {
                    absent(*field, "set `capture.exit: true`");
                }
                _ => {}
            }
        }
        if asks.ends && !self.capture.exit {
            note(
                "is about the ends of processes, which are not recorded; set `capture.exit: true`"
                    .to_owned(),
            );
        }
    }

    /// What no rule says.
    fn of_rules(&self, asks: &Asks, mut note: impl FnMut(String)) {
        if self.rules.is_empty() {
            if asks.severity || !asks.rules.is_empty() || !asks.tags.is_empty() {
                note(
                    "asks for what rules say, but there are no rules; name some in `rules_files`"
                        .to_owned(),
                );
            }
            return;
        }
        let mut unknown = |what: &str, name: &str, known: Vec<&str>| {
            if known.contains(&name) {
                return;
            }
            let advice = match nearest(name, known) {
                Some(known) => format!("did you mean {}?", quote(known)),
                None => "`shipper rules list` lists all".to_owned(),
            };
            note(format!("asks for the {what} {}, which no rule has; {advice}", quote(name)));
        };
        for name in &asks.rules {
            unknown("id", name, self.rules.iter().map(|rule| &*rule.id).collect());
        }
        for name in &asks.tags {
            let tags = self.rules.iter().flat_map(|rule| rule.tags.iter());
            unknown("tag", name, tags.map(|tag| &**tag).collect());
        }
    }
}
