//! A rule, and all of them tried on an event: matches, those that are suppressed, and those that are
//! folded into one alike.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use super::expression::Expression;
use super::field::Field;
use super::subject::{Recorded, Subject};
use crate::event::{Event, LossStage, RuleMatch, Severity, WallTime};

/// Most different keys that a rule with `dedup` remembers at once. One more is not folded: its match
/// stands.
pub const DEDUP_KEYS_MAX: usize = 4096;

/// How often a full memory is looked through for windows that have ended, in nanoseconds: it takes some
/// 10 us.
const PRUNE_EVERY_NS: u64 = 1_000_000_000;

/// A rule, valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What events call it.
    pub id: Arc<str>,
    /// Its name for people; the id where it has none.
    pub name: Arc<str>,
    /// How grave a match is.
    pub severity: Severity,
    /// Its tags.
    pub tags: Arc<[Box<str>]>,
    /// When it matches.
    pub when: Expression,
    /// When a match is not counted as one.
    pub suppress: Option<Expression>,
    /// When a match is folded into an earlier one.
    pub dedup: Option<Dedup>,
}

/// Within the window, matches with equal fields are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dedup {
    /// The fields.
    pub by: Vec<Field>,
    /// Length of the window, from the match that stands.
    pub window: Duration,
}

/// Matches of a rule that were left out of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOutMatches {
    /// Id of the rule.
    pub rule: Arc<str>,
    /// Why: `RuleSuppressed` or `RuleFolded`.
    pub stage: LossStage,
    /// How many, at least 1.
    pub count: u64,
    /// Time of the first event.
    pub first: WallTime,
    /// Time of the last one.
    pub last: WallTime,
}

/// All rules, with what they remember.
pub struct Matcher {
    active: Vec<Active>,
    /// Matches that stand although `dedup` might have folded them: too many keys were there.
    overfull: u64,
}

struct Active {
    rule: Rule,
    suppressed: Tally,
    folded: Tally,
    seen: Seen,
}

/// How many, and when.
#[derive(Default)]
struct Tally {
    count: u64,
    first: Option<WallTime>,
    last: Option<WallTime>,
}

impl Tally {
    fn add(&mut self, time: WallTime) {
        self.count += 1;
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last = Some(self.last.map_or(time, |last| last.max(time)));
    }

    fn take(&mut self, rule: &Arc<str>, stage: LossStage) -> Option<LeftOutMatches> {
        let Tally { count, first, last } = std::mem::take(self);
        Some(LeftOutMatches { rule: rule.clone(), stage, count, first: first?, last: last? })
    }
}

/// Keys of the matches that stand, and when their windows end in nanoseconds since boot.
#[derive(Default)]
struct Seen {
    /// By two hashes under random keys: nobody can choose fields that collide.
    ends: HashMap<(u64, u64), u64>,
    hashers: (RandomState, RandomState),
    pruned_ns: u64,
}

/// What `dedup` makes of a match.
enum Folded {
    /// One alike stands.
    Yes,
    No,
    /// There is no room to remember it.
    Overfull,
}

impl Seen {
    fn folds(&mut self, dedup: &Dedup, subject: &impl Subject, now_ns: u64) -> Folded {
        let key = key(&dedup.by, subject);
        let key = (self.hashers.0.hash_one(&key), self.hashers.1.hash_one(&key));
        if self.ends.get(&key).is_some_and(|end| now_ns < *end) {
            return Folded::Yes;
        }
        let is_full = |seen: &Seen| seen.ends.len() >= DEDUP_KEYS_MAX;
        if is_full(self) && now_ns.saturating_sub(self.pruned_ns) >= PRUNE_EVERY_NS {
            self.ends.retain(|_, end| now_ns < *end);
            self.pruned_ns = now_ns;
        }
        if is_full(self) && !self.ends.contains_key(&key) {
            return Folded::Overfull;
        }
        let window = u64::try_from(dedup.window.as_nanos()).unwrap_or(u64::MAX);
        self.ends.insert(key, now_ns.saturating_add(window));
        Folded::No
    }
}

