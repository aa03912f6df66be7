//! Lambda behind /services.
