//! The `console` Lambda: wiring and nothing else.

fn main() {}
