//! The `deployer` Lambda: wiring and nothing else.

fn main() {}
