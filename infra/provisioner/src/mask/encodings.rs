//! Texts as they read once they are decoded, and what base 64 makes of a secret.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};

/// What a text says, and where each byte of that begins in the text itself.
pub(super) struct Reading {
    bytes: Vec<u8>,
    /// One more than there are bytes: the last is the text's end.
    places: Vec<usize>,
}

impl Reading {
    /// Where this is said, as bounds in the text itself.
    pub(super) fn find(&self, secret: &[u8]) -> Vec<(usize, usize)> {
        let Some(last) = self.bytes.len().checked_sub(secret.len()) else { return Vec::new() };
        let mut found = Vec::new();
        let mut at = 0;
        while at <= last {
            if self.bytes[at..].starts_with(secret) {
                found.push((self.places[at], self.places[at + secret.len()]));
                at += secret.len().max(1);
            } else {
                at += 1;
            }
        }
        found
    }

    /// What this says in turn. `decode` takes the rest of it, and returns what its beginning stands for and how long that
    /// is; `None` for a byte that stands for itself.
    fn then(&self, decode: impl Fn(&[u8]) -> Option<(Decoded, usize)>) -> Self {
        let (mut bytes, mut places) = (Vec::with_capacity(self.bytes.len()), Vec::new());
        let mut at = 0;
        while let Some(rest) = self.bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let (decoded, length) = decode(rest).unwrap_or((Decoded::byte(rest[0]), 1));
            let decoded = decoded.bytes();
            bytes.extend_from_slice(decoded);
            // What stands for several bytes is taken as a whole, or not.
            places.extend(decoded.iter().map(|_| self.places[at]));
            at += length;
        }
        places.push(self.places[self.bytes.len()]);
        Self { bytes, places }
    }
}

/// One character, as UTF-8.
struct Decoded([u8; 4], usize);

impl Decoded {
    fn byte(byte: u8) -> Self {
        Self([byte, 0, 0, 0], 1)
    }

    fn char(char: char) -> Self {
        let mut bytes = [0; 4];
        let length = char.encode_utf8(&mut bytes).len();
        Self(bytes, length)
    }

    fn bytes(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

/// The text as it is, and as it reads with JSON escapes, with those within a JSON text in JSON, and with URL encoding,
/// where a `+` may be a space or not.
pub(super) fn readings(text: &str) -> Vec<Reading> {
    let plain = Reading { bytes: text.as_bytes().to_vec(), places: (0..=text.len()).collect() };
    let mut readings = Vec::new();
    if text.contains('\\') {
        let json = plain.then(json_escape);
        if json.bytes.contains(&b'\\') {
            readings.push(json.then(json_escape));
        }
        readings.push(json);
    }
    if text.contains('%') {
        readings.push(plain.then(percent));
    }
    if text.contains('+') {
        readings.push(plain.then(|rest| percent(rest).or_else(|| plus(rest))));
    }
    readings.push(plain);
    readings
}

fn json_escape(rest: &[u8]) -> Option<(Decoded, usize)> {
    let [b'\\', kind, ..] = rest else { return None };
    let byte = match kind {
        b'"' | b'\\' | b'/' => *kind,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unicode_escape(rest),
        _ => return None,
    };
    Some((Decoded::byte(byte), 2))
}

fn unicode_escape(rest: &[u8]) -> Option<(Decoded, usize)> {
    let unit = |at: usize| {
        let text = rest.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
    };
    let first = unit(0)?;
    let units = [first, unit(6).unwrap_or_default()];
    let char = char::decode_utf16(units).next()?.ok()?;
    Some((Decoded::char(char), 6 * char.len_utf16()))
}

fn percent(rest: &[u8]) -> Option<(Decoded, usize)> {
    let [b'%', high, low, ..] = rest else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
    Some((Decoded::byte(byte), 3))
}

fn plus(rest: &[u8]) -> Option<(Decoded, usize)> {
    (rest.first() == Some(&b'+')).then(|| (Decoded::byte(b' '), 1))
}

/// Whether base 64 may hold this byte, in either alphabet, its padding apart.
pub(super) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte)
}

/// The digits of base 64 that the secret alone decides, wherever it begins within three bytes, in both alphabets.
pub(super) fn base64_parts(secret: &[u8]) -> Vec<String> {
    let mut parts = Vec::new();
    for before in 0..3 {
        let bytes = [&[0; 2][..before], secret].concat();
        // A digit holds six bits. The first of ours may share its digit with what is before, the last with what follows.
        let own = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
        for encoding in [BASE64_NOPAD, BASE64URL_NOPAD] {
            let part = encoding.encode(&bytes)[own.clone()].to_owned();
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
    }
    parts
}
