//! The worker that a workflow starts.

fn main() {}
