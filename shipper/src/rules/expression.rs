//! An expression that was checked: it can be asked, and never fails.

use std::fmt;
use std::sync::Arc;

use super::asks::Asks;
use super::compile::{Compiler, Place};
use super::lists::Lists;
use super::node::Node;
use super::parse::{ExpressionError, parse};
use super::subject::{Recorded, Subject};
use crate::event::Event;

/// A checked expression. Two are equal when they are written alike.
#[derive(Clone)]
pub struct Expression {
    source: Arc<str>,
    node: Arc<Node>,
    asks: Arc<Asks>,
}

impl Expression {
    /// Checks it.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn new(source: &str, place: Place, lists: &mut Lists) -> Result<Self, ExpressionError> {
        let (tree, info) = parse(source)?;
        let mut compiler = Compiler::new(place, &info, lists);
        let node = compiler.bool(&tree)?;
        let asks = Arc::new(compiler.asks);
        Ok(Expression { source: source.into(), node: Arc::new(node), asks })
    }

    /// As it is written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it asks for.
    #[must_use]
    pub fn asks(&self) -> &Asks {
        &self.asks
    }

    /// Whether it holds for this.
    #[must_use]
    pub fn holds(&self, subject: &impl Subject) -> bool {
        self.node.holds(subject, None)
    }

    /// Whether it holds for the event; always for a report of what was lost or left out.
    #[must_use]
    pub fn passes(&self, event: &Event) -> bool {
        Recorded::new(event).is_none_or(|recorded| self.holds(&recorded))
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Expression {}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

#[cfg(test)]
mod tests;
