//! What is inside a cursor: the sort key that a page ended with.
//!
//! The partition is never taken from a cursor but from the list that is asked for, and the sort key must
//! begin as that list's keys do, so a cursor cannot lead into another tenant's things.

use gatehouse_domain::paging::{Cursor, InvalidCursor};

/// The longest sort key in a cursor, in bytes: the table refuses to compare with one of more than 1,024.
const MAX_LENGTH: usize = 1000;

/// A cursor that stands behind `sort_key` of `list`.
pub fn encode(list: &str, sort_key: &str) -> Cursor {
    Cursor::encode(format!("{list}\n{sort_key}").as_bytes())
}

/// The sort key that a cursor of `list` stands behind.
pub fn decode(list: &str, cursor: &Cursor) -> Result<String, InvalidCursor> {
    let text = String::from_utf8(cursor.decode()?).map_err(|_| InvalidCursor)?;
    let (of, sort_key) = text.split_once('\n').ok_or(InvalidCursor)?;
    let possible = of == list && (1..=MAX_LENGTH).contains(&sort_key.len());
    if possible { Ok(sort_key.to_owned()) } else { Err(InvalidCursor) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let cursor = encode("RUNS#a", "x");
        assert_eq!(decode("RUNS#a", &cursor).as_deref(), Ok("x"));
        assert_eq!(decode("RUNS#b", &cursor), Err(InvalidCursor));
    }

    #[test]
    fn a_sort_key_that_the_table_would_refuse_is_refused() {
        for bad in [String::new(), "x".repeat(MAX_LENGTH + 1)] {
            assert_eq!(decode("JOBS", &encode("JOBS", &bad)), Err(InvalidCursor), "{} bytes", bad.len());
        }
    }

    #[test]
    fn text_that_is_no_cursor_is_refused() {
        for bad in ["", "!", "AA", "Zm9v", &"A".repeat(4096)] {
            assert_eq!(decode("JOBS", &Cursor::unverified(bad.to_owned())), Err(InvalidCursor), "{bad:?}");
        }
    }
}
