//! The parser of server-sent events says the same however the bytes are cut, and what the specification says.

use bytes::Bytes;
use gatehouse_outbound::{SseEvent, SseParser};

/// Large enough for what the fuzzer writes, so that nothing is left out.
const PLENTY: usize = 1 << 20;

/// The first byte says how large an event may be, the second how long the pieces are; the rest is the stream.
pub(crate) fn check(input: &[u8]) {
    let [limit, piece, stream @ ..] = input else { return };
    let whole = read(PLENTY, stream.len().max(1), stream);
    assert_eq!(whole, specified(stream));
    assert_eq!(read(PLENTY, usize::from(*piece) + 1, stream), whole);
    let limit = usize::from(*limit);
    let limited = read(limit, stream.len().max(1), stream);
    assert_eq!(read(limit, usize::from(*piece) + 1, stream), limited);
    assert!(limited.iter().flat_map(|event| &event.data).all(|data| data.len() <= limit));
}

fn read(limit: usize, piece: usize, stream: &[u8]) -> Vec<SseEvent> {
    let mut parser = SseParser::new(limit);
    let mut events = Vec::new();
    for piece in stream.chunks(piece) {
        let mut piece = Bytes::copy_from_slice(piece);
        while let Some(event) = parser.next(&mut piece) {
            events.push(event);
        }
    }
    events
}

/// The events of a whole stream, read line by line as WHATWG HTML 9.2.6 says, but that an id is of its event alone,
/// and that a name is enough for an event.
fn specified(stream: &[u8]) -> Vec<SseEvent> {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let (mut events, mut event) = (Vec::new(), SseEvent::default());
    for line in lines(stream) {
        if line.is_empty() {
            let done = std::mem::take(&mut event);
            if done.data.is_some() || !done.name.is_empty() {
                events.push(SseEvent { data: Some(done.data.unwrap_or_default()), ..done });
            }
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = || String::from_utf8_lossy(value).into_owned();
        match &line[..colon] {
            b"event" => event.name = text(),
            b"data" => match &mut event.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                none => *none = Some(value.to_vec()),
            },
            b"id" if !value.contains(&0) => event.id = Some(text()),
            _ => {}
        }
    }
    events
}

/// The lines that have an end.
fn lines(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = vec![Vec::new()];
    let mut bytes = stream.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if(|next| **next == b'\n');
                lines.push(Vec::new());
            }
            b'\n' => lines.push(Vec::new()),
            other => lines.last_mut().expect("there is one").push(*other),
        }
    }
    lines.pop();
    lines
}
