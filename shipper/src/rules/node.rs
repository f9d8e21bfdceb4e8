//! The compiled expression: a tree whose types were checked, evaluated over an event without an error
//! and, but for a few fields, without allocation.
//!
//! A comparison, test or look-up of an absent value is false, `!=` as well; `!` turns any false into
//! true. An environment variable may be given more than once, and which of them counts is up to the
//! program: a comparison, test or look-up holds when it does for any of them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::field::{AncestorText, FlagField, ListField, NumberField, TextField};
use super::subject::{List, Subject, ancestor_text};
use crate::event::{Ancestor, Bytes, Severity};

/// True or false.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Const(bool),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Flag(FlagField),
    HasText(Text),
    HasNumber(Number),
    HasFlag(FlagField),
    HasList(Items),
    /// The list is known, be it empty.
    IsThere(Items),
    /// A field and a text as it is written: what most comparisons are.
    TextIs {
        field: TextField,
        text: Bytes,
    },
    Texts {
        left: Text,
        right: Text,
        equal: bool,
    },
    Numbers {
        left: Number,
        op: Order,
        right: Number,
    },
    Severity {
        op: Order,
        level: Severity,
    },
    Test {
        text: Text,
        test: Test,
    },
    NumberIn {
        number: Number,
        list: Vec<i64>,
    },
    TextIn {
        text: Text,
        items: Items,
    },
    Any {
        items: Items,
        body: Box<Node>,
    },
    AnyAncestor {
        body: Box<Node>,
    },
}

/// A text, or none.
#[derive(Clone, Debug)]
pub(super) enum Text {
    Literal(Bytes),
    Field(TextField),
    /// Value of a recorded environment variable, by `NAME=`.
    Variable(Bytes),
    /// What a loop is at, counted from the innermost.
    Bound(usize),
    OfAncestor(usize, AncestorText),
    At(Items, usize),
}

/// A number, or none.
#[derive(Clone, Debug)]
pub(super) enum Number {
    Literal(i64),
    Field(NumberField),
    AncestorPid(usize),
    Ancestors,
    Count(Items),
    Length(Text),
}

/// A list of texts, or none.
#[derive(Clone, Debug)]
pub(super) enum Items {
    Field(ListField),
    ArgsOfAncestor(usize),
    /// As they are written.
    Literal(Literals),
    /// Only to be looked up in: those of a file.
    Set(Arc<HashSet<Bytes>>),
}

/// Texts as they are written. Most of what is looked for is not among them and has the length of none.
#[derive(Clone, Debug)]
pub(super) struct Literals {
    list: Vec<Bytes>,
    /// Bit n: one has n bytes; the last bit: one has that many or more.
    lengths: u64,
}

impl Literals {
    pub(super) fn new(list: Vec<Bytes>) -> Self {
        let lengths = list.iter().fold(0, |lengths, text| lengths | length_bit(text));
        Literals { list, lengths }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.list.iter().map(|text| &**text)
    }

    fn has(&self, text: &[u8]) -> bool {
        self.lengths & length_bit(text) != 0 && self.list.iter().any(|item| **item == *text)
    }
}

fn length_bit(text: &[u8]) -> u64 {
    1 << text.len().min(63)
}

/// What a text is held to.
#[derive(Clone, Debug)]
pub(super) enum Test {
    StartsWith(Text),
    EndsWith(Text),
    Contains(Text),
    /// A text that is known from the beginning: most are.
    ContainsLiteral(Box<memchr::memmem::Finder<'static>>),
    Glob(Box<globset::GlobMatcher>),
    Matches(regex::bytes::Regex),
    Cidr(ipnet::IpNet),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Order::Equal => left == right,
            Order::NotEqual => left != right,
            Order::Less => left < right,
            Order::LessOrEqual => left <= right,
            Order::Greater => left > right,
            Order::GreaterOrEqual => left >= right,
        }
    }
}

/// What the loops around a node are at, the innermost first.
pub(super) struct Bound<'s, 'o> {
    item: Item<'s>,
    outer: Option<&'o Bound<'s, 'o>>,
}

