//! Looking for a cause in a chain of errors.

use std::{error::Error, io};

/// The first thing that `pick` finds among `error` and its causes, those inside I/O errors included.
pub fn find_cause<T>(
    error: &(dyn Error + 'static),
    pick: &dyn Fn(&(dyn Error + 'static)) -> Option<T>,
) -> Option<T> {
    // `io::Error::source` skips the error that it was made from and answers that one's source.
    let inner = || error.downcast_ref::<io::Error>()?.get_ref();
    let inner = || inner().and_then(|inner| find_cause(inner, pick));
    pick(error).or_else(inner).or_else(|| find_cause(error.source()?, pick))
}
