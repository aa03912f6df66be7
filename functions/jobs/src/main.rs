//! The `jobs` Lambda: wiring and nothing else.

fn main() {}
