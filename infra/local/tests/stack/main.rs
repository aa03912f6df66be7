//! The whole of Gatehouse in one process, as its callers see it: over HTTP, with real commands, real files
//! and a twin of Concourse.

mod bad_input;
mod catalog;
mod concourse;
mod editing;
mod identity;
mod kills;
mod long_logs;
mod many_readers;
mod migrating;
mod moving;
mod once;
mod paging;
mod quick_start;
mod resume;
mod stopping;
mod strangers;
mod support;
mod visibility;
