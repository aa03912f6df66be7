//! What is inside a cursor: the sort key that a page ended with, sealed.
//!
//! A sort key can tell what the page left out: when something happened that its reader may not see, and what it is
//! called. So a cursor is encrypted, and authenticated together with the list it is of and with what was asked of that
//! list by whom: it leads nowhere else. ADR 16 says why.

use gatehouse_domain::paging::{Cursor, InvalidCursor};
use gatehouse_sealing::{SALT, SealingKey};

/// The longest sort key in a cursor, in bytes: the table refuses to compare with one of more than 1,024.
const MAX_LENGTH: usize = 1000;

/// Texts are sealed as multiples of this, in bytes, so that a cursor's length does not tell a month's end from an entry.
const BLOCK: usize = 128;

/// What cursors are sealed with.
pub struct CursorKey(SealingKey);

impl CursorKey {
    /// Takes random bytes for the key.
    pub fn new(secret: &[u8]) -> Self {
        Self(SealingKey::new(secret))
    }

    /// A cursor that stands behind `sort_key`. `None` where no page can end: the key is empty, or longer than any.
    pub fn seal(&self, salt: [u8; SALT], bound_to: &str, sort_key: &str) -> Option<Cursor> {
        let sealed = self.0.seal(salt, bound_to, &padded(sort_key)?).ok()?;
        Some(Cursor::encode(&sealed))
    }

    /// The sort key that a cursor stands behind.
    ///
    /// # Errors
    ///
    /// When it was not sealed with this key, for the same.
    pub fn open(&self, bound_to: &str, cursor: &Cursor) -> Result<String, InvalidCursor> {
        let mut bytes = cursor.decode()?;
        let text = self.0.open(bound_to, &mut bytes).map_err(|_| InvalidCursor)?;
        let end = text.iter().rposition(|byte| *byte != 0).ok_or(InvalidCursor)?;
        String::from_utf8(text[..end].to_vec()).map_err(|_| InvalidCursor)
    }
}

/// The text with a one behind it, and zeros up to the next block.
fn padded(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || text.len() > MAX_LENGTH {
        return None;
    }
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(1);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &str = "2026-09-01T10:00:00.000Z#aud_1";

    fn key() -> CursorKey {
        CursorKey::new(&[7; 32])
    }

    fn seal(bound_to: &str, sort_key: &str) -> Cursor {
        key().seal([1; SALT], bound_to, sort_key).unwrap()
    }

    #[test]
    fn a_cursor_is_good_for_what_it_was_sealed_for_and_nothing_else() {
        let cursor = seal("AUDIT\nacme actor=user:a", PLACE);
        assert_eq!(key().open("AUDIT\nacme actor=user:a", &cursor).as_deref(), Ok(PLACE));
        for other in ["AUDIT\nacme", "AUDIT\nbeta actor=user:a", "JOBS\nacme actor=user:a", ""] {
            assert_eq!(key().open(other, &cursor), Err(InvalidCursor), "{other:?}");
        }
        assert_eq!(CursorKey::new(&[8; 32]).open("AUDIT\nacme actor=user:a", &cursor), Err(InvalidCursor));
    }

    #[test]
    fn a_cursor_tells_nothing_of_its_place() {
        let sealed = |salt, place: &str| key().seal([salt; SALT], "AUDIT", place).unwrap();
        let month = sealed(1, "2026-09");
        assert_eq!(month.as_str().len(), sealed(2, PLACE).as_str().len());
        assert_ne!(sealed(1, PLACE), sealed(2, PLACE));
        let bytes = sealed(1, PLACE).decode().unwrap();
        assert!(!bytes.windows(4).any(|window| window == b"2026" || window == b"aud_"));
    }

    #[test]
    fn a_changed_cursor_is_refused_whichever_bit_it_is() {
        let bytes = seal("JOBS", "acme#payments#deploy").decode().unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key().open("JOBS", &Cursor::encode(&forged)), Err(InvalidCursor), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(key().open("JOBS", &Cursor::encode(&bytes[..length])), Err(InvalidCursor), "{length}");
        }
    }

    #[test]
    fn text_that_is_no_cursor_is_refused() {
        for bad in ["", "!", "AA", "Zm9v", &"A".repeat(4096)] {
            let cursor = Cursor::unverified(bad.to_owned());
            assert_eq!(key().open("JOBS", &cursor), Err(InvalidCursor), "{bad:?}");
        }
    }

    #[test]
    fn every_length_of_a_sort_key_comes_back() {
        for length in 1..=MAX_LENGTH {
            let place = "x".repeat(length);
            assert_eq!(key().open("JOBS", &seal("JOBS", &place)), Ok(place));
        }
        for odd in ["\0", "x\0\0", "x\u{1}", "\u{1}\0"] {
            assert_eq!(key().open("JOBS", &seal("JOBS", odd)).as_deref(), Ok(odd));
        }
        for impossible in [String::new(), "x".repeat(MAX_LENGTH + 1)] {
            assert!(key().seal([1; SALT], "JOBS", &impossible).is_none(), "{} bytes", impossible.len());
        }
    }
}
