//! `export` and `import`: all of a Gatehouse but its secrets and its history, as one file that another one takes.

mod body;
mod document;
mod export;
mod given;
mod import;
mod kind;
mod report;

pub use self::{export::ExportArgs, import::ImportArgs};
pub(crate) use self::{export::export, import::import};
