//! Every key of the table, built here and nowhere else, from typed parts that cannot hold `#`.

use gatehouse_domain::{
    api_key::ApiKeyId,
    ci::{ConcourseTarget, Target},
    idempotency::StartKey,
    jobs::Job,
    name::{JobId, ProjectName, ProviderName, TenantId},
    runs::{Run, RunId, escape},
};
use jiff::Timestamp;

/// Partition and sort key of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
}

impl Key {
    fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }
}

/// `JOB#<job>` / `JOB`
pub fn job(id: &JobId) -> Key {
    Key::new(format!("JOB#{id}"), "JOB")
}

/// Index: `JOBS` / `<tenant>#<project>#<job>`. One partition: jobs are configuration, not traffic.
pub fn job_in_list(job: &Job) -> Key {
    Key::new(JOBS, format!("{}#{}#{}", job.tenant, job.spec.project, job.id))
}

/// Partition of the index that lists jobs.
pub const JOBS: &str = "JOBS";

/// What the sort keys of a tenant's jobs begin with, or of one of its projects.
pub fn jobs_prefix(tenant: &TenantId, project: Option<&ProjectName>) -> String {
    project.map_or_else(|| format!("{tenant}#"), |project| format!("{tenant}#{project}#"))
}

/// `TARGET#<provider>#<team>:<pipeline>:<job>` / `JOB#<job>`: which jobs point at a pipeline job. Instance
/// variables are left out, since a build is found by its pipeline job alone. `None` for targets that
/// nobody looks up.
pub fn job_by_target(provider: &ProviderName, target: &Target, id: &JobId) -> Option<Key> {
    target_partition(provider, target).map(|pk| Key::new(pk, format!("JOB#{id}")))
}

/// Partition of [`job_by_target`].
pub fn target_partition(provider: &ProviderName, target: &Target) -> Option<String> {
    match target {
        Target::Process(_) => None,
        Target::Concourse(ConcourseTarget { team, pipeline, job, .. }) => {
            let names = [team, pipeline, job].map(|name| escape(name)).join(":");
            Some(format!("TARGET#{provider}#{names}"))
        }
    }
}

/// `PROJECT#<project>` / `PROJECT`
pub fn project(name: &ProjectName) -> Key {
    Key::new(format!("PROJECT#{name}"), "PROJECT")
}

/// `PROVIDERS` / `PROVIDER#<provider>`. One partition: an installation has a handful.
pub fn provider(name: &ProviderName) -> Key {
    Key::new(PROVIDERS, format!("PROVIDER#{name}"))
}

/// Partition of all providers.
pub const PROVIDERS: &str = "PROVIDERS";

/// `APIKEY#<key id>` / `APIKEY`
pub fn api_key(id: &ApiKeyId) -> Key {
    Key::new(format!("APIKEY#{}", id.as_str()), "APIKEY")
}

/// `RUN#<run>` / `RUN`
pub fn run(id: &RunId) -> Key {
    Key::new(format!("RUN#{id}"), "RUN")
}

/// Index: `RUNS#<job>` / `<created at>#<run>`. Bounded by time, since runs expire.
pub fn run_in_list(run: &Run) -> Key {
    Key::new(runs_of(&run.job_id), format!("{}#{}", sortable(run.created_at), run.id))
}

/// Partition of the index that lists the runs of a job.
pub fn runs_of(job: &JobId) -> String {
    format!("RUNS#{job}")
}

/// `START#<hash of the key>` / `START`
pub fn start(key: &StartKey) -> Key {
    Key::new(format!("START#{}", key.as_str()), "START")
}

/// `OPEN#<job>` / `START#<hash of the key>`: the starts of a job that are not finished.
pub fn open_start(job: &JobId, key: &StartKey) -> Key {
    Key::new(open_starts_of(job), format!("START#{}", key.as_str()))
}

/// Partition of a job's unfinished starts.
pub fn open_starts_of(job: &JobId) -> String {
    format!("OPEN#{job}")
}

/// `LEASE#<name>` / `LEASE`
pub fn lease(name: &str) -> Key {
    Key::new(format!("LEASE#{name}"), "LEASE")
}

/// A time as text of fixed width, so that text order is time order: `2026-01-02T03:04:05.678Z`.
pub fn sortable(time: Timestamp) -> String {
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_as_text() {
        let whole = sortable("2026-01-02T03:04:05Z".parse().unwrap());
        let later = sortable("2026-01-02T03:04:05.001Z".parse().unwrap());
        assert_eq!(whole, "2026-01-02T03:04:05.000Z");
        assert!(whole < later);
    }

    #[test]
    fn no_name_of_a_pipeline_can_forge_a_key() {
        let target = |team: &str| {
            Target::Concourse(ConcourseTarget {
                team: team.into(),
                pipeline: "p#x".into(),
                job: "j:k".into(),
                vars: serde_json::Map::new(),
            })
        };
        let provider = "concourse".parse().unwrap();
        let partition = target_partition(&provider, &target("a#b")).unwrap();
        assert_eq!(partition, "TARGET#concourse#a~23b:p~23x:j~3ak");
    }
}
