//! Formats: an event, or its JSON, turned into the bytes that a sink or a person gets.

pub mod ecs;
mod errno;
pub mod hec;
pub mod pretty;
pub mod template;
mod text;
pub mod visible;
