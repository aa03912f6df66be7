//! A log for reading: without escape sequences and controls, with one kind of line end, in whole lines.

use std::collections::BTreeMap;

use anstyle_parse::{Parser, Perform, Utf8Parser};
use gatehouse_domain::ci::LogStream;

/// How many steps may write at once: more than any run has, and a bound for what is remembered.
const MAX_WRITERS: usize = 1000;

/// How much of a line is kept back until it is whole, in bytes. A longer one comes in pieces.
const MAX_KEPT: usize = 16 * 1024;

/// A step, and whether it writes to standard error.
type Source = (Option<String>, bool);

/// Turns pieces of log into plain text. Escape sequences, line ends and lines may be cut anywhere between pieces,
/// and steps write at the same time: so what each writer left unfinished is kept until it is whole.
#[derive(Default)]
pub(crate) struct PlainText {
    writers: BTreeMap<Source, Writer>,
    page: Page,
}

#[derive(Default)]
struct Writer {
    parser: Parser<Utf8Parser>,
    /// The last piece ended with a carriage return, which may be half a line end.
    return_pending: bool,
    /// The line that is not whole yet.
    line: String,
}

/// What was written, as far as it matters for what comes next.
#[derive(Default)]
struct Page {
    /// Who wrote the last line, where that has no end yet.
    open: Option<Source>,
}

impl PlainText {
    /// The plain text of a piece, each line behind `mark`: as far as it is whole lines.
    pub(crate) fn push(&mut self, step: Option<&str>, stream: LogStream, mark: &str, piece: &str) -> String {
        let mut text = String::new();
        if self.writers.len() > MAX_WRITERS {
            text = self.flush(|_| true, |_| String::new());
            self.writers.clear();
        }
        let source = (step.map(str::to_owned), stream == LogStream::Stderr);
        let writer = self.writers.entry(source.clone()).or_default();
        for line in writer.take(piece).split_inclusive('\n') {
            writer.line.push_str(line);
            if line.ends_with('\n') || writer.line.len() > MAX_KEPT {
                self.page.write(&mut text, &source, mark, &std::mem::take(&mut writer.line));
            }
        }
        text
    }

    /// What the writers of `step`, which writes no more, left without a line end.
    pub(crate) fn finish(&mut self, step: &str, mark: &str) -> String {
        self.flush(|(of, _)| of.as_deref() == Some(step), |_| mark.to_owned())
    }

    /// What all writers left without a line end; `mark` says what stands before the lines of a step.
    pub(crate) fn end(&mut self, mark: impl Fn(Option<&str>) -> String) -> String {
        self.flush(|_| true, mark)
    }

    /// A message on lines of its own.
    pub(crate) fn message(&mut self, mark: &str, message: &str) -> String {
        let mut text = self.page.end_line();
        for line in message.lines() {
            text.extend([mark, &printable(line), "\n"]);
        }
        text
    }

    fn flush(&mut self, of: impl Fn(&Source) -> bool, mark: impl Fn(Option<&str>) -> String) -> String {
        let mut text = String::new();
        for (source, writer) in
            self.writers.iter_mut().filter(|(source, writer)| of(source) && !writer.line.is_empty())
        {
            let line = std::mem::take(&mut writer.line);
            self.page.write(&mut text, source, &mark(source.0.as_deref()), &line);
        }
        text
    }
}

impl Page {
    fn write(&mut self, text: &mut String, source: &Source, mark: &str, line: &str) {
        if self.open.as_ref() != Some(source) {
            text.push_str(&self.end_line());
            text.push_str(mark);
        }
        text.push_str(line);
        self.open = (!line.ends_with('\n')).then(|| source.clone());
    }

    fn end_line(&mut self) -> String {
        self.open.take().map(|_| "\n".to_owned()).unwrap_or_default()
    }
}

impl Writer {
    /// The plain text of a piece.
    fn take(&mut self, piece: &str) -> String {
        let mut stripped = Stripped(String::with_capacity(piece.len()));
        for byte in piece.bytes() {
            self.parser.advance(&mut stripped, byte);
        }
        self.unify_line_ends(&stripped.0)
    }

