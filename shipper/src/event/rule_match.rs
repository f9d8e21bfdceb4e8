//! What a rule said of an event.

use std::sync::Arc;

/// How grave a match is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing, nothing more.
    Informational,
    /// Seldom a trouble.
    Low,
    /// To be looked at.
    Medium,
    /// To be looked at soon.
    High,
    /// To be looked at now.
    Critical,
}

/// A rule that matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleMatch {
    /// Id of the rule.
    pub id: Arc<str>,
    /// Its name; the id where it has none.
    pub name: Arc<str>,
    /// Its severity.
    pub severity: Severity,
    /// Its tags.
    pub tags: Arc<[Box<str>]>,
}

impl Severity {
    /// All, the least first.
    pub const ALL: [Severity; 5] = [
        Severity::Informational,
        Severity::Low,
        Severity::Medium,
        Severity::High,
        Severity::Critical,
    ];

    /// The word that rules and events carry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Informational => "informational",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    /// The severity of this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Severity> {
        Severity::ALL.into_iter().find(|severity| severity.as_str() == word)
    }

    /// `event.severity`: the numbers by which Elastic's detection engine maps a severity (21 low, 47
    /// medium, 73 high, 99 critical). It has none for informational, which is 0 here.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Severity::Informational => 0,
            Severity::Low => 21,
            Severity::Medium => 47,
            Severity::High => 73,
            Severity::Critical => 99,
        }
    }
}

/// The gravest of the matches, the first where several are.
#[must_use]
pub fn gravest(matches: &[RuleMatch]) -> Option<&RuleMatch> {
    // `max_by_key` would take the last of equals.
    matches.iter().rev().max_by_key(|found| found.severity)
}