#[derive(Clone, Copy)]
enum Item<'s> {
    Text(&'s [u8]),
    Ancestor(&'s Ancestor),
}

type Loops<'s, 'o> = Option<&'o Bound<'s, 'o>>;

fn item<'s>(mut loops: Loops<'s, '_>, depth: usize) -> Option<Item<'s>> {
    for _ in 0..depth {
        loops = loops?.outer;
    }
    Some(loops?.item)
}

fn ancestor<'s>(loops: Loops<'s, '_>, depth: usize) -> Option<&'s Ancestor> {
    match item(loops, depth)? {
        Item::Ancestor(ancestor) => Some(ancestor),
        Item::Text(_) => None,
    }
}

impl Node {
    /// Whether it holds.
    pub(super) fn holds<'s, S: Subject>(&'s self, subject: &'s S, loops: Loops<'s, '_>) -> bool {
        match self {
            Node::Const(value) => *value,
            Node::And(all) => all.iter().all(|node| node.holds(subject, loops)),
            Node::Or(any) => any.iter().any(|node| node.holds(subject, loops)),
            Node::Not(node) => !node.holds(subject, loops),
            Node::Flag(field) => subject.flag(*field) == Some(true),
            Node::HasText(text) => text.of(subject, loops).is_some(),
            Node::HasNumber(number) => number.of(subject, loops).is_some(),
            Node::HasFlag(field) => subject.flag(*field).is_some(),
            Node::HasList(items) => items.count(subject, loops).is_some_and(|count| count > 0),
            Node::IsThere(items) => items.list(subject, loops).is_some(),
            Node::TextIs { field, text } => subject.text(*field).is_some_and(|is| *is == **text),
            Node::Texts { left, right, equal } => left.any(subject, loops, |left| {
                right.any(subject, loops, |right| (left == right) == *equal)
            }),
            Node::Numbers { left, op, right } => {
                match (left.of(subject, loops), right.of(subject, loops)) {
                    (Some(left), Some(right)) => op.holds(left, right),
                    _ => false,
                }
            }
            Node::Severity { op, level } => {
                subject.severity().is_some_and(|severity| op.holds(severity, *level))
            }
            Node::Test { text, test } => {
                text.any(subject, loops, |text| test.holds(text, subject, loops))
            }
            Node::NumberIn { number, list } => {
                number.of(subject, loops).is_some_and(|number| list.contains(&number))
            }
            Node::TextIn { text, items } => {
                text.any(subject, loops, |text| items.has(text, subject, loops))
            }
            Node::Any { items, body } => items.any(subject, loops, |text| {
                let bound = Bound { item: Item::Text(text), outer: loops };
                body.holds(subject, Some(&bound))
            }),
            Node::AnyAncestor { body } => subject.ancestors().iter().any(|ancestor| {
                let bound = Bound { item: Item::Ancestor(ancestor), outer: loops };
                body.holds(subject, Some(&bound))
            }),
        }
    }
}

impl Text {
    /// Whether it is there and so; of a variable, any of those with its name.
    fn any<'s, S: Subject>(
        &'s self,
        subject: &'s S,
        loops: Loops<'s, '_>,
        mut test: impl FnMut(&[u8]) -> bool,
    ) -> bool {
        match self {
            Text::Variable(prefix) => {
                let variables = subject.list(ListField::ProcessEnvVars);
                let mut of_name =
                    |variable: &[u8]| variable.strip_prefix(&**prefix).is_some_and(&mut test);
                variables.is_some_and(|variables| variables.any(&mut of_name))
            }
            text => text.of(subject, loops).is_some_and(|text| test(&text)),
        }
    }

    /// The text; of a variable, the first of its name.
    fn of<'s, S: Subject>(&'s self, subject: &'s S, loops: Loops<'s, '_>) -> Option<Cow<'s, [u8]>> {
        match self {
            Text::Literal(bytes) => Some(Cow::Borrowed(bytes)),
            Text::Field(field) => subject.text(*field),
            Text::Variable(prefix) => {
                let mut found = None;
                subject.list(ListField::ProcessEnvVars)?.any(|variable| {
                    found = variable.strip_prefix(&**prefix);
                    found.is_some()
                });
                found.map(Cow::Borrowed)
            }
            Text::Bound(depth) => match item(loops, *depth)? {
                Item::Text(text) => Some(Cow::Borrowed(text)),
                Item::Ancestor(_) => None,
            },
            Text::OfAncestor(depth, field) => ancestor_text(ancestor(loops, *depth)?, *field),
            Text::At(items, at) => items.list(subject, loops)?.at(*at).map(Cow::Borrowed),
        }
    }
}

