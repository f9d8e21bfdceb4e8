//! From the syntax tree to the compiled expression: every field, type, function and pattern is checked
//! here, so that nothing can go wrong when an event is held to it.

mod lists;
mod values;

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo, operators};

use super::asks::Asks;
use super::field::{AncestorText, Field, Row, TextField};
use super::functions;
use super::lists::Lists;
use super::node::{Items, Node, Number, Order, Text};
use super::parse::ExpressionError;
use crate::config::nearest;
use crate::event::Severity;
use lists::Loop;

/// What is said of a list from a file.
pub(super) const IN_ONLY: &str = "a list from a file can only be looked into, by `in`";

/// Where an expression stands, which decides what it may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a rule: what has matched is not known yet.
    Rule,
    /// In `when` of a sink, behind all rules.
    Sink,
}

/// A part of an expression with its type.
pub(super) enum Typed {
    Bool(Node),
    Text(Text),
    Number(Number),
    Items(Items),
    Numbers(Vec<i64>),
    Ancestors,
    /// A loop is at it.
    Ancestor,
    /// Of the event, in `when` of a sink.
    Severity,
    Level(Severity),
    /// The recorded environment.
    Environment,
}

impl Typed {
    /// Its type in words.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Typed::Bool(_) => "true or false",
            Typed::Text(_) => "a text",
            Typed::Number(_) => "a number",
            Typed::Items(_) => "a list of texts",
            Typed::Numbers(_) => "a list of numbers",
            Typed::Ancestors => "the list of ancestors",
            Typed::Ancestor => "an ancestor",
            Typed::Severity | Typed::Level(_) => "a severity",
            Typed::Environment => "the environment",
        }
    }
}

/// Checks one expression.
pub(super) struct Compiler<'a> {
    pub(super) place: Place,
    pub(super) source: &'a SourceInfo,
    pub(super) lists: &'a mut Lists,
    pub(super) asks: Asks,
    loops: Vec<Loop>,
}

pub(super) type Checked<T> = Result<T, ExpressionError>;

impl<'a> Compiler<'a> {
    pub(super) fn new(place: Place, source: &'a SourceInfo, lists: &'a mut Lists) -> Self {
        Compiler { place, source, lists, asks: Asks::default(), loops: Vec::new() }
    }

    pub(super) fn error<T>(&self, expr: &IdedExpr, message: impl Into<String>) -> Checked<T> {
        // A field stands where its name begins; the parser has the place of its last dot.
        let mut begin = expr;
        while let Expr::Select(select) = &begin.expr {
            begin = &select.operand;
        }
        let start = self.source.offset_for(begin.id).map_or(0, |(start, _)| start as usize);
        // The parser counts bytes.
        let before = self.source.source.char_indices().take_while(|(at, _)| *at < start);
        Err(ExpressionError::new(before.count(), message))
    }

    /// An expression that must be true or false.
    pub(super) fn bool(&mut self, expr: &IdedExpr) -> Checked<Node> {
        match self.typed(expr)? {
            Typed::Bool(node) => Ok(node),
            Typed::Ancestors | Typed::Items(_) => self.error(
                expr,
                "this must be true or false, but is a list; ask `size(...) > 0`, `exists` or `in`",
            ),
            other => {
                self.error(expr, format!("this must be true or false, but is {}", other.describe()))
            }
        }
    }

    /// An expression that must be a text.
    pub(super) fn text(&mut self, expr: &IdedExpr) -> Checked<Text> {
        match self.typed(expr)? {
            Typed::Text(text) => Ok(text),
            other => self.error(expr, format!("this must be a text, but is {}", other.describe())),
        }
    }

