//! Configuration from the environment, tracing, AWS clients, clock, ids.
