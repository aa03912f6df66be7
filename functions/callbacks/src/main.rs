//! The `callbacks` Lambda: wiring and nothing else.

fn main() {}
