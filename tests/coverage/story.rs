//! `events/README.md` tells the story of the sample events: each of them once, and nothing that is not there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use crate::{read, root};

const PAGE: &str = "events/README.md";

/// The sample events: function, and path from the repository's root.
pub fn files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for function in fs::read_dir(root().join("events")).expect("events/") {
        let function = function.expect("an entry");
        if !function.file_type().expect("a type").is_dir() {
            continue;
        }
        let name = function.file_name().to_string_lossy().into_owned();
        for case in fs::read_dir(function.path()).expect("a folder") {
            let case = case.expect("a file").file_name().to_string_lossy().into_owned();
            files.push((name.clone(), format!("events/{name}/{case}")));
        }
    }
    files
}

/// The cells of the rows of the tables below a heading, without the marks of code.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let page = read(PAGE);
    let (_, rest) = page.split_once(heading).unwrap_or_else(|| panic!("{PAGE} has no {heading:?}"));
    let section = rest.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().replace('`', "")).collect())
        .collect()
}

#[test]
fn the_story_has_every_event_once() {
    let told: Vec<String> =
        rows("## Order").into_iter().map(|row| format!("events/{}.json", row[0])).collect();
    let once: BTreeSet<String> = told.iter().cloned().collect();
    assert_eq!(told.len(), once.len(), "{PAGE} tells something twice");
    let there: BTreeSet<String> = files().into_iter().map(|(_, path)| path).collect();
    assert_eq!(once, there);
}

#[test]
fn what_stands_for_something_else_is_known_before_it_is_used() {
    let told: Vec<String> = rows("## Order").into_iter().map(|row| row[0].clone()).collect();
    let place = |event: &str| told.iter().position(|it| it == event);
    let samples = rows("## What stands for something else").into_iter().filter(|row| row.len() == 3);
    let mut first = BTreeMap::new();
    for row in samples {
        let learned = place(&row[1]).unwrap_or_else(|| panic!("{} is not told", row[1]));
        let known = first.entry(row[0].clone()).or_insert(learned);
        *known = learned.min(*known);
    }
    assert!(first.len() > 10);
    for (sample, learned) in first {
        let used: Vec<usize> = told
            .iter()
            .enumerate()
            .filter(|(_, event)| read(&format!("events/{event}.json")).contains(&sample))
            .map(|(at, _)| at)
            .collect();
        assert!(!used.is_empty(), "{sample} is in no event");
        let early = used.iter().find(|at| **at <= learned).map(|at| &told[*at]);
        assert_eq!(early, None, "{sample} is not known yet");
    }
}
