//! The subcommands. `anyhow` is used here and nowhere else.

pub mod tail;
