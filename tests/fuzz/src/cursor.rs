//! A cursor leads back to the place it was sealed for, in its own list; nothing else is taken for one.

use gatehouse_domain::paging::{Cursor, InvalidCursor};
use gatehouse_store::cursor::CursorKey;

/// Lists whose names begin alike, and one that looks as if another were inside it.
const LISTS: [&str; 4] = ["RUNS#acme", "RUNS#acme2", "RUNS", "RUNS#acme\nx"];

pub(crate) fn check(input: &[u8]) {
    let key = CursorKey::new(&[7; 32]);
    let text = String::from_utf8_lossy(input);
    for forged in [Cursor::unverified(text.clone().into_owned()), Cursor::encode(input)] {
        for list in LISTS {
            assert_eq!(key.open(list, &forged), Err(InvalidCursor), "{forged:?} is taken for {list}");
        }
    }
    for list in LISTS {
        let Some(cursor) = key.seal([1; 16], list, &text) else {
            // Only what the table would refuse has no cursor.
            assert!(text.is_empty() || text.len() > 1000, "{text:?} is lost");
            continue;
        };
        for other in LISTS {
            let place = key.open(other, &cursor).ok();
            assert_eq!(
                place.as_deref(),
                (other == list).then_some(&*text),
                "sealed for {list}, opened for {other}"
            );
        }
    }
}
