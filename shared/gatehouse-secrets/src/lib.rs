//! Secrets Manager adapter with a short in-memory cache.
