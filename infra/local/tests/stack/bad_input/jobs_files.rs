//! Jobs files.

use super::{INVALID, MALFORMED, Settled, UNREADABLE, assert_refused, case};
use crate::support::Call;

#[tokio::test]
async fn jobs_files_that_are_bombs_or_no_jobs_files_are_refused() {
    let settled = Settled::start().await;
    let laughs: String =
        ('b'..='i').fold("a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned(), |file, name| {
            let before = char::from(u8::try_from(name).unwrap() - 1);
            let aliases = vec![format!("*{before}"); 9].join(", ");
            file + &format!("{name}: &{name} [{aliases}]\n")
        });
    let quadratic = format!(
        "jobs:\n- &a {{job_id: x, description: {}}}\n{}",
        "y".repeat(20_000),
        "- *a\n".repeat(40_000)
    );
    let deep = format!("jobs: {}", "[".repeat(50_000));
    let levels: Vec<_> = (0..1300).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let deep_maps = levels.concat();
    let merged = "jobs:\n- &a {job_id: x, <<: {project: y}}\n- {<<: *a}\n".to_owned();
    let files = [
        (laughs.as_str(), UNREADABLE),
        (&quadratic, UNREADABLE),
        (&deep, UNREADABLE),
        (&deep_maps, UNREADABLE),
        ("jobs: &a [*a]\n", UNREADABLE),
        ("jobs: *absent\n", MALFORMED),
        ("jobs: [\n", MALFORMED),
        ("jobs: \"\n", MALFORMED),
        ("jobs: []\njobs: []\n", UNREADABLE),
        ("jobs: []\n---\njobs: []\n", UNREADABLE),
        ("", UNREADABLE),
        ("just text", UNREADABLE),
        ("- job_id: x\n", UNREADABLE),
        ("jobs: {}\n", UNREADABLE),
        ("jobs: [1]\n", UNREADABLE),
        ("jobs: [[]]\n", UNREADABLE),
        ("jobs: []\nextra: 1\n", INVALID),
        ("jobs: !!binary aGVsbG8=\n", UNREADABLE),
        ("jobs:\n- ? [a, b]\n  : c\n", UNREADABLE),
        ("%TAG ! tag:evil,2000:\njobs: []\n", UNREADABLE),
        ("jobs: \u{0}\n", UNREADABLE),
    ];
    let import = Call::post("/v1/jobs/import?tenant=example");
    let mut cases: Vec<_> = files
        .iter()
        .map(|(file, slugs)| case(import.clone().body("application/yaml", (*file).to_owned()), slugs, ""))
        .collect();
    cases.push(case(import.clone().body("application/yaml", &b"\xff\xfe"[..]), MALFORMED, "UTF-8"));
    let platform = settled.client();
    assert_refused(&platform, cases).await;
    let merged = platform.send(import.body("application/yaml", merged)).await;
    assert!(!merged.status.is_server_error(), "{merged:?}");
    if merged.status == 200 {
        assert_eq!(merged.json()["summary"]["refused"], 2, "{}", merged.text());
    }
    settled.assert_nothing_was_written().await;
}
