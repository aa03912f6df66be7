//! The twin's answers beside those of a real Concourse: status, headers, and bodies but for what is data.
//!
//! Whatever differs stands in [`REVIEWED`] with its reason, or fails; and what stands there and does not differ any
//! more fails too.
//!
//! How long builds wait is not compared, since each is brought to where the recorded one was. It differs: a real one that
//! nothing holds up is pending until the scheduler looks at its job, for ten seconds and more, and the twin's begins at
//! once, since no test should wait for that. A test that needs a pending one says so
//! (`waiting::a_build_that_nothing_holds_up_begins_at_once`).

mod compare;
mod replay;
mod world;

use std::collections::BTreeSet;

use gatehouse_testkit::{concourse::Version, recordings};

use self::replay::Replay;

/// A difference that may be.
struct Reviewed {
    /// The version and file, or the file, it is in; all for nothing.
    at: &'static str,
    /// A part of the note.
    note: &'static str,
    /// A part of the target.
    target: &'static str,
    /// A part of what is said of it.
    what: &'static str,
    why: &'static str,
}

/// What may differ, and why.
const REVIEWED: &[Reviewed] = &[Reviewed {
    at: "errors",
    note: "",
    target: "/sky/login",
    what: "",
    why: "nobody logs in to the twin by a page",
}];

/// The files of a version, in the order in which they were recorded.
const FILES: [(Version, &str, &[&str]); 2] = [
    (
        Version::V7_14,
        "7.14.3",
        &["auth", "info-user", "teams-pipelines", "jobs", "trigger", "cancel", "rerun"],
    ),
    (
        Version::V8_3,
        "8.3.0-dev",
        &[
            "auth",
            "info-user",
            "teams-pipelines",
            "jobs",
            "set-team-case",
            "trigger",
            "build-states",
            "cancel",
            "rerun",
            "paging",
            "paging-reruns",
            "rename",
            "destroy",
            "errors",
            "events-headers",
        ],
    ),
];

#[tokio::test]
async fn answers_are_as_recorded() {
    let (mut unexpected, mut seen, mut compared) = (Vec::new(), BTreeSet::new(), 0);
    for (version, folder, files) in FILES {
        for file in files {
            let exchanges = recordings::exchanges(folder, file);
            let mut replay = Replay::start(version, folder, file, &exchanges).await;
            for (index, exchange) in exchanges.iter().enumerate() {
                let Some(differences) = replay.exchange(index).await else { continue };
                compared += 1;
                for difference in differences {
                    let place = format!("{folder}/{file}");
                    let known = REVIEWED.iter().position(|it| {
                        place.ends_with(it.at)
                            && exchange.note.contains(it.note)
                            && exchange.target.contains(it.target)
                            && difference.contains(it.what)
                    });
                    match known {
                        Some(known) => drop(seen.insert(known)),
                        None => unexpected.push(format!(
                            "{place}: {} ({} {}): {difference}",
                            exchange.note, exchange.method, exchange.target
                        )),
                    }
                }
            }
        }
    }
    let stale = REVIEWED.iter().enumerate().filter(|(index, _)| !seen.contains(index));
    let stale: Vec<_> =
        stale.map(|(_, it)| format!("{} {} {}: {}", it.at, it.note, it.what, it.why)).collect();
    assert!(unexpected.is_empty(), "{} differ:\n{}", unexpected.len(), unexpected.join("\n"));
    assert!(stale.is_empty(), "these do not differ any more: {stale:?}");
    assert_eq!(compared, 509);
}
