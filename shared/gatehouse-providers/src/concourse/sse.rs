//! An incremental parser of server-sent events.
//!
//! Bytes come in pieces that end anywhere, inside a character too, so records are put together from bytes
//! and nothing is decoded here. A record that grows beyond [`MAX_RECORD`] is read over and reported as such:
//! one monstrous event must neither fill the memory nor end the stream.

use std::mem;

use bytes::{Buf, Bytes};

/// The longest record that is kept, in bytes: Concourse cuts output into chunks of some kilobytes, and its
/// longest events are the plans of large pipelines.
pub(super) const MAX_RECORD: usize = 4 * 1024 * 1024;

/// One server-sent event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// The `id` field.
    pub(super) id: Option<String>,
    /// The `event` field; empty without one.
    pub(super) event: String,
    /// The `data` fields, joined by newlines; `None` when they were longer than is kept.
    pub(super) data: Option<Vec<u8>>,
}

/// Puts records together.
#[derive(Debug)]
pub(super) struct SseParser {
    limit: usize,
    /// What is kept of the current line.
    line: Vec<u8>,
    /// How long the current line is.
    line_length: usize,
    id: Option<String>,
    event: String,
    data: Option<Vec<u8>>,
    /// How many more bytes of the current record are kept.
    room: usize,
    too_long: bool,
    after_cr: bool,
    at_start: bool,
}

impl Default for SseParser {
    fn default() -> Self {
        Self::with_limit(MAX_RECORD)
    }
}

impl SseParser {
    fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            line_length: 0,
            id: None,
            event: String::new(),
            data: None,
            room: limit,
            too_long: false,
            after_cr: false,
            at_start: true,
        }
    }

    /// Takes bytes from `input` up to the end of the next record, or all of them when none ends there.
    pub(super) fn next(&mut self, input: &mut Bytes) -> Option<Record> {
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
            if let Some(record) = self.end_line() {
                return Some(record);
            }
        }
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

    fn end_line(&mut self) -> Option<Record> {
        let mut line = mem::take(&mut self.line);
        let mut length = mem::take(&mut self.line_length);
        if mem::take(&mut self.at_start) && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
            length -= 3;
        }
        if length == 0 {
            return self.end_record();
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
            b"event" => self.event = String::from_utf8_lossy(value).into_owned(),
            b"id" if !value.contains(&0) => self.id = Some(String::from_utf8_lossy(value).into_owned()),
            _ => {}
        }
        // Only data adds up; a record may have any number of comments.
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

    /// An empty line ends a record; without event and data there is none.
    fn end_record(&mut self) -> Option<Record> {
        let (id, event, data) = (self.id.take(), mem::take(&mut self.event), self.data.take());
        self.room = self.limit;
        if mem::take(&mut self.too_long) {
            return Some(Record { id, event, data: None });
        }
        let is_one = data.is_some() || !event.is_empty();
        is_one.then(|| Record { id, event, data: Some(data.unwrap_or_default()) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(id: Option<&str>, event: &str, data: &str) -> Record {
        Record { id: id.map(str::to_owned), event: event.to_owned(), data: Some(data.as_bytes().to_vec()) }
    }

    fn parse(parser: &mut SseParser, pieces: &[&[u8]]) -> Vec<Record> {
        let mut records = Vec::new();
        for piece in pieces {
            let mut input = Bytes::copy_from_slice(piece);
            records.extend(std::iter::from_fn(|| parser.next(&mut input)));
            assert!(input.is_empty(), "bytes were left over");
        }
        records
    }

    fn all(text: &[u8]) -> Vec<Record> {
        parse(&mut SseParser::default(), &[text])
    }

    const STREAM: &[u8] = "id: 0\nevent: event\ndata: {\"payload\":\"grüße 🚀\"}\n\n\
                           id: 1\r\nevent: event\r\ndata: a\r\ndata: b\r\n\r\n\
                           : a comment\n\n\
                           id: 2\nevent: end\ndata\n\n"
        .as_bytes();

    fn expected() -> Vec<Record> {
        vec![
            record(Some("0"), "event", "{\"payload\":\"grüße 🚀\"}"),
            record(Some("1"), "event", "a\nb"),
            record(Some("2"), "end", ""),
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
            assert_eq!(parse(&mut SseParser::default(), &[head, tail]), expected(), "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(parse(&mut SseParser::default(), &bytes), expected());
    }

    #[test]
    fn a_record_without_its_empty_line_is_not_one_yet() {
        assert_eq!(all(b"event: end\ndata\n"), []);
    }

    #[test]
    fn lone_carriage_returns_end_lines_too() {
        assert_eq!(
            all(b"event: a\rdata: 1\r\rdata: 2\r\n\r\n"),
            [record(None, "a", "1"), record(None, "", "2")]
        );
    }

    #[test]
    fn marks_spaces_and_strange_fields_follow_the_standard() {
        assert_eq!(all(b"\xef\xbb\xbfdata:x\n\n"), [record(None, "", "x")]);
        assert_eq!(all(b"data:  x\nretry: 1\nnonsense\n\n"), [record(None, "", " x")]);
        assert_eq!(all(b"id: 1\n\nid: a\0b\ndata\n\n"), [record(None, "", "")]);
    }

    #[test]
    fn a_record_that_is_too_long_is_read_over() {
        let mut parser = SseParser::with_limit(32);
        let long = [b"id: 7\nevent: event\ndata: ".as_slice(), &[b'x'; 1000], b"\n\nid: 8\ndata: short\n\n"];
        let expected =
            [Record { data: None, ..record(Some("7"), "event", "") }, record(Some("8"), "", "short")];
        assert_eq!(parse(&mut parser, &long), expected);
        assert!(parser.line.capacity() <= 64, "the line kept {} bytes", parser.line.capacity());
    }

    #[test]
    fn many_short_lines_of_one_record_are_bounded_too() {
        let mut parser = SseParser::with_limit(100);
        let lines = b"data: 0123456789\n".repeat(50);
        let records = parse(&mut parser, &[&lines, b"\n", b"data: x\n\n"]);
        assert_eq!(records, [Record { data: None, ..Record::default() }, record(None, "", "x")]);
    }

    #[test]
    fn comments_do_not_make_a_record_long() {
        let comments = b": still here\n".repeat(50);
        let records = parse(&mut SseParser::with_limit(32), &[&comments, b"data: x\n\n"]);
        assert_eq!(records, [record(None, "", "x")]);
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_the_same_records(
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
            prop_assert_eq!(parse(&mut SseParser::with_limit(64), &pieces), parse(&mut SseParser::with_limit(64), &[&bytes]));
        }

        #[test]
        fn what_was_written_is_read(
            texts in proptest::collection::vec("[^\r\n]{0,40}", 1..8),
            chunk in 1_usize..50,
        ) {
            let records = texts.iter().enumerate().map(|(id, text)| {
                format!("id: {id}\nevent: event\ndata: {text}\n\n")
            });
            let stream: String = records.collect();
            let pieces: Vec<&[u8]> = stream.as_bytes().chunks(chunk).collect();
            let read = parse(&mut SseParser::default(), &pieces);
            let expected: Vec<_> = texts.iter().enumerate()
                .map(|(id, text)| record(Some(&id.to_string()), "event", text)).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
