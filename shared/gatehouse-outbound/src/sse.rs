//! An incremental parser of server-sent events, WHATWG HTML section 9.2.
//!
//! Bytes come in pieces that end anywhere, inside a character too, so events are put together from bytes and nothing
//! but ids and names is decoded here. An event that grows beyond the limit is read over and reported as such: one
//! monstrous event must neither fill the memory nor, for those who can do without it, end the stream.

use std::{mem, time::Duration};

use bytes::{Buf, Bytes};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// The `id` field.
    pub id: Option<String>,
    /// The `event` field; empty without one.
    pub name: String,
    /// The `data` fields, joined by newlines; `None` when the event was longer than the limit.
    pub data: Option<Vec<u8>>,
}

#[derive(Debug)]
pub struct SseParser {
    limit: usize,
    /// What is kept of the current line.
    line: Vec<u8>,
    /// How long the current line is.
    line_length: usize,
    id: Option<String>,
    name: String,
    data: Option<Vec<u8>>,
    retry: Option<Duration>,
    /// How many more bytes of the current event are kept.
    room: usize,
    too_long: bool,
    after_cr: bool,
    at_start: bool,
}

impl SseParser {
    /// A parser that keeps up to `limit` bytes of an event.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            line_length: 0,
            id: None,
            name: String::new(),
            data: None,
            retry: None,
            room: limit,
            too_long: false,
            after_cr: false,
            at_start: true,
        }
    }

    /// Takes bytes from `input` up to the end of the next event, or all of them when none ends there.
    pub fn next(&mut self, input: &mut Bytes) -> Option<SseEvent> {
        loop {
            self.skip_lf(input);
            let Some(end) = input.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.keep(input);
                input.clear();
                return None;
            };
            let piece = input.split_to(end);
            self.keep(&piece);
            self.after_cr = input.get_u8() == b'\r';
            if let Some(event) = self.end_line() {
                return Some(event);
            }
        }
    }

    /// Whether the event that is being read has outgrown the limit. Its end may never come, so whoever cannot do
    /// without it gives up here.
    pub fn is_too_long(&self) -> bool {
        self.too_long
    }

    /// How long readers are asked to wait before they reconnect, if the server ever said so.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Drops the second half of a `\r\n`, which may come with another piece than the first.
    fn skip_lf(&mut self, input: &mut Bytes) {
        if let Some(first) = input.first()
            && mem::take(&mut self.after_cr)
            && *first == b'\n'
        {
            input.advance(1);
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        self.line_length = self.line_length.saturating_add(piece.len());
        if piece.len() <= self.room {
            self.room -= piece.len();
            self.line.extend_from_slice(piece);
        } else {
            self.room = 0;
            self.too_long = true;
        }
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let mut line = mem::take(&mut self.line);
        let mut length = mem::take(&mut self.line_length);
        if mem::take(&mut self.at_start) && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
            length -= 3;
        }
        if length == 0 {
            return self.end_event();
        }
        if line.len() == length {
            self.field(&line);
        }
        // The allocation serves the next line.
        line.clear();
        self.line = line;
        None
    }

    fn field(&mut self, line: &[u8]) {
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => return self.data(value),
            b"event" => self.name = String::from_utf8_lossy(value).into_owned(),
            b"id" if !value.contains(&0) => self.id = Some(String::from_utf8_lossy(value).into_owned()),
            b"retry" => self.retry = milliseconds(value).or(self.retry),
            _ => {}
        }
        // Only data adds up; an event may have any number of comments.
        self.room += line.len();
    }

    fn data(&mut self, value: &[u8]) {
        match &mut self.data {
            None => self.data = Some(value.to_vec()),
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
        }
    }

    /// An empty line ends an event; without a name and data there is none.
    fn end_event(&mut self) -> Option<SseEvent> {
        let (id, name, data) = (self.id.take(), mem::take(&mut self.name), self.data.take());
        self.room = self.limit;
        if mem::take(&mut self.too_long) {
            return Some(SseEvent { id, name, data: None });
        }
        let is_one = data.is_some() || !name.is_empty();
        is_one.then(|| SseEvent { id, name, data: Some(data.unwrap_or_default()) })
    }
}