/// The values of fields; an absent one is like no value.
fn key(by: &[Field], subject: &impl Subject) -> Vec<Option<Vec<u8>>> {
    let bytes = |number: i64| number.to_le_bytes().to_vec();
    let value = |field: &Field| match field {
        Field::Text(field) => subject.text(*field).map(|text| text.into_owned()),
        Field::Number(field) => subject.number(*field).map(bytes),
        Field::Flag(field) => subject.flag(*field).map(|flag| vec![u8::from(flag)]),
        // No item has a NUL.
        Field::List(field) => subject.list(*field).map(|list| {
            let mut joined = Vec::new();
            list.any(|item| {
                joined.extend_from_slice(item);
                joined.push(0);
                false
            });
            joined
        }),
    };
    by.iter().map(value).collect()
}

impl Matcher {
    /// Tries these, in this order.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        let active = |rule| Active {
            rule,
            suppressed: Tally::default(),
            folded: Tally::default(),
            seen: Seen::default(),
        };
        Matcher { active: rules.into_iter().map(active).collect(), overfull: 0 }
    }

    /// Puts into the event what matches. Reports stay as they are.
    pub fn apply(&mut self, event: &mut Event) {
        let now_ns = match event {
            Event::Exec(exec) => exec.boot_ns,
            Event::Exit(exit) => exit.boot_ns,
            Event::Loss(_) => return,
        };
        let Some(recorded) = Recorded::new(event) else { return };
        let time = event.time();
        let mut found = Vec::new();
        for Active { rule, suppressed, folded, seen } in &mut self.active {
            if !rule.when.holds(&recorded) {
                continue;
            }
            if rule.is_suppressed(&recorded) {
                suppressed.add(time);
                continue;
            }
            match rule.dedup.as_ref().map(|dedup| seen.folds(dedup, &recorded, now_ns)) {
                Some(Folded::Yes) => {
                    folded.add(time);
                    continue;
                }
                Some(Folded::Overfull) => self.overfull += 1,
                Some(Folded::No) | None => {}
            }
            found.push(rule.found());
        }
        match event {
            Event::Exec(exec) => exec.matches = found,
            Event::Exit(exit) => exit.matches = found,
            Event::Loss(_) => {}
        }
    }

    /// What was left out since the last time, rule by rule.
    pub fn take_left_out(&mut self) -> Vec<LeftOutMatches> {
        let each = |active: &mut Active| {
            let id = &active.rule.id;
            [
                active.suppressed.take(id, LossStage::RuleSuppressed),
                active.folded.take(id, LossStage::RuleFolded),
            ]
        };
        self.active.iter_mut().flat_map(each).flatten().collect()
    }

    /// Matches since the last time that could not be remembered for `dedup`, and so stand.
    pub fn take_overfull(&mut self) -> u64 {
        std::mem::take(&mut self.overfull)
    }
}

impl Rule {
    /// Whether it matches, dedup aside.
    #[must_use]
    pub fn matches(&self, subject: &impl Subject) -> bool {
        self.when.holds(subject) && !self.is_suppressed(subject)
    }

    /// Whether a match is none.
    #[must_use]
    pub fn is_suppressed(&self, subject: &impl Subject) -> bool {
        self.suppress.as_ref().is_some_and(|suppress| suppress.holds(subject))
    }

