//! The process provider with real processes and real files.

mod cancelling;
mod crashes;
mod output;
mod running;
mod stack;
mod suite;
