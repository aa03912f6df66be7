//! What the parts of AWS that are played here have in common: an account, ids, and a protocol.

mod account;
pub mod ids;
pub mod json;

pub use self::account::Account;
