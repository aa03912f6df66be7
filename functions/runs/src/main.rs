//! The `runs` Lambda: wiring and nothing else.

fn main() {}
