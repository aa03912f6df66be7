//! What commands print: answers for machines, tables for people.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use gatehouse_domain::json::Json;
use unicode_width::UnicodeWidthStr;

use crate::{client::Answer, failure::Failure};

pub(crate) struct Output<'a> {
    /// What was asked for goes here.
    pub(crate) stdout: Printer<'a>,
    /// What else people should know goes here.
    pub(crate) stderr: Printer<'a>,
    /// Whether machines read the output.
    pub(crate) json: bool,
}

/// One of the two.
pub(crate) struct Printer<'a> {
    pub(crate) writer: &'a mut dyn Write,
    /// Whether a person sees it at once.
    pub(crate) is_terminal: bool,
    /// Whether colours are wanted.
    pub(crate) colours: bool,
}

/// How a text looks where colours are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Look {
    Dimmed,
    Red,
    Yellow,
}

impl Look {
    const fn code(self) -> &'static str {
        match self {
            Self::Dimmed => "\x1b[2m",
            Self::Red => "\x1b[31m",
            Self::Yellow => "\x1b[33m",
        }
    }
}

pub(crate) const PLAIN: &str = "\x1b[0m";

/// A column of a table: its title, and the JSON pointer of what stands in it.
pub(crate) type Column = (&'static str, &'static str);

impl Printer<'_> {
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.writer, "{text}")?;
        self.writer.flush()
    }

    /// Prints a line that looks so.
    pub(crate) fn styled(&mut self, look: Look, text: &str) -> io::Result<()> {
        if self.colours { self.line(&format!("{}{text}{PLAIN}", look.code())) } else { self.line(text) }
    }
}

impl Output<'_> {
    /// Prints an answer: as it came for machines, otherwise as `people` prints it.
    pub(crate) fn answer(
        &mut self,
        answer: &Answer,
        people: impl FnOnce(&mut Self, &Json) -> io::Result<()>,
    ) -> Result<(), Failure> {
        if self.json {
            self.raw(&answer.text)?;
        } else {
            people(self, &answer.body)?;
        }
        Ok(())
    }

    /// Prints what the server sent as it came; nothing when that was nothing.
    pub(crate) fn raw(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() { Ok(()) } else { self.stdout.line(text.trim_end_matches('\n')) }
    }

    /// Prints something that people should know beside what they asked for.
    pub(crate) fn note(&mut self, text: &str) -> io::Result<()> {
        self.stderr.line(&printable(text))
    }

    /// Prints something that people should beware of.
    pub(crate) fn warn(&mut self, text: &str) -> io::Result<()> {
        self.stderr.styled(Look::Yellow, &printable(&format!("warning: {text}")))
    }

    /// Prints a failure; machines also get the problem as it came.
    pub(crate) fn failure(&mut self, failure: &Failure) -> io::Result<()> {
        if let (true, Failure::Problem(problem)) = (self.json, failure) {
            self.raw(problem.body.as_deref().unwrap_or_default())?;
        }
        if matches!(failure, Failure::Interrupted) && self.stdout.colours {
            // A log that was interrupted may have left a look on.
            write!(self.stdout.writer, "{PLAIN}")?;
            self.stdout.writer.flush()?;
        }
        let Some(text) = failure.text() else { return Ok(()) };
        text.lines().try_for_each(|line| self.stderr.styled(Look::Red, &printable(line)))
    }

    /// Says from when on a change holds everywhere.
    pub(crate) fn effect(&mut self, body: &Json) -> io::Result<()> {
        let by = text_at(body, "/effective_by");
        match body["flushed"].as_bool() {
            Some(false) => {
                self.warn(&format!("what the gateway remembers could not be cleared; it holds by {by}"))
            }
            _ if by.is_empty() => Ok(()),
            _ => self.note(&format!("it holds everywhere by {by}")),
        }
    }

    /// Prints a thing: a line for each of its members.
    pub(crate) fn thing(&mut self, thing: &Json) -> io::Result<()> {
        let members = thing.as_object().into_iter().flatten();
        let rows: Vec<_> = members.map(|(name, value)| vec![name.clone(), cell(Some(value))]).collect();
        self.rows(&rows)
    }

    /// Prints things as a table.
    pub(crate) fn table(&mut self, columns: &[Column], things: &[Json]) -> io::Result<()> {
        let titles = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
        let cells = things
            .iter()
            .map(|thing| columns.iter().map(|(_, pointer)| cell(thing.pointer(pointer))).collect::<Vec<_>>());
        let rows: Vec<Vec<String>> = std::iter::once(titles).chain(cells).collect();
        self.rows(&rows)
    }

    fn rows(&mut self, rows: &[Vec<String>]) -> io::Result<()> {
        aligned(rows).iter().try_for_each(|line| self.stdout.line(line))
    }
}

/// Rows as lines with their columns under each other.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width_of =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width_of(column).unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| {
            let padding = " ".repeat(width.saturating_sub(cell.width()));
            format!("{cell}{padding}")
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A value as it stands in a table.
fn cell(value: Option<&Json>) -> String {
    match value {
        None | Some(Json::Null) => "-".to_owned(),
        Some(Json::String(text)) => printable(text).into_owned(),
        Some(Json::Array(items)) => joined(items.iter().map(|item| cell(Some(item)))),
        Some(Json::Object(members)) => {
            joined(members.iter().map(|(name, value)| format!("{}={}", printable(name), cell(Some(value)))))
        }
        Some(other) => other.to_string(),
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    let text = parts.collect::<Vec<_>>().join(",");
    if text.is_empty() { "-".to_owned() } else { text }
}

/// A member of an answer as text; empty without it.
pub(crate) fn text_at<'a>(value: &'a Json, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
}

/// A text that cannot steer the terminal it is printed on.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_whatever_the_script() {
        let rows = [["A", "B"], ["grüße", "x"], ["門", "y"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(aligned(&rows), ["A      B", "grüße  x", "門     y"]);
    }

    #[test]
    fn cells_show_lists_and_maps_on_one_line() {
        let thing =
            r#"{ "list": ["a", "b"], "map": { "acme": "viewer", "beta": "admin" }, "none": [], "n": 3 }"#;
        let thing = Json::parse(thing).unwrap();
        let shown = |pointer| cell(thing.pointer(pointer));
        assert_eq!(shown("/list"), "a,b");
        assert_eq!(shown("/map"), "acme=viewer,beta=admin");
        assert_eq!(shown("/none"), "-");
        assert_eq!(shown("/missing"), "-");
        assert_eq!(shown("/n"), "3");
    }

    #[test]
    fn numbers_stand_in_cells_as_they_were_written() {
        for number in ["12345678901234567890123", "0.1000000000000000055511151231257827", "1e400", "1.0", "1"]
        {
            let list = format!(r#"[{number}, {{ "size": {number} }}]"#);
            assert_eq!(cell(Some(&Json::parse(&list).unwrap())), format!("{number},size={number}"));
        }
    }

    #[test]
    fn what_a_server_says_cannot_steer_the_terminal() {
        assert_eq!(cell(Some(&"a\u{1b}[2Jb\nc".into())), "a\u{fffd}[2Jb\u{fffd}c");
    }
}
