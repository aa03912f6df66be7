//! How long calls to CI systems may take, and how much of their answers is read.

use std::time::Duration;

/// How long one call may take, its body included. A request to Gatehouse has 29 s and may need three calls
/// in a row.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(8);

/// How long getting a token may take: a slow hash of the password is part of it.
pub(crate) const TOKEN_TIMEOUT: Duration = Duration::from_secs(8);

/// How much of a list is read, in bytes: some thousands of entries.
pub(crate) const LIST_LIMIT: usize = 8 * 1024 * 1024;

/// How much of any other answer is read, in bytes.
pub(crate) const ANSWER_LIMIT: usize = 1024 * 1024;
