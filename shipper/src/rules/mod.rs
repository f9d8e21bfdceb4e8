//! Rules: expressions over events, and what is made of those that hold.
//!
//! An expression is CEL (`parse`), checked over the table of fields (`field`) when it is read
//! (`compile`, `functions`) and then only evaluated (`node`) over an event (`subject`). So nothing in it
//! can be wrong when an event comes.

mod asks;
mod compile;
mod expression;
pub mod field;
mod functions;
mod lists;
mod node;
mod parse;
mod record;
mod rule;
mod subject;

pub use asks::Asks;
pub use compile::Place;
pub use expression::Expression;
pub use lists::Lists;
pub use parse::{EXPRESSION_BYTES_MAX, ExpressionError};
pub use record::Record;
pub use rule::{DEDUP_KEYS_MAX, Dedup, LeftOutMatches, Matcher, Rule};
pub use subject::{List, Recorded, Subject};
