//! Limits that hold for every kind.

/// The longest command with all its arguments, and the most that instance variables may measure as JSON, in
/// bytes. What is kept of a run holds them several times, and an item of the table at most 400 KB.
pub(super) const MAX_TARGET: usize = 32 * 1024;
