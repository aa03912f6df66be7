//! A log for reading: without escape sequences, with one kind of line end.

use std::collections::BTreeMap;

use anstyle_parse::{Parser, Perform, Utf8Parser};
use gatehouse_domain::ci::LogStream;

/// How many steps may write at once: more than any run has, and a bound for what is remembered.
const MAX_WRITERS: usize = 1000;

/// Turns pieces of log into plain text. Escape sequences and line ends may be cut anywhere between pieces,
/// so what each writer left unfinished is remembered.
#[derive(Default)]
pub(crate) struct PlainText {
    writers: BTreeMap<(Option<String>, bool), Writer>,
}

#[derive(Default)]
struct Writer {
    parser: Parser<Utf8Parser>,
    /// The last piece ended with a carriage return, which may be half a line end.
    return_pending: bool,
}

impl PlainText {
    /// The plain text of one piece.
    pub(crate) fn push(&mut self, step: Option<String>, stream: LogStream, piece: &str) -> String {
        if self.writers.len() > MAX_WRITERS {
            self.writers.clear();
        }
        let writer = self.writers.entry((step, stream == LogStream::Stderr)).or_default();
        let mut stripped = Stripped(String::with_capacity(piece.len()));
        for byte in piece.bytes() {
            writer.parser.advance(&mut stripped, byte);
        }
        writer.unify_line_ends(&stripped.0)
    }
}

/// What a terminal would show of a text, in one line after the other.
struct Stripped(String);

impl Perform for Stripped {
    fn print(&mut self, c: char) {
        self.0.push(c);
    }

    fn execute(&mut self, byte: u8) {
        if matches!(byte, b'\n' | b'\r' | b'\t') {
            self.0.push(char::from(byte));
        }
    }
}

impl Writer {
    /// `\r\n` is one line end, and so is a lone `\r`, with which progress bars write over their line.
    fn unify_line_ends(&mut self, text: &str) -> String {
        let mut plain = String::with_capacity(text.len());
        for c in text.chars() {
            let pending = std::mem::replace(&mut self.return_pending, c == '\r');
            match c {
                '\n' => plain.push('\n'),
                _ if pending => {
                    plain.push('\n');
                    plain.extend((c != '\r').then_some(c));
                }
                '\r' => {}
                c => plain.push(c),
            }
        }
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(pieces: &[&str]) -> String {
        let mut text = PlainText::default();
        pieces.iter().map(|piece| text.push(None, LogStream::Stdout, piece)).collect()
    }

    #[test]
    fn escape_sequences_go_wherever_they_are_cut() {
        let whole = "\u{1b}[1;32mgreen\u{1b}[0m and \u{1b}]0;title\u{7}plain é\r\n";
        for cut in (0..whole.len()).filter(|cut| whole.is_char_boundary(*cut)) {
            let (head, tail) = whole.split_at(cut);
            assert_eq!(plain(&[head, tail]), "green and plain é\n", "cut at {cut}");
        }
    }

    #[test]
    fn progress_bars_become_lines() {
        assert_eq!(plain(&["10%\r20%\r", "30%\r\n", "done\n"]), "10%\n20%\n30%\ndone\n");
    }

    #[test]
    fn writers_do_not_disturb_each_other() {
        let mut text = PlainText::default();
        text.push(Some("a".into()), LogStream::Stdout, "\u{1b}[3");
        assert_eq!(text.push(Some("b".into()), LogStream::Stdout, "1m"), "1m");
        assert_eq!(text.push(Some("a".into()), LogStream::Stdout, "1mx"), "x");
    }
}
