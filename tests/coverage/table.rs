//! `docs/TABLE.md` shows the keys that the code makes.

use gatehouse_domain::{
    api_key::ApiKeyId,
    ci::{BuildId, ConcourseTarget, Target},
    idempotency::StartKey,
    janitor::{Announcement, News},
    jobs::{Job, JobSpec, Revision},
    runs::{Run, RunStatus},
};
use gatehouse_store::keys::{self, Key};
use jiff::Timestamp;

fn job() -> Job {
    let target = ConcourseTarget {
        team: "main".into(),
        pipeline: "example-pipeline".into(),
        job: "hello-job".into(),
        vars: serde_json::Map::new(),
    };
    let spec = JobSpec {
        project: "payments".parse().unwrap(),
        display_name: "Hello".into(),
        description: None,
        environment: None,
        provider: "concourse".parse().unwrap(),
        target: Target::Concourse(target),
        parameters: Vec::new(),
    };
    Job {
        id: "job_hello".parse().unwrap(),
        tenant: "example".parse().unwrap(),
        spec,
        revision: Revision::unverified("rev".into()),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        updated_by: "test".into(),
    }
}

fn run(job: &Job) -> Run {
    Run {
        id: "main:example-pipeline:hello-job:42".parse().unwrap(),
        job_id: job.id.clone(),
        project: job.spec.project.clone(),
        tenant: job.tenant.clone(),
        provider: job.spec.provider.clone(),
        target: job.spec.target.clone(),
        build: BuildId("42".into()),
        number: None,
        status: RunStatus::Queued,
        provider_status: "pending".into(),
        reason: None,
        parameters: std::collections::BTreeMap::new(),
        triggered_by: None,
        rerun_of: None,
        created_at: "2026-09-01T10:00:00Z".parse().unwrap(),
        started_at: None,
        finished_at: None,
        cancel_requested_at: None,
        web_url: None,
    }
}

fn announcement() -> Announcement {
    let announcement = serde_json::json!({
        "id": "tok_00000000000000000000000000:ending:14",
        "news": News::TokenEnding.title(),
        "found_at": "2026-09-01T10:00:00Z",
        "subject": "tok_00000000000000000000000000",
    });
    serde_json::from_value(announcement).unwrap()
}

fn row(entity: &str, key: &Key, in_list: Option<&Key>) -> String {
    let place = in_list.map_or("| |".to_owned(), |place| format!("`{}` | `{}` |", place.pk, place.sk));
    format!("| {entity} | `{}` | `{}` | {place}", key.pk, key.sk)
}

#[test]
fn the_documentation_shows_the_keys_that_the_code_makes() {
    let job = job();
    let run = run(&job);
    let start = StartKey::of("api_key:key_1", &"k".parse().unwrap());
    let (provider, target) = (&job.spec.provider, &job.spec.target);
    let rows = [
        row("Job", &keys::job(&job.id), Some(&keys::job_in_list(&job))),
        row("Job by target", &keys::job_by_target(provider, target, &job.id).unwrap(), None),
        row("Project", &keys::project(&job.spec.project), None),
        row("Provider", &keys::provider(provider), None),
        row("API key", &keys::api_key(&ApiKeyId::unverified("key_0123456789abcdef0123".into())), None),
        row("Run", &keys::run(&run.id), Some(&keys::run_in_list(&run))),
        row("Start", &keys::start(&start), None),
        row("Open start", &keys::open_start(&job.id, &start), None),
        row("Lease", &keys::lease("provider/concourse/token"), None),
        row("Outbox", &keys::to_publish(&announcement()), None),
    ];
    let documented = super::read("docs/TABLE.md");
    for row in rows.map(|row| row.replace(start.as_str(), "<hash>")) {
        assert!(documented.contains(&row), "docs/TABLE.md lacks the row\n{row}");
    }
}
