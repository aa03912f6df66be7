//! A small local AWS Secrets Manager.
