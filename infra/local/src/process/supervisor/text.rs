//! From bytes as they arrive to pieces of text.

/// Bytes that were read and are not text yet: the beginning of a line whose end may follow at once.
#[derive(Debug, Default)]
pub(super) struct Pending(Vec<u8>);

impl Pending {
    /// Takes `bytes` in, and gives the whole lines that there are now.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Option<String> {
        let lines = bytes.iter().rposition(|byte| *byte == b'\n').map(|last| self.0.len() + last + 1);
        self.0.extend_from_slice(bytes);
        self.take(lines.unwrap_or_default())
    }

    /// Gives everything but the beginning of a character whose rest is still to come.
    pub(super) fn flush(&mut self) -> Option<String> {
        self.take(self.0.len() - incomplete_character(&self.0))
    }

    /// Gives everything: nothing more will come.
    pub(super) fn finish(&mut self) -> Option<String> {
        self.take(self.0.len())
    }

    /// How much a flush would give.
    pub(super) fn flushable(&self) -> usize {
        self.0.len() - incomplete_character(&self.0)
    }

    fn take(&mut self, length: usize) -> Option<String> {
        if length == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&self.0[..length]).into_owned();
        self.0.drain(..length);
        Some(text)
    }
}

/// How many bytes at the end begin a character without ending it.
fn incomplete_character(bytes: &[u8]) -> usize {
    let longest = bytes.len().min(3);
    let begins = |length: &usize| {
        let tail = &bytes[bytes.len() - length..];
        str::from_utf8(tail).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    (1..=longest).rev().find(begins).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_lines_come_at_once_and_the_rest_on_demand() {
        let mut pending = Pending::default();
        assert_eq!(pending.push(b"a\nb\nc").as_deref(), Some("a\nb\n"));
        assert_eq!(pending.push(b"d").as_deref(), None);
        assert_eq!(pending.push(b"e\nf").as_deref(), Some("cde\n"));
        assert_eq!(pending.flush().as_deref(), Some("f"));
        assert_eq!(pending.flush(), None);
    }

    #[test]
    fn half_a_character_waits_for_its_rest() {
        let mut pending = Pending::default();
        assert_eq!(pending.push(&"ä€😀".as_bytes()[..8]), None);
        assert_eq!(pending.flush().as_deref(), Some("ä€"));
        assert_eq!((pending.flush(), pending.flushable()), (None, 0));
        assert_eq!(pending.push(&"😀".as_bytes()[3..]), None);
        assert_eq!(pending.flush().as_deref(), Some("😀"));
    }

    #[test]
    fn what_is_no_text_is_marked() {
        let mut pending = Pending::default();
        assert_eq!(pending.push(b"a\xff\xc3\n").as_deref(), Some("a\u{fffd}\u{fffd}\n"));
        pending.push(b"\xe2\x82");
        assert_eq!(pending.flush(), None);
        assert_eq!(pending.finish().as_deref(), Some("\u{fffd}"));
    }

    proptest! {
        #[test]
        fn text_survives_any_cuts_and_flushes(text in ".*(\n.*){0,3}", cuts in prop::collection::vec((1usize..6, any::<bool>()), 0..40)) {
            let mut pending = Pending::default();
            let mut out = String::new();
            let mut rest = text.as_bytes();
            for (length, flush) in cuts {
                let (now, later) = rest.split_at(length.min(rest.len()));
                out.extend(pending.push(now));
                if flush {
                    out.extend(pending.flush());
                }
                rest = later;
            }
            out.extend(pending.push(rest));
            out.extend(pending.finish());
            prop_assert_eq!(out, text);
        }
    }
}
