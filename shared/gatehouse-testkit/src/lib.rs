//! Stand-ins for what Gatehouse talks to: a stateful twin of Concourse.

pub mod concourse;