impl Number {
    fn of<'s, S: Subject>(&'s self, subject: &'s S, loops: Loops<'s, '_>) -> Option<i64> {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        match self {
            Number::Literal(number) => Some(*number),
            Number::Field(field) => subject.number(*field),
            Number::AncestorPid(depth) => Some(ancestor(loops, *depth)?.key.pid.into()),
            Number::Ancestors => Some(count(subject.ancestors().len())),
            Number::Count(items) => items.count(subject, loops).map(count),
            Number::Length(text) => {
                let text = text.of(subject, loops)?;
                Some(count(String::from_utf8_lossy(&text).chars().count()))
            }
        }
    }
}

impl Items {
    fn list<'s, S: Subject>(&'s self, subject: &'s S, loops: Loops<'s, '_>) -> Option<List<'s>> {
        match self {
            Items::Field(field) => subject.list(*field),
            Items::ArgsOfAncestor(depth) => {
                Some(List::Bytes(&ancestor(loops, *depth)?.args.as_deref()?.list))
            }
            Items::Literal(literals) => Some(List::Bytes(&literals.list)),
            Items::Set(_) => None,
        }
    }

    fn any<'s, S: Subject>(
        &'s self,
        subject: &'s S,
        loops: Loops<'s, '_>,
        test: impl FnMut(&'s [u8]) -> bool,
    ) -> bool {
        self.list(subject, loops).is_some_and(|list| list.any(test))
    }

    fn has<'s, S: Subject>(&'s self, text: &[u8], subject: &'s S, loops: Loops<'s, '_>) -> bool {
        match self {
            Items::Set(set) => set.contains(text),
            Items::Literal(literals) => literals.has(text),
            _ => self.any(subject, loops, |item| item == text),
        }
    }

    fn count<'s, S: Subject>(&'s self, subject: &'s S, loops: Loops<'s, '_>) -> Option<usize> {
        self.list(subject, loops).map(List::count)
    }
}

impl Test {
    fn holds<'s, S: Subject>(&'s self, text: &[u8], subject: &'s S, loops: Loops<'s, '_>) -> bool {
        match self {
            Test::StartsWith(start) => start.any(subject, loops, |start| text.starts_with(start)),
            Test::EndsWith(end) => end.any(subject, loops, |end| text.ends_with(end)),
            Test::Contains(part) => {
                part.any(subject, loops, |part| memchr::memmem::find(text, part).is_some())
            }
            Test::ContainsLiteral(part) => part.find(text).is_some(),
            Test::Glob(glob) => {
                use std::os::unix::ffi::OsStrExt as _;
                glob.is_match(std::ffi::OsStr::from_bytes(text))
            }
            Test::Matches(regex) => regex.is_match(text),
            Test::Cidr(net) => address(text).is_some_and(|address| net.contains(&address)),
        }
    }
}

/// The address at the beginning: the whole text, or what stands before a blank, as in `SSH_CONNECTION`,
/// without the zone of a link. An IPv4 address in IPv6 (`::ffff:10.0.0.1`) is one of IPv4.
fn address(text: &[u8]) -> Option<IpAddr> {
    let first = text.split(|&byte| matches!(byte, b' ' | b'%')).next()?;
    let address: IpAddr = std::str::from_utf8(first).ok()?.parse().ok()?;
    Some(address.to_canonical())
}
