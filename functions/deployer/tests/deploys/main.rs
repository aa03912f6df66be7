//! What the function answers, with everything behind it in memory; what it posts, to a server on this host.

mod commands;
mod support;
