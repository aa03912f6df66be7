//! A log for reading on a terminal, or in a file.
//!
//! Steps write at the same time, and their text comes in pieces that end anywhere. Colours are kept where
//! they are wanted; every other escape sequence goes, so that no log can steer the terminal.

use std::{collections::BTreeMap, fmt::Write};

use anstyle_parse::{Params, Parser, Perform, Utf8Parser};

use crate::output::PLAIN;

/// How many writers are remembered: more than any run has, and a bound for the memory.
const MAX_WRITERS: usize = 1000;

/// What stands before each line of standard error.
const MARK: &str = "stderr| ";

/// The same where colours are wanted.
const COLOURED_MARK: &str = "\x1b[31mstderr|\x1b[0m ";

/// Who wrote a piece: a step, and whether to standard error.
type Source = (Option<String>, bool);

/// Turns pieces of log into what is printed.
pub(super) struct LogView {
    writers: BTreeMap<Source, Writer>,
    last: Option<Source>,
    page: Page,
}

/// What a writer left unfinished.
#[derive(Default)]
struct Writer {
    parser: Parser<Utf8Parser>,
    /// The last character was a carriage return, which may be half a line end.
    after_return: bool,
}

/// What has been printed, as far as it matters for what comes next.
struct Page {
    colours: bool,
    at_line_start: bool,
    /// A look is on that somebody has to end.
    styled: bool,
}

impl LogView {
    /// A view on which nothing has been printed.
    pub(super) fn new(colours: bool) -> Self {
        let page = Page { colours, at_line_start: true, styled: false };
        Self { writers: BTreeMap::new(), last: None, page }
    }

    /// What is to be printed for a piece of log.
    pub(super) fn push(&mut self, step: Option<&str>, stderr: bool, piece: &str) -> String {
        let source = (step.map(str::to_owned), stderr);
        let mut text = String::with_capacity(piece.len());
        if self.last.as_ref() != Some(&source) {
            text.push_str(&self.end_line());
            self.last = Some(source.clone());
        }
        if self.writers.len() > MAX_WRITERS {
            self.writers.clear();
        }
        let Writer { parser, after_return } = self.writers.entry(source).or_default();
        let mut painter = Painter { page: &mut self.page, text, stderr, after_return };
        for byte in piece.bytes() {
            parser.advance(&mut painter, byte);
        }
        painter.text
    }

    /// What is to be printed so that something else can stand on a line of its own.
    pub(super) fn end_line(&mut self) -> String {
        let mut text = String::new();
        if std::mem::take(&mut self.page.styled) {
            text.push_str(PLAIN);
        }
        if !std::mem::replace(&mut self.page.at_line_start, true) {
            text.push('\n');
        }
        text
    }
}

struct Painter<'a> {
    page: &'a mut Page,
    text: String,
    stderr: bool,
    after_return: &'a mut bool,
}

impl Painter<'_> {
    fn character(&mut self, c: char) {
        if self.page.at_line_start && self.stderr {
            self.text.push_str(if self.page.colours { COLOURED_MARK } else { MARK });
        }
        self.page.at_line_start = c == '\n';
        self.text.push(c);
    }

    /// A carriage return is half a line end, or lets a progress bar write over its line: on a terminal it
    /// may, elsewhere each state is a line.
    fn after_return(&mut self, next: char) {
        if std::mem::replace(self.after_return, next == '\r') && next != '\n' {
            self.character(if self.page.colours { '\r' } else { '\n' });
        }
    }
}

impl Perform for Painter<'_> {
    /// U+0080 to U+009F are controls too: U+009B begins escape sequences.
    fn print(&mut self, c: char) {
        if c.is_control() && !matches!(c, '\n' | '\t') {
            return;
        }
        self.after_return(c);
        self.character(c);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\r' if *self.after_return => {}
            b'\r' => *self.after_return = true,
            b'\n' | b'\t' => self.print(char::from(byte)),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: u8) {
        if !self.page.colours || action != b'm' || ignore || !intermediates.is_empty() {
            return;
        }
        let codes =
            params.iter().map(|part| part.iter().map(ToString::to_string).collect::<Vec<_>>().join(":"));
        let codes = codes.collect::<Vec<_>>().join(";");
        self.page.styled = !matches!(codes.as_str(), "" | "0");
        // Writing into a string never fails.
        let _ = write!(self.text, "\x1b[{codes}m");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(colours: bool, pieces: &[(&str, bool, &str)]) -> String {
        let mut view = LogView::new(colours);
        let mut text: String =
            pieces.iter().map(|(step, stderr, piece)| view.push(Some(step), *stderr, piece)).collect();
        text.push_str(&view.end_line());
        text
    }

    #[test]
    fn colours_are_kept_on_terminals_and_nothing_else_is_wherever_it_is_cut() {
        let whole = "\u{1b}[1;32mgreen\u{1b}[0m \u{1b}]0;title\u{7}\u{1b}[2Jand é\r\n";
        for cut in (0..whole.len()).filter(|cut| whole.is_char_boundary(*cut)) {
            let (head, tail) = whole.split_at(cut);
            let pieces = [("a", false, head), ("a", false, tail)];
            assert_eq!(shown(false, &pieces), "green and é\n", "cut at {cut}");
            assert_eq!(shown(true, &pieces), "\u{1b}[1;32mgreen\u{1b}[0m and é\n", "cut at {cut}");
        }
    }

    #[test]
    fn controls_of_one_character_go_too() {
        for colours in [false, true] {
            assert_eq!(shown(colours, &[("a", false, "\u{9b}31mred\u{85}\u{7f}\n")]), "31mred\n");
        }
    }

    #[test]
    fn progress_bars_move_on_terminals_and_are_lines_elsewhere() {
        let pieces = [("a", false, "10%\r20%\r"), ("a", false, "30%\r\n")];
        assert_eq!(shown(false, &pieces), "10%\n20%\n30%\n");
        assert_eq!(shown(true, &pieces), "10%\r20%\r30%\n");
    }

    #[test]
    fn every_line_of_standard_error_is_marked_once() {
        let pieces = [("a", true, "one\ntw"), ("a", true, "o\n")];
        assert_eq!(shown(false, &pieces), "stderr| one\nstderr| two\n");
    }

    #[test]
    fn writers_do_not_share_a_line() {
        let pieces =
            [("a", false, "half"), ("a", true, "oops\n"), ("b", false, "other\n"), ("a", false, "rest")];
        assert_eq!(shown(false, &pieces), "half\nstderr| oops\nother\nrest\n");
    }

    #[test]
    fn a_look_that_is_left_on_is_ended() {
        assert_eq!(shown(true, &[("a", false, "\u{1b}[31mred\n")]), "\u{1b}[31mred\n\u{1b}[0m");
    }
}
