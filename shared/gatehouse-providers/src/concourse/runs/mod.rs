//! Single runs.

mod show;
mod start;

pub(super) use self::{
    show::{build, cancel, find, reason},
    start::{checkpoint, start, started_since},
};
