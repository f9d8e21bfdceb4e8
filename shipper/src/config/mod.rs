//! Configuration: YAML in, validated settings out, with every mistake named at once.

pub mod model;
