//! A cursor that is taken was made for this list, and for no other one.

use gatehouse_domain::paging::{Cursor, InvalidCursor};
use gatehouse_store::cursor;

/// Lists whose names begin alike, and one that looks as if another were inside it.
const LISTS: [&str; 4] = ["RUNS#acme", "RUNS#acme2", "RUNS", "RUNS#acme\nx"];

pub(crate) fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    taken(&Cursor::unverified(text.clone().into_owned()));
    taken(&Cursor::encode(input));
    // A list's own sort keys come back; only those that the table would refuse do not.
    for list in &LISTS[..3] {
        let made = cursor::encode(list, &text);
        match cursor::decode(list, &made) {
            Ok(sort_key) => assert_eq!(sort_key, text),
            Err(InvalidCursor) => assert!(text.is_empty() || text.len() > 1000, "{text:?} is lost"),
        }
    }
}

fn taken(cursor: &Cursor) {
    let by: Vec<_> =
        LISTS.iter().filter_map(|list| Some((list, cursor::decode(list, cursor).ok()?))).collect();
    assert!(by.len() <= 1, "{cursor:?} leads into {by:?}");
    for (list, sort_key) in by {
        assert_eq!(cursor::encode(list, &sort_key), *cursor, "two texts for one place");
    }
}
