//! What became of each entry of a file.

use std::{collections::BTreeMap, io};

use gatehouse_domain::json::{Json, Object};
use serde_json::json;

use super::kind::Kind;
use crate::{
    exit::Exit,
    output::{Column, Output},
};

const CHANGES: &[Column] = &[("OUTCOME", "/outcome"), ("KIND", "/kind"), ("NAME", "/name")];

/// What became of an entry, or would.
pub(super) enum Outcome {
    Created,
    Changed,
    Unchanged,
    /// It stays as it was, and why.
    Refused(String),
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Refused(_) => "refused",
        }
    }
}

/// What is told of an import.
pub(super) struct Report {
    dry_run: bool,
    entries: Vec<(Kind, String, Outcome)>,
    by_hand: Vec<String>,
}

impl Report {
    pub(super) fn new(dry_run: bool) -> Self {
        Self { dry_run, entries: Vec::new(), by_hand: Vec::new() }
    }

    pub(super) fn add(&mut self, kind: Kind, name: &str, outcome: Outcome) {
        self.entries.push((kind, name.to_owned(), outcome));
    }

    /// Notes something that only a person can give, or has to look at.
    pub(super) fn by_hand(&mut self, what: String) {
        self.by_hand.push(what);
    }

    pub(super) fn exit(&self) -> Exit {
        let refused = self.entries.iter().any(|(_, _, outcome)| matches!(outcome, Outcome::Refused(_)));
        if refused { Exit::Refused } else { Exit::Done }
    }

    pub(super) fn print(&self, output: &mut Output<'_>) -> io::Result<()> {
        if output.json {
            return output.stdout.line(&self.json().to_string());
        }
        let rows: Vec<Json> = self
            .entries
            .iter()
            .filter(|(_, _, outcome)| !matches!(outcome, Outcome::Unchanged))
            .map(|(kind, name, outcome)| Json::Object(row(*kind, name, outcome)))
            .collect();
        if !rows.is_empty() {
            output.table(CHANGES, &rows)?;
        }
        for (kind, name, outcome) in &self.entries {
            if let Outcome::Refused(reason) = outcome {
                output.note(&format!("{} {name}: {reason}", kind.word()))?;
            }
        }
        if !self.by_hand.is_empty() {
            output.note("still to be done by hand:")?;
            self.by_hand.iter().try_for_each(|what| output.note(&format!("  {what}")))?;
        }
        let summary = self.summary();
        let counts: Vec<_> = summary.iter().map(|(word, count)| format!("{count} {word}")).collect();
        let written = if self.dry_run { "; nothing was written" } else { "" };
        output.note(&format!("{}{written}", counts.join(", ")))
    }

    fn summary(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::from([("created", 0), ("changed", 0), ("unchanged", 0), ("refused", 0)]);
        for (_, _, outcome) in &self.entries {
            *counts.entry(outcome.word()).or_default() += 1;
        }
        counts
    }

    fn json(&self) -> Json {
        let entries = self.entries.iter();
        let entries = entries.map(|(kind, name, outcome)| Json::Object(row(*kind, name, outcome)));
        Json::Object(Object::from([
            ("dry_run".to_owned(), Json::Bool(self.dry_run)),
            ("summary".to_owned(), json!(self.summary()).into()),
            ("entries".to_owned(), Json::Array(entries.collect())),
            ("by_hand".to_owned(), json!(self.by_hand).into()),
        ]))
    }
}

fn row(kind: Kind, name: &str, outcome: &Outcome) -> Object {
    let mut row = Object::from([
        ("kind".to_owned(), kind.word().into()),
        ("name".to_owned(), name.into()),
        ("outcome".to_owned(), outcome.word().into()),
    ]);
    if let Outcome::Refused(reason) = outcome {
        row.insert("reason".to_owned(), reason.as_str().into());
    }
    row
}
