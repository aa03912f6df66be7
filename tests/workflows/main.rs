//! The deployed state machines: what they are made of, and how they behave in the local Step Functions when
//! workers fail, fall silent or answer late, when functions are away, and when the engine crashes.

mod adapter;
mod crashes;
mod definitions;
mod deploy;
mod functions;
mod provision;
mod schedules;
mod world;
