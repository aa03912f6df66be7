//! The `catalog` Lambda: wiring and nothing else.

fn main() {}
