//! What is inside a cursor: the sort key that a page ended with.
//!
//! The partition is never taken from a cursor but from the list that is asked for, and the sort key must
//! begin as that list's keys do, so a cursor cannot lead into another tenant's things.

use gatehouse_domain::paging::{Cursor, InvalidCursor};

/// A cursor that stands behind `sort_key` of `list`.
pub fn encode(list: &str, sort_key: &str) -> Cursor {
    Cursor::encode(format!("{list}\n{sort_key}").as_bytes())
}

/// The sort key that a cursor of `list` stands behind.
pub fn decode(list: &str, cursor: &Cursor) -> Result<String, InvalidCursor> {
    let text = String::from_utf8(cursor.decode()?).map_err(|_| InvalidCursor)?;
    let (of, sort_key) = text.split_once('\n').ok_or(InvalidCursor)?;
    if of == list { Ok(sort_key.to_owned()) } else { Err(InvalidCursor) }
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
    fn text_that_is_no_cursor_is_refused() {
        for bad in ["", "!", "AA", "Zm9v", &"A".repeat(4096)] {
            assert_eq!(decode("JOBS", &Cursor::unverified(bad.to_owned())), Err(InvalidCursor), "{bad:?}");
        }
    }
}