    /// Any expression.
    pub(super) fn typed(&mut self, expr: &IdedExpr) -> Checked<Typed> {
        match &expr.expr {
            Expr::Literal(literal) => self.literal(expr, literal),
            Expr::Ident(_) | Expr::Select(_) => self.field(expr),
            Expr::List(list) => self.list(expr, &list.elements),
            Expr::Call(call) => self.call(expr, call),
            Expr::Comprehension(each) => self.each(expr, each).map(Typed::Bool),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                self.error(expr, "maps have no meaning here")
            }
        }
    }

    fn literal(&self, expr: &IdedExpr, literal: &LiteralValue) -> Checked<Typed> {
        match literal {
            LiteralValue::Boolean(value) => Ok(Typed::Bool(Node::Const(*value.inner()))),
            LiteralValue::Int(value) => Ok(Typed::Number(Number::Literal(*value.inner()))),
            LiteralValue::UInt(value) => match i64::try_from(*value.inner()) {
                Ok(value) => Ok(Typed::Number(Number::Literal(value))),
                Err(_) => self.error(expr, "this number is too large"),
            },
            LiteralValue::String(value) => {
                Ok(Typed::Text(Text::Literal(value.inner().as_bytes().into())))
            }
            LiteralValue::Bytes(value) => Ok(Typed::Text(Text::Literal(value.inner().into()))),
            LiteralValue::Double(_) => self.error(expr, "numbers here are whole"),
            LiteralValue::Null => {
                self.error(expr, "nothing is ever null; `has(field)` says whether it is there")
            }
        }
    }

    /// A field by its dotted name, a name that a loop gives, or a word.
    fn field(&mut self, expr: &IdedExpr) -> Checked<Typed> {
        let Some(parts) = name_of(expr) else {
            return self.error(expr, "only fields by their names have parts");
        };
        let test = matches!(&expr.expr, Expr::Select(SelectExpr { test: true, .. }));
        let found = self.named(expr, &parts)?;
        if !test {
            return Ok(found);
        }
        Ok(Typed::Bool(match found {
            Typed::Bool(Node::Flag(field)) => Node::HasFlag(field),
            Typed::Text(text) => Node::HasText(text),
            Typed::Number(number) => Node::HasNumber(number),
            Typed::Items(items) => Node::HasList(items),
            other => {
                let message = format!("`has` asks for a field, but this is {}", other.describe());
                return self.error(expr, message);
            }
        }))
    }

    fn named(&mut self, expr: &IdedExpr, parts: &[&str]) -> Checked<Typed> {
        let (first, rest) = parts.split_first().map_or(("", parts), |(first, rest)| (*first, rest));
        if let Some(at) = self.loops.iter().rposition(|each| each.name == first) {
            let depth = self.loops.len() - 1 - at;
            return self.of_loop(expr, depth, self.loops[at].is_ancestor, rest);
        }
        if first == "env" {
            return match rest {
                [] => Ok(Typed::Environment),
                [name] => self.variable(expr, name),
                _ => self.error(expr, "a variable is a text and has no parts"),
            };
        }
        match (first, rest) {
            ("ancestors", []) => return Ok(Typed::Ancestors),
            ("severity", []) => {
                return match self.place {
                    Place::Sink => {
                        self.asks.severity = true;
                        Ok(Typed::Severity)
                    }
                    Place::Rule => self.of_matches(expr, "severity"),
                };
            }
            (word, []) => {
                if let Some(level) = Severity::of_word(word) {
                    return Ok(Typed::Level(level));
                }
            }
            _ => {}
        }
        let name = parts.join(".");
        let field = Field::of_name(&name);
        field.into_iter().for_each(|field| Asks::add(&mut self.asks.fields, field));
        match field {
            Some(Field::Text(field)) => {
                match field {
                    TextField::ProcessCommandLine => self.bound(expr, lists::ARGS)?,
                    TextField::ParentCommandLine => self.bound(expr, lists::ARGS_OF_ANCESTOR)?,
                    _ => {}
                }
                Ok(Typed::Text(Text::Field(field)))
            }
            Some(Field::Number(field)) => Ok(Typed::Number(Number::Field(field))),
            Some(Field::Flag(field)) => Ok(Typed::Bool(Node::Flag(field))),
            Some(Field::List(field)) if field.is_of_matches() && self.place == Place::Rule => {
                self.of_matches(expr, &name)
            }
            Some(Field::List(field)) => Ok(Typed::Items(Items::Field(field))),
            None => self.unknown(expr, &name),
        }
    }

    fn of_matches(&self, expr: &IdedExpr, name: &str) -> Checked<Typed> {
        let message = format!(
            "`{name}` is known once the rules have been tried; it can stand in `when` of a sink"
        );
        self.error(expr, message)
    }

    /// A recorded environment variable.
    fn variable(&mut self, expr: &IdedExpr, name: &str) -> Checked<Typed> {
        self.bound(expr, lists::ARGS)?;
        Asks::add(&mut self.asks.variables, name.to_owned());
        Ok(Typed::Text(Text::Variable(format!("{name}=").into_bytes().into())))
    }

    fn unknown(&self, expr: &IdedExpr, name: &str) -> Checked<Typed> {
        let words = ["ancestors", "severity"].into_iter();
        let levels = Severity::ALL.into_iter().map(Severity::as_str);
        let known = Field::all().map(|(known, ..)| known).chain(words).chain(levels);
        let advice = match nearest(name, known) {
            Some(known) => format!("did you mean `{known}`?"),
            None if !name.contains('.') => {
                "a text stands in quotes; `shipper rules fields` lists all fields".to_owned()
            }
            None => "`shipper rules fields` lists all".to_owned(),
        };
        let shown: String = name.chars().take(64).collect();
        self.error(expr, format!("there is no field `{shown}`; {advice}"))
    }

    /// What a loop is at, or a part of it.
    fn of_loop(
        &self,
        expr: &IdedExpr,
        depth: usize,
        is_ancestor: bool,
        rest: &[&str],
    ) -> Checked<Typed> {
        match (is_ancestor, rest) {
            (false, []) => Ok(Typed::Text(Text::Bound(depth))),
            (true, []) => Ok(Typed::Ancestor),
            (false, _) => self.error(expr, "this is a text and has no parts"),
            (true, ["pid"]) => Ok(Typed::Number(Number::AncestorPid(depth))),
            (true, ["args"]) => Ok(Typed::Items(Items::ArgsOfAncestor(depth))),
            (true, ["command_line"]) => {
                self.bound(expr, lists::ARGS_OF_ANCESTOR)?;
                Ok(Typed::Text(Text::OfAncestor(depth, AncestorText::CommandLine)))
            }
            (true, [name]) => match ancestor_row(name) {
                Some(row) => Ok(Typed::Text(Text::OfAncestor(depth, row.field))),
                None => self.error(
                    expr,
                    "an ancestor has name, executable, args, command_line, entity_id and pid",
                ),
            },
            (true, _) => self.error(expr, "this has no parts"),
        }
    }

    fn call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Checked<Typed> {
        let args = call.args.as_slice();
        match (call.func_name.as_str(), args) {
            (operators::LOGICAL_AND, [left, right]) => {
                let mut all = Vec::new();
                for side in [left, right] {
                    match self.bool(side)? {
                        Node::And(more) => all.extend(more),
                        node => all.push(node),
                    }
                }
                Ok(Typed::Bool(Node::And(all)))
            }
            (operators::LOGICAL_OR, [left, right]) => {
                let mut any = Vec::new();
                for side in [left, right] {
                    match self.bool(side)? {
                        Node::Or(more) => any.extend(more),
                        node => any.push(node),
                    }
                }
                Ok(Typed::Bool(Node::Or(any)))
            }
            (operators::LOGICAL_NOT, [inner]) => {
                Ok(Typed::Bool(Node::Not(Box::new(self.bool(inner)?))))
            }
            (operators::IN, [left, right]) => self.is_in(expr, left, right).map(Typed::Bool),
            (operators::INDEX, [left, right]) => self.index(expr, left, right),
            (name, [left, right]) if order(name).is_some() => {
                let op = order(name).unwrap_or(Order::Equal);
                self.compare(expr, op, left, right).map(Typed::Bool)
            }
            (operators::NEGATE, [inner]) => match self.typed(inner)? {
                Typed::Number(Number::Literal(number)) => match number.checked_neg() {
                    Some(number) => Ok(Typed::Number(Number::Literal(number))),
                    None => self.error(expr, "this number is too large"),
                },
                _ => self.error(expr, "nothing is calculated here"),
            },
            (name, _) if name.starts_with('_') => self.error(
                expr,
                "this operator has no meaning here; there are == != < <= > >= in && || and !",
            ),
            _ => functions::call(self, expr, call),
        }
    }

    fn compare(
        &mut self,
        expr: &IdedExpr,
        op: Order,
        left: &IdedExpr,
        right: &IdedExpr,
    ) -> Checked<Node> {
        let sides = (self.typed(left)?, self.typed(right)?);
        self.may_be((left, &sides.0), (right, &sides.1))?;
        match sides {
            (Typed::Number(left), Typed::Number(right)) => Ok(Node::Numbers { left, op, right }),
            (Typed::Text(Text::Field(field)), Typed::Text(Text::Literal(text)))
                if op == Order::Equal =>
            {
                Ok(Node::TextIs { field, text })
            }
            (Typed::Text(left), Typed::Text(right)) => match op {
                Order::Equal => Ok(Node::Texts { left, right, equal: true }),
                Order::NotEqual => Ok(Node::Texts { left, right, equal: false }),
                _ => self.error(expr, "texts are compared with == and !="),
            },
            (Typed::Severity, Typed::Level(level)) => Ok(Node::Severity { op, level }),
            (Typed::Bool(node), Typed::Bool(Node::Const(value)))
                if matches!(op, Order::Equal | Order::NotEqual) =>
            {
                self.flag_is(expr, node, value == (op == Order::Equal))
            }
            (Typed::Level(_), Typed::Severity) => self
                .error(expr, "write the severity that is meant on the right: `severity >= high`"),
            (Typed::Bool(_), Typed::Bool(_)) => self.error(
                expr,
                "flags are compared with `== true` and `== false` alone; write them with && and !",
            ),
            (Typed::Severity, Typed::Text(_)) => {
                self.error(expr, "a severity is a word without quotes, such as high")
            }
            (left, right) => self.error(
                expr,
                format!("{} cannot be compared with {}", left.describe(), right.describe()),
            ),
        }
    }

    /// `file.memfd == false`: of an absent flag that is false, too.
    fn flag_is(&self, expr: &IdedExpr, node: Node, value: bool) -> Checked<Node> {
        match (node, value) {
            (node, true) => Ok(node),
            (Node::Flag(field), false) => {
                Ok(Node::And(vec![Node::HasFlag(field), Node::Not(Box::new(Node::Flag(field)))]))
            }
            _ => self.error(expr, "write `!` before it instead"),
        }
    }
}

fn ancestor_row(name: &str) -> Option<&'static Row<AncestorText>> {
    AncestorText::TABLE.iter().find(|row| row.name == name)
}

fn order(operator: &str) -> Option<Order> {
    Some(match operator {
        operators::EQUALS => Order::Equal,
        operators::NOT_EQUALS => Order::NotEqual,
        operators::LESS => Order::Less,
        operators::LESS_EQUALS => Order::LessOrEqual,
        operators::GREATER => Order::Greater,
        operators::GREATER_EQUALS => Order::GreaterOrEqual,
        _ => return None,
    })
}

/// The parts of a dotted name.
fn name_of(expr: &IdedExpr) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let mut at = expr;
    loop {
        match &at.expr {
            Expr::Ident(name) => {
                parts.push(name.as_str());
                parts.reverse();
                return Some(parts);
            }
            Expr::Select(select) => {
                parts.push(select.field.as_str());
                at = &select.operand;
            }
            _ => return None,
        }
    }
}
