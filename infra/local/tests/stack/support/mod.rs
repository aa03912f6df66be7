//! A stack to call, callers, and words for what they do.

pub mod binary;
pub mod catalog;
pub mod client;
pub mod concourse;
pub mod events;
pub mod forger;
pub mod gate;
pub mod people;
pub mod random;
pub mod receiver;
pub mod stack;
pub mod table;
pub mod wait;

pub use self::{
    client::{Anonymous, Answer, Call, Client, Key},
    events::{Event, Resume},
    stack::TestStack,
    wait::{eventually, in_time},
};
