//! An incremental parser of server-sent events, WHATWG HTML section 9.2.
//!
//! Bytes come in pieces that end anywhere, inside a character too.

use std::{mem, time::Duration};

/// The longest event that is read, in bytes: far more than one piece of a log.
const MAX_EVENT: usize = 16 * 1024 * 1024;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// The `id` field.
    pub(crate) id: Option<String>,
    /// The `event` field; empty without one.
    pub(crate) name: String,
    /// The `data` fields, joined by newlines.
    pub(crate) data: String,
}

/// An event that is longer than anything a Gatehouse sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server sends an event of more than {MAX_EVENT} bytes")]
pub(crate) struct TooLong;

/// Puts events together.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    /// How many bytes the event has that is being read.
    length: usize,
    id: Option<String>,
    name: String,
    data: Option<String>,
    retry: Option<Duration>,
    after_return: bool,
    past_start: bool,
}

impl Parser {
    /// The events that end in `piece`.
    pub(crate) fn push(&mut self, mut piece: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        loop {
            // The second half of a `\r\n` may come with another piece than the first.
            if !piece.is_empty() && mem::take(&mut self.after_return) {
                piece = piece.strip_prefix(b"\n").unwrap_or(piece);
            }
            let Some(end) = piece.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.keep(piece)?;
                return Ok(events);
            };
            self.keep(&piece[..end])?;
            self.after_return = piece[end] == b'\r';
            piece = &piece[end + 1..];
            events.extend(self.end_line());
        }
    }

    /// How long readers are asked to wait before they come back.
    pub(crate) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), TooLong> {
        self.length += part.len();
        if self.length > MAX_EVENT {
            return Err(TooLong);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = mem::take(&mut self.line);
        let marked = !mem::replace(&mut self.past_start, true);
        let line = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| marked).unwrap_or(&line);
        if line.is_empty() {
            return self.end_event();
        }
        let line = String::from_utf8_lossy(line);
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        self.field(name, value.strip_prefix(' ').unwrap_or(value));
        None
    }

    fn field(&mut self, name: &str, value: &str) {
        match name {
            "data" => match &mut self.data {
                None => self.data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            },
            "event" => value.clone_into(&mut self.name),
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "retry" => self.retry = value.parse().map(Duration::from_millis).ok().or(self.retry),
            _ => {}
        }
    }

    /// An empty line ends an event; without a name and data there is none.
    fn end_event(&mut self) -> Option<Event> {
        self.length = 0;
        let (id, name, data) = (self.id.take(), mem::take(&mut self.name), self.data.take());
        let is_one = data.is_some() || !name.is_empty();
        is_one.then(|| Event { id, name, data: data.unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &[u8] = "\u{feff}: gatehouse\nretry: 250\n\n\
                           id: e1\nevent: log\ndata: {\"text\":\"grüße 🚀\"}\n\n\
                           id: e2\r\nevent: log\r\ndata: a\r\ndata: b\r\n\r\n\
                           : alive\n\n\
                           data:  x\rnonsense\r\r\
                           id: end\nevent: end\ndata\n\n"
        .as_bytes();

    fn event(id: Option<&str>, name: &str, data: &str) -> Event {
        Event { id: id.map(str::to_owned), name: name.to_owned(), data: data.to_owned() }
    }

    fn expected() -> Vec<Event> {
        vec![
            event(Some("e1"), "log", "{\"text\":\"grüße 🚀\"}"),
            event(Some("e2"), "log", "a\nb"),
            event(None, "", " x"),
            event(Some("end"), "end", ""),
        ]
    }

    fn parse(pieces: &[&[u8]]) -> Vec<Event> {
        let mut parser = Parser::default();
        pieces.iter().flat_map(|piece| parser.push(piece).unwrap()).collect()
    }

    #[test]
    fn cutting_at_any_byte_changes_nothing() {
        for cut in 0..=STREAM.len() {
            let (head, tail) = STREAM.split_at(cut);
            assert_eq!(parse(&[head, tail]), expected(), "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(parse(&bytes), expected());
    }

    #[test]
    fn an_event_without_its_empty_line_is_not_one_yet() {
        assert_eq!(parse(&[b"id: e1\nevent: log\ndata: cut off\n"]), []);
    }

    #[test]
    fn the_pause_before_coming_back_is_kept() {
        let mut parser = Parser::default();
        parser.push(b"retry: 250\n\nretry: soon\n\n").unwrap();
        assert_eq!(parser.retry(), Some(Duration::from_millis(250)));
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut parser = Parser::default();
        let megabyte = vec![b'x'; 1024 * 1024];
        let refused = (0..20).find_map(|_| parser.push(&megabyte).err());
        assert_eq!(refused, Some(TooLong));
    }

    #[test]
    fn comments_and_short_events_never_add_up() {
        let mut parser = Parser::default();
        let event = format!("data: {}\n\n", "x".repeat(1024 * 1024)).into_bytes();
        assert!((0..20).all(|_| parser.push(&event).is_ok_and(|events| events.len() == 1)));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_the_same_events(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b' '), Just(b'd'), any::<u8>()], 0..200
            ),
            size in 1_usize..50,
        ) {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            prop_assert_eq!(parse(&pieces), parse(&[&bytes]));
        }
    }
}
