//! Types that the API description would take for one.

use std::path::Path;

use gatehouse_structure::schemas::{clashes, described};

/// What is said of types that clash in these files.
fn found(files: &[(&str, &str)]) -> String {
    let types = files.iter().flat_map(|(file, source)| described(Path::new(file), source));
    clashes(types).iter().map(ToString::to_string).collect()
}

const JOB: &str = "#[derive(Debug, Serialize, ToSchema)]\npub struct JobView { id: String }";

#[test]
fn two_types_of_one_name_are_named_with_their_places() {
    let check = "/// What a trigger would do.\n#[derive(Serialize, utoipa::ToSchema)]\n#[serde(untagged)]\nenum JobView { A }";
    assert_eq!(
        found(&[("job.rs", JOB), ("check.rs", check)]),
        "the schema `JobView` is each of these:\n    JobView in job.rs:2\n    JobView in check.rs:4\n"
    );
}

#[test]
fn a_type_counts_under_the_name_that_it_is_given() {
    let renamed =
        "#[derive(ToSchema)]\n#[schema(example = 1, as = JobOutlook, title = \"x\")]\nstruct JobView;";
    assert_eq!(found(&[("job.rs", JOB), ("check.rs", renamed)]), "");
    let taken = "#[derive(ToSchema)]\n#[schema(as = JobView)]\nstruct Outlook;";
    assert_eq!(
        found(&[("job.rs", JOB), ("check.rs", taken)]),
        "the schema `JobView` is each of these:\n    JobView in job.rs:2\n    Outlook in check.rs:3\n"
    );
}

#[test]
fn types_of_inner_modules_count() {
    let inner = "mod wire {\n    #[derive(ToSchema)]\n    struct JobView;\n}";
    assert_eq!(
        found(&[("job.rs", JOB), ("check.rs", inner)]),
        "the schema `JobView` is each of these:\n    JobView in job.rs:2\n    JobView in check.rs:3\n"
    );
}

#[test]
fn types_without_a_schema_do_not_count() {
    assert_eq!(found(&[("job.rs", JOB), ("domain.rs", "#[derive(Debug)]\nstruct JobView;")]), "");
}
