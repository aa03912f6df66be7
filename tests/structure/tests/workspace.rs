//! How the source of this workspace is laid out.

use std::fmt::Write;

use gatehouse_structure::{circles::circles, schemas, text, workspace};

/// Words that were replaced, with what says it now: the field's word, or ours from `docs/GLOSSARY.md`.
const OLD_WORDS: &[(&str, &str)] = &[
    ("Acting", "Audited"),
    ("DOOMED", "TRASH_PREFIX"),
    ("Deed", "AuditTarget"),
    ("StartState", "RunRequestState"),
    ("Starts", "RunRequests"),
    ("Surroundings", "Dependencies"),
    ("cross_out", "acknowledge"),
    ("Equipment", "WorkerConfig"),
    ("Hindrance", "Cancellation"),
    ("OwedFlush", "PendingFlush"),
    ("StoredDebt", "StoredFlush"),
    ("ends_by", "expires_by"),
    ("ends_soon", "expires_soon"),
    ("owe_flush", "mark_flush_pending"),
    ("token_ends_at", "token_expires_at"),
    ("StartKey", "RequestKey"),
    ("Told", "TaskAnswer"),
    ("endure", "Backoff"),
    ("excuse", "reset_heartbeat"),
    ("let_go", "release"),
    ("Patience", "Backoff"),
    ("Standing", "TokenStatus"),
];

/// How many of a hundred doc comments may have three words or fewer: those mostly repeat a name.
const SHORT_DOC_COMMENTS: usize = 5;

#[test]
fn no_modules_are_in_a_circle() {
    let crates = workspace::crates().unwrap_or_else(|error| panic!("{}", error.0));
    let circles: String = crates.iter().flat_map(circles).map(|circle| circle.to_string()).collect();
    assert!(circles.is_empty(), "modules use each other in a circle:\n{circles}");
}

/// A module with children is one folder with all of it: `foo/mod.rs`, never `foo.rs` beside `foo/`.
#[test]
fn a_module_and_its_children_are_in_one_folder() {
    let sources = workspace::sources();
    let beside: Vec<_> = sources
        .iter()
        .map(|(file, _)| file)
        .filter(|file| workspace::root().join(file.with_extension("")).is_dir())
        .collect();
    assert!(beside.is_empty(), "these belong into the folders beside them, as mod.rs: {beside:#?}");
}

#[test]
fn old_words_are_gone() {
    let mut found = String::new();
    for (file, source) in workspace::sources() {
        let identifiers = text::identifiers(&source);
        for (old, new) in OLD_WORDS {
            for line in identifiers.get(*old).into_iter().flatten() {
                writeln!(found, "{}:{line}: {old} is {new} now", file.display()).expect("a String takes it");
            }
        }
    }
    assert!(found.is_empty(), "{found}");
}

/// A rule takes the store and the adapters that it uses. Only the signals to a workflow have a struct of their own: which
/// of them a function may send differs, and a missing one leaves the signal to the janitor.
#[test]
fn rules_take_ports_one_by_one() {
    let mut found = String::new();
    for (file, source) in workspace::sources() {
        let identifiers = text::identifiers(&source);
        for name in
            identifiers.keys().filter(|name| name.ends_with("Ports") && name.as_str() != "WorkflowPorts")
        {
            writeln!(found, "{}: {name}", file.display()).expect("a String takes it");
        }
    }
    assert!(found.is_empty(), "{found}");
}

/// A stream ends with its reader's credential, so functions leave it to gatehouse-http to make a body of one.
#[test]
fn functions_make_no_stream_of_their_own() {
    let sources = workspace::sources();
    let functions = sources.iter().filter(|(file, _)| file.starts_with("functions") && !text::is_test(file));
    let makes_one = |(_, source): &&(_, String)| text::identifiers(source).contains_key("from_stream");
    let found: Vec<_> = functions.filter(makes_one).map(|(file, _)| file).collect();
    assert!(found.is_empty(), "use gatehouse-http's `Admission::body` in {found:#?}");
}

/// utoipa keeps one schema of a name. Where a second type has that name, the description says of one what is true of the
/// other, and nothing fails.
#[test]
fn no_two_types_share_a_name_in_the_api_description() {
    let sources = workspace::sources();
    let production = sources.iter().filter(|(file, _)| !text::is_test(file));
    let described: Vec<_> = production.flat_map(|(file, source)| schemas::described(file, source)).collect();
    assert!(described.len() > 100, "only {} types were found to have a schema", described.len());
    let clashes: String = schemas::clashes(described).iter().map(ToString::to_string).collect();
    assert!(clashes.is_empty(), "give all but one another name, by `#[schema(as = …)]`:\n{clashes}");
}

#[test]
fn doc_comments_say_more_than_the_name() {
    let sources = workspace::sources();
    let production = sources.iter().filter(|(file, _)| !text::is_test(file));
    let comments: Vec<_> = production.flat_map(|(file, source)| text::doc_comments(file, source)).collect();
    let short: Vec<String> = comments
        .iter()
        .filter(|comment| comment.text.split_whitespace().count() <= 3)
        .map(|comment| format!("{}:{}: {}", comment.file.display(), comment.line, comment.text))
        .collect();
    assert!(
        short.len() * 100 <= comments.len() * SHORT_DOC_COMMENTS,
        "{} of {} doc comments have three words or fewer:\n{}",
        short.len(),
        comments.len(),
        short.join("\n")
    );
}