    /// `\r\n` is one line end, and so is a lone `\r`, with which progress bars write over their line. A terminal
    /// makes `\r\r\n` of what a program ended with `\r\n` itself.
    fn unify_line_ends(&mut self, text: &str) -> String {
        let mut plain = String::with_capacity(text.len());
        for c in text.chars() {
            let pending = std::mem::replace(&mut self.return_pending, c == '\r');
            match c {
                '\n' => plain.push('\n'),
                '\r' => {}
                c if pending => plain.extend(['\n', c]),
                c => plain.push(c),
            }
        }
        plain
    }
}

/// What a terminal would show of a text, in one line after the other.
struct Stripped(String);

impl Perform for Stripped {
    /// U+0080 to U+009F are controls too: U+009B begins escape sequences.
    fn print(&mut self, c: char) {
        self.0.extend((!c.is_control()).then_some(c));
    }

    fn execute(&mut self, byte: u8) {
        if matches!(byte, b'\n' | b'\r' | b'\t') {
            self.0.push(char::from(byte));
        }
    }
}

/// `line` without escape sequences and controls.
pub(crate) fn printable(line: &str) -> String {
    let mut parser = Parser::<Utf8Parser>::default();
    let mut stripped = Stripped(String::with_capacity(line.len()));
    for byte in line.bytes() {
        parser.advance(&mut stripped, byte);
    }
    stripped.0.retain(|c| c != '\r' && c != '\n');
    stripped.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(text: &mut PlainText, step: &str, piece: &str) -> String {
        text.push(Some(step), LogStream::Stdout, "", piece)
    }

    fn plain(pieces: &[&str]) -> String {
        let mut text = PlainText::default();
        let mut all: String = pieces.iter().map(|piece| push(&mut text, "a", piece)).collect();
        all.push_str(&text.end(|_| String::new()));
        all
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
    fn no_control_is_left() {
        let controls: String = ('\0'..'\u{a0}').filter(|c| c.is_control() && *c != '\u{1b}').collect();
        assert_eq!(plain(&[&format!("a{controls}b\n")]).replace(['\n', '\t'], ""), "ab");
        assert_eq!(plain(&["\u{9b} 31m\n"]), " 31m\n");
    }

    #[test]
    fn progress_bars_become_lines() {
        assert_eq!(plain(&["10%\r20%\r", "30%\r\n", "done\n"]), "10%\n20%\n30%\ndone\n");
    }

    #[test]
    fn a_line_end_that_a_terminal_made_longer_is_one() {
        assert_eq!(plain(&["one\r\r\n", "two\r", "\r", "\nthree"]), "one\ntwo\nthree");
    }

    #[test]
    fn writers_do_not_disturb_each_other() {
        let mut text = PlainText::default();
        push(&mut text, "a", "\u{1b}[3");
        assert_eq!(push(&mut text, "b", "1m\n"), "1m\n");
        assert_eq!(push(&mut text, "a", "1mx\n"), "x\n");
    }

    #[test]
    fn lines_that_are_written_at_the_same_time_stay_whole() {
        let mut text = PlainText::default();
        let mut all = String::new();
        for (step, piece) in [("a", "half "), ("b", "other "), ("a", "whole\nrest"), ("b", "whole\n")] {
            all.push_str(&text.push(Some(step), LogStream::Stdout, &format!("[{step}] "), piece));
        }
        all.push_str(&text.finish("a", "[a] "));
        all.push_str(&text.message("[a] ", "it\u{1b}[31m failed\nbadly"));
        assert_eq!(all, "[a] half whole\n[b] other whole\n[a] rest\n[a] it failed\n[a] badly\n");
    }

    #[test]
    fn a_long_line_comes_in_pieces_and_nothing_is_glued_to_it() {
        let mut text = PlainText::default();
        let long = "x".repeat(MAX_KEPT + 1);
        assert_eq!(push(&mut text, "a", &long), long);
        assert_eq!(push(&mut text, "b", "other\n"), "\nother\n");
        assert_eq!(push(&mut text, "a", "y\n"), "y\n");
    }
}
