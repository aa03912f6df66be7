//! The worker as a real process, against a pretend Gatehouse: with a stand-in for Terraform, and with Terraform
//! itself where it is installed.

mod cancelling;
mod faults;
mod refusals;
mod reporting;
mod secrets;
mod support;
mod terraform;
