//! The rules of services.
