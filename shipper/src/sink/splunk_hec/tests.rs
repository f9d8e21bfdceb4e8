//! What the sink makes of answers.
