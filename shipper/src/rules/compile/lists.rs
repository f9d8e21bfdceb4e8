//! The part of the check that is about lists: loops over them, looking into them, and those that are
//! written down. Whoever executes something chooses how many arguments there are, so how often a loop
//! may turn has a bound.

use cel::common::ast::{ComprehensionExpr, Expr, IdedExpr, LiteralValue};

use super::{Checked, Compiler, IN_ONLY, Typed};
use crate::event::Bytes;
use crate::rules::field::ListField;
use crate::rules::node::{Items, Literals, Node, Number, Text};

/// Most loops in one another.
const LOOPS_MAX: usize = 3;

/// What is said of a search that would be made once an argument: of both there may be tens of thousands.
const TOO_LONG: &str = "this in a loop over arguments or ancestors would take too long; turn one of \
                        the two into `in [...]` or a pattern";

/// Most that loops and the searches in them may come to, in turns: below a tenth of a second.
const TURNS_MAX: u64 = 1_000_000;

/// Most ancestors.
const ANCESTORS: u64 = 64;

/// Arguments of an ancestor: 4096 bytes are kept, and each takes two.
pub(super) const ARGS_OF_ANCESTOR: u64 = 2048;

/// Arguments or variables of an execution, or parts of them that a search passes: as many as whoever
/// executes something likes, of 32 KiB unless configured otherwise.
pub(super) const ARGS: u64 = 16_384;

/// What a loop is over, the innermost last.
pub(super) struct Loop {
    pub(super) name: String,
    pub(super) is_ancestor: bool,
    /// How many turns it may take.
    turns: u64,
}

/// How many texts may be looked through.
fn length(items: &Items) -> u64 {
    match items {
        // Of rules there are 512, and of those that match at once, far fewer.
        Items::Field(ListField::Rules | ListField::Tags) => ANCESTORS,
        Items::Field(ListField::ParentArgs) | Items::ArgsOfAncestor(_) => ARGS_OF_ANCESTOR,
        Items::Field(_) => ARGS,
        Items::Literal(_) | Items::Set(_) => 1,
    }
}

impl Compiler<'_> {
    pub(super) fn list(&mut self, expr: &IdedExpr, elements: &[IdedExpr]) -> Checked<Typed> {
        let (mut texts, mut numbers): (Vec<Bytes>, Vec<i64>) = (Vec::new(), Vec::new());
        for element in elements {
            match self.typed(element)? {
                Typed::Text(Text::Literal(text)) => texts.push(text),
                Typed::Number(Number::Literal(number)) => numbers.push(number),
                Typed::Level(_) => {
                    return self.error(element, "severities have an order: `severity >= high`");
                }
                _ => return self.error(element, "a list holds texts or numbers as they are"),
            }
        }
        match (texts.is_empty(), numbers.is_empty()) {
            (true, true) => self.error(expr, "an empty list has nothing in it"),
            (false, false) => self.error(expr, "a list holds either texts or numbers"),
            (true, false) => Ok(Typed::Numbers(numbers)),
            (false, true) => Ok(Typed::Items(Items::Literal(Literals::new(texts)))),
        }
    }

    /// `exists` and `all`, which the parser has made a loop of.
    pub(super) fn each(&mut self, expr: &IdedExpr, each: &ComprehensionExpr) -> Checked<Node> {
        let known = "of the loops there are `exists` and `all`";
        let is_all = match (&each.accu_init.expr, &each.loop_step.expr) {
            (Expr::Literal(LiteralValue::Boolean(value)), Expr::Call(_)) => *value.inner(),
            _ => return self.error(expr, known),
        };
        let Expr::Call(step) = &each.loop_step.expr else { return self.error(expr, known) };
        let [_, body] = step.args.as_slice() else { return self.error(expr, known) };
        let over = self.typed(&each.iter_range)?;
        let (is_ancestor, turns) = match &over {
            Typed::Ancestors => (true, ANCESTORS),
            Typed::Items(Items::Literal(literals)) => (false, literals.iter().count() as u64),
            Typed::Items(items @ (Items::ArgsOfAncestor(_) | Items::Field(_))) => {
                (false, length(items))
            }
            Typed::Items(Items::Set(_)) => return self.error(&each.iter_range, IN_ONLY),
            other => {
                let message = format!(
                    "`exists` and `all` go over ancestors, a list of the event or one in brackets, \
                     but this is {}",
                    other.describe()
                );
                return self.error(&each.iter_range, message);
            }
        };
        if self.loops.len() == LOOPS_MAX {
            return self.error(expr, format!("more than {LOOPS_MAX} loops in one another"));
        }
        self.bound(expr, turns)?;
        self.loops.push(Loop { name: each.iter_var.clone(), is_ancestor, turns });
        let body = self.bool(body);
        self.loops.pop();
        // All are so when none is not so, and there is a list of which that can be said.
        let body = if is_all { Node::Not(Box::new(body?)) } else { body? };
        let (any, known) = match over {
            Typed::Items(items) => {
                let known = matches!(items, Items::Field(_) | Items::ArgsOfAncestor(_))
                    .then(|| Node::IsThere(items.clone()));
                (Node::Any { items, body: Box::new(body) }, known)
            }
            _ => (Node::AnyAncestor { body: Box::new(body) }, None),
        };
        if !is_all {
            return Ok(any);
        }
        let none = Node::Not(Box::new(any));
        Ok(match known {
            Some(known) => Node::And(vec![known, none]),
            None => none,
        })
    }

    /// That a search of so many turns does not stand in loops that make it too long.
    pub(super) fn bound(&self, expr: &IdedExpr, turns: u64) -> Checked<()> {
        let outer = self.loops.iter().map(|outer| outer.turns);
        let all = outer.fold(turns, u64::saturating_mul);
        if self.loops.is_empty() || all <= TURNS_MAX { Ok(()) } else { self.error(expr, TOO_LONG) }
    }

    pub(super) fn is_in(
        &mut self,
        expr: &IdedExpr,
        left: &IdedExpr,
        right: &IdedExpr,
    ) -> Checked<Node> {
        let value = self.typed(left)?;
        let list = self.typed(right)?;
        self.may_be_in(&value, (right, &list))?;
        match (value, list) {
            (Typed::Text(text), Typed::Items(items)) => {
                self.bound(expr, length(&items))?;
                Ok(Node::TextIn { text, items })
            }
            (Typed::Number(number), Typed::Numbers(list)) => Ok(Node::NumberIn { number, list }),
            (value, list) => self.error(
                expr,
                format!("`in` looks for a text among texts or a number among numbers, but this is {} in {}", value.describe(), list.describe()),
            ),
        }
    }

    /// `process.args[1]` and `env['NAME']`.
    pub(super) fn index(
        &mut self,
        expr: &IdedExpr,
        left: &IdedExpr,
        right: &IdedExpr,
    ) -> Checked<Typed> {
        let list = self.typed(left)?;
        let at = self.typed(right)?;
        match (list, at) {
            (Typed::Items(items), Typed::Number(Number::Literal(at)))
                if !matches!(items, Items::Set(_)) =>
            {
                match usize::try_from(at) {
                    Ok(at) => Ok(Typed::Text(Text::At(items, at))),
                    Err(_) => self.error(right, "places in a list are counted from 0"),
                }
            }
            (Typed::Environment, Typed::Text(Text::Literal(name))) => {
                self.variable(left, &String::from_utf8_lossy(&name))
            }
            _ => self.error(
                expr,
                "`[...]` takes a place in a list of texts, or the name of a variable of env",
            ),
        }
    }
}