fn milliseconds(value: &[u8]) -> Option<Duration> {
    std::str::from_utf8(value).ok()?.parse().map(Duration::from_millis).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1024 * 1024;

    fn event(id: Option<&str>, name: &str, data: &str) -> SseEvent {
        SseEvent { id: id.map(str::to_owned), name: name.to_owned(), data: Some(data.as_bytes().to_vec()) }
    }

    fn parse(parser: &mut SseParser, pieces: &[&[u8]]) -> Vec<SseEvent> {
        let mut events = Vec::new();
        for piece in pieces {
            let mut input = Bytes::copy_from_slice(piece);
            events.extend(std::iter::from_fn(|| parser.next(&mut input)));
            assert!(input.is_empty(), "bytes were left over");
        }
        events
    }

    fn all(text: &[u8]) -> Vec<SseEvent> {
        parse(&mut SseParser::new(LIMIT), &[text])
    }

    const STREAM: &[u8] = "\u{feff}: a comment\nretry: 250\n\n\
                           id: 0\nevent: log\ndata: {\"payload\":\"grüße 🚀\"}\n\n\
                           id: 1\r\nevent: log\r\ndata: a\r\ndata: b\r\n\r\n\
                           : alive\n\n\
                           data:  x\rnonsense\r\r\
                           id: 2\nevent: end\ndata\n\n"
        .as_bytes();

    fn expected() -> Vec<SseEvent> {
        vec![
            event(Some("0"), "log", "{\"payload\":\"grüße 🚀\"}"),
            event(Some("1"), "log", "a\nb"),
            event(None, "", " x"),
            event(Some("2"), "end", ""),
        ]
    }

    #[test]
    fn a_whole_stream_is_read() {
        assert_eq!(all(STREAM), expected());
    }

    #[test]
    fn cutting_at_any_byte_changes_nothing() {
        for cut in 0..=STREAM.len() {
            let (head, tail) = STREAM.split_at(cut);
            assert_eq!(parse(&mut SseParser::new(LIMIT), &[head, tail]), expected(), "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(parse(&mut SseParser::new(LIMIT), &bytes), expected());
    }

    #[test]
    fn an_event_without_its_empty_line_is_not_one_yet() {
        assert_eq!(all(b"event: end\ndata\n"), []);
    }

    #[test]
    fn lone_carriage_returns_end_lines_too() {
        assert_eq!(
            all(b"event: a\rdata: 1\r\rdata: 2\r\n\r\n"),
            [event(None, "a", "1"), event(None, "", "2")]
        );
    }

    #[test]
    fn marks_spaces_and_strange_fields_follow_the_standard() {
        assert_eq!(all(b"\xef\xbb\xbfdata:x\n\n"), [event(None, "", "x")]);
        assert_eq!(all(b"data:  x\nretry: 1\nnonsense\n\n"), [event(None, "", " x")]);
        assert_eq!(all(b"id: 1\n\nid: a\0b\ndata\n\n"), [event(None, "", "")]);
    }

    #[test]
    fn an_event_that_is_too_long_is_read_over() {
        let mut parser = SseParser::new(32);
        let long = [b"id: 7\nevent: event\ndata: ".as_slice(), &[b'x'; 1000], b"\n\nid: 8\ndata: short\n\n"];
        let expected =
            [SseEvent { data: None, ..event(Some("7"), "event", "") }, event(Some("8"), "", "short")];
        assert_eq!(parse(&mut parser, &long), expected);
        assert!(parser.line.capacity() <= 64, "the line kept {} bytes", parser.line.capacity());
    }

    #[test]
    fn many_short_lines_of_one_event_are_bounded_too() {
        let mut parser = SseParser::new(100);
        let lines = b"data: 0123456789\n".repeat(50);
        let events = parse(&mut parser, &[&lines, b"\n", b"data: x\n\n"]);
        assert_eq!(events, [SseEvent { data: None, ..SseEvent::default() }, event(None, "", "x")]);
    }

    #[test]
    fn comments_do_not_make_an_event_long() {
        let comments = b": still here\n".repeat(50);
        let events = parse(&mut SseParser::new(32), &[&comments, b"data: x\n\n"]);
        assert_eq!(events, [event(None, "", "x")]);
    }

    #[test]
    fn an_endless_event_can_be_given_up() {
        let mut parser = SseParser::new(LIMIT);
        let half = vec![b'x'; LIMIT / 2];
        parse(&mut parser, &[b"data: a\n\ndata: ", &half]);
        assert!(!parser.is_too_long());
        parse(&mut parser, &[&half]);
        assert!(parser.is_too_long());
        parse(&mut parser, &[b"\n\n"]);
        assert!(!parser.is_too_long(), "the next event is as long as it may be");
    }

    #[test]
    fn short_events_never_add_up() {
        let mut parser = SseParser::new(LIMIT);
        let short = format!("data: {}\n\n", "x".repeat(LIMIT / 2)).into_bytes();
        for _ in 0..20 {
            let events = parse(&mut parser, &[&short]);
            assert!(matches!(events.as_slice(), [SseEvent { data: Some(_), .. }]));
        }
    }

    #[test]
    fn the_pause_before_reconnecting_is_kept() {
        let mut parser = SseParser::new(LIMIT);
        parse(&mut parser, &[b"retry: 250\n\nretry: soon\n\n"]);
        assert_eq!(parser.retry(), Some(Duration::from_millis(250)));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_the_same_events(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b' '), Just(b'd'), any::<u8>()], 0..200
            ),
            cuts in proptest::collection::vec(0_usize..200, 0..8),
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            prop_assert_eq!(parse(&mut SseParser::new(64), &pieces), parse(&mut SseParser::new(64), &[&bytes]));
        }

        #[test]
        fn what_was_written_is_read(
            texts in proptest::collection::vec("[^\r\n]{0,40}", 1..8),
            chunk in 1_usize..50,
        ) {
            let events = texts.iter().enumerate().map(|(id, text)| {
                format!("id: {id}\nevent: event\ndata: {text}\n\n")
            });
            let stream: String = events.collect();
            let pieces: Vec<&[u8]> = stream.as_bytes().chunks(chunk).collect();
            let read = parse(&mut SseParser::new(LIMIT), &pieces);
            let expected: Vec<_> = texts.iter().enumerate()
                .map(|(id, text)| event(Some(&id.to_string()), "event", text)).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