    /// A match of it.
    #[must_use]
    pub fn found(&self) -> RuleMatch {
        RuleMatch {
            id: self.id.clone(),
            name: self.name.clone(),
            severity: self.severity,
            tags: self.tags.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::event::testing::{exec, loss};
    use crate::rules::{Lists, Place};

    fn expression(source: &str) -> Expression {
        Expression::new(source, Place::Rule, &mut Lists::new(Path::new("/"))).expect(source)
    }

    fn rule(id: &str, when: &str) -> Rule {
        Rule {
            id: id.into(),
            name: id.into(),
            severity: Severity::Medium,
            tags: [Box::from("t")].into(),
            when: expression(when),
            suppress: None,
            dedup: None,
        }
    }

    /// An exec of the user `uid` after so many seconds.
    fn at(seconds: u64, uid: u32) -> Event {
        let Event::Exec(mut exec) = exec() else { unreachable!("an exec") };
        exec.boot_ns = seconds * 1_000_000_000;
        exec.time = WallTime(exec.boot_ns);
        exec.process.credentials.euid = uid;
        Event::Exec(exec)
    }

    fn ids(matcher: &mut Matcher, mut event: Event) -> Vec<String> {
        matcher.apply(&mut event);
        match event {
            Event::Exec(exec) => exec.matches.iter().map(|found| found.id.to_string()).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn all_rules_that_hold_are_in_the_event_in_their_order() {
        let rules = [rule("a", "user.id == 7"), rule("b", "true"), rule("c", "user.id > 1")];
        let mut matcher = Matcher::new(rules.into());
        assert_eq!(ids(&mut matcher, at(0, 7)), ["a", "b", "c"]);
        assert_eq!(ids(&mut matcher, at(0, 1)), ["b"]);
        let mut report = loss();
        matcher.apply(&mut report);
        assert_eq!(report, loss());
    }

    #[test]
    fn what_is_suppressed_is_no_match_and_counted() {
        let suppress = Some(expression("user.id == 7"));
        let mut matcher = Matcher::new(vec![Rule { suppress, ..rule("a", "true") }]);
        assert_eq!(ids(&mut matcher, at(1, 7)), [""; 0]);
        assert_eq!(ids(&mut matcher, at(3, 7)), [""; 0]);
        assert_eq!(ids(&mut matcher, at(4, 8)), ["a"]);
        let expected = LeftOutMatches {
            rule: "a".into(),
            stage: LossStage::RuleSuppressed,
            count: 2,
            first: WallTime(1_000_000_000),
            last: WallTime(3_000_000_000),
        };
        assert_eq!(matcher.take_left_out(), [expected]);
        assert_eq!(matcher.take_left_out(), [], "told once");
    }

    #[test]
    fn equal_matches_within_the_window_are_folded_and_counted() {
        let by = vec![Field::of_name("user.id").expect("a field")];
        let dedup = Some(Dedup { by, window: Duration::from_secs(60) });
        let mut matcher = Matcher::new(vec![Rule { dedup, ..rule("a", "true") }]);
        let stands = [(0, 7), (59, 7), (59, 8), (60, 7), (61, 7), (300, 7)]
            .map(|(seconds, uid)| ids(&mut matcher, at(seconds, uid)).len());
        assert_eq!(stands, [1, 0, 1, 1, 0, 1]);
        let told = matcher.take_left_out();
        assert_eq!((told[0].stage, told[0].count, told.len()), (LossStage::RuleFolded, 2, 1));
    }

    #[test]
    fn what_cannot_be_remembered_stands_until_there_is_room_again() {
        let by = vec![Field::of_name("user.id").expect("a field")];
        let dedup = Some(Dedup { by, window: Duration::from_secs(60) });
        let mut matcher = Matcher::new(vec![Rule { dedup, ..rule("a", "true") }]);
        for uid in 0..u32::try_from(DEDUP_KEYS_MAX).expect("small") {
            assert_eq!(ids(&mut matcher, at(10, uid)).len(), 1);
        }
        assert_eq!(ids(&mut matcher, at(11, 1_000_000)).len(), 1);
        assert_eq!(ids(&mut matcher, at(12, 1_000_000)).len(), 1, "it was not remembered");
        assert_eq!(ids(&mut matcher, at(12, 5)).len(), 0, "what is remembered is folded");
        assert_eq!(matcher.take_overfull(), 2);
        assert_eq!(ids(&mut matcher, at(71, 1_000_000)).len(), 1);
        assert_eq!(ids(&mut matcher, at(72, 1_000_000)).len(), 0);
        assert_eq!(matcher.take_overfull(), 0);
    }
}
