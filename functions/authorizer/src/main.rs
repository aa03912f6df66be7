//! The `authorizer` Lambda: wiring and nothing else.

fn main() {}
