//! One folder per CI system.
