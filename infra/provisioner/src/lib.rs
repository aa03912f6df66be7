//! Runs Terraform for Gatehouse.
