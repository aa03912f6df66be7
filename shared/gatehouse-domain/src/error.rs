//! Errors for the log.

use std::{error::Error, fmt};

/// Prints an error and every cause below it, joined by `: `.
///
/// Logs print errors so, and never with `Debug`: what an SDK or a client keeps in an error may hold whole
/// answers, and an answer may hold a secret.
pub struct Chain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn every_cause_is_printed_once() {
        let error = StoreError::Unavailable("the wire is cut".into());
        assert_eq!(Chain(&error).to_string(), "the store is unavailable: the wire is cut");
    }
}
