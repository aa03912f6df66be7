//! The catalog, and what is done from it.

mod approvals;
mod callbacks;
mod deploys;
mod kills;
mod provisioning;
mod watching;
