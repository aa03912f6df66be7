//! Single runs.

mod found;
mod show;
mod start;
mod waiting;

pub(super) use self::{
    found::find,
    show::{build, cancel},
    start::{checkpoint, start, started_since},
    waiting::reason,
};
