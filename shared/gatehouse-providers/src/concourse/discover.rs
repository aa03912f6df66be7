//! The jobs that Concourse has.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use gatehouse_domain::{
    ci::{CiError, CiErrorKind, ConcourseTarget, DiscoveredJob, Target},
    name::JobId,
};
use serde_json::{Map, Value};

use super::{
    client::{Client, Limits},
    error::{About, Call, Effect},
    path,
    roles::{self, Need},
    wire::{JobSummary, Pipeline},
};

/// How many pipelines are asked for their jobs at once: enough to hide the way, too few to be felt there.
const AT_ONCE: usize = 6;

/// The longest id of a job, in bytes, less the room for a number behind it.
const MAX_ID: usize = 128 - 8;

/// The longest display name of a job, in bytes.
const MAX_DISPLAY_NAME: usize = 200;

const OPERATION: &str = "list the jobs";

/// The jobs of `teams`, or of every team that can be seen. Archived pipelines run nothing and are left out.
pub(super) async fn discover(
    client: &Client,
    teams: &BTreeSet<String>,
) -> Result<Vec<DiscoveredJob>, CiError> {
    let mut pipelines = pipelines(client, teams).await?;
    pipelines.retain(|pipeline| !pipeline.archived);
    let listed: Vec<Vec<Listed>> = stream::iter(pipelines)
        .map(|pipeline| jobs(client, pipeline))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(with_ids(listed.into_iter().flatten().collect()))
}

async fn pipelines(client: &Client, teams: &BTreeSet<String>) -> Result<Vec<Pipeline>, CiError> {
    let mut found = Vec::new();
    if teams.is_empty() {
        let call = Call { operation: OPERATION, about: About::Server, effect: Effect::Reads };
        found = client.get(&call, "/api/v1/pipelines", Limits::list()).await?;
    }
    for team in teams {
        let call = Call { operation: OPERATION, about: About::Team(team), effect: Effect::Reads };
        let path = format!("/api/v1/teams/{}/pipelines", path::escape(team));
        let listed: Vec<Pipeline> = client.get(&call, &path, Limits::list()).await?;
        if listed.is_empty() {
            doubt_emptiness(client, Some(team)).await?;
        }
        found.extend(listed);
    }
    if found.is_empty() && teams.is_empty() {
        doubt_emptiness(client, None).await?;
    }
    Ok(found)
}

/// Concourse leaves out of lists what we may not see, without a word. So an empty list is believed only
/// when we have the roles to see what there is.
async fn doubt_emptiness(client: &Client, team: Option<&str>) -> Result<(), CiError> {
    let user = client.user().await?;
    if user.is_nobody() {
        return Err(CiError::new(CiErrorKind::CredentialsRefused, OPERATION, roles::nobody()));
    }
    match team {
        Some(team) if !user.may(team, Need::Look) => {
            let spelling = client.spelling_of(&user, team).await;
            let remedy = roles::remedy(&user, client.base(), team, Need::Look, &spelling);
            let advice = format!("Concourse shows us nothing of team `{team}`: {remedy}");
            Err(CiError::new(CiErrorKind::Forbidden, OPERATION, advice))
        }
        _ => Ok(()),
    }
}

/// A job as it was listed.
struct Listed {
    target: ConcourseTarget,
    note: Option<String>,
}

async fn jobs(client: &Client, pipeline: Pipeline) -> Result<Vec<Listed>, CiError> {
    let call = Call {
        operation: OPERATION,
        about: About::Pipeline(&pipeline.team_name, &pipeline.name),
        effect: Effect::Reads,
    };
    let path = path::pipeline(&pipeline.team_name, &pipeline.name, "/jobs");
    let path = path::with_query(path, &path::vars_query(&pipeline.instance_vars));
    match client.get::<Vec<JobSummary>>(&call, &path, Limits::list()).await {
        Ok(jobs) => Ok(jobs.into_iter().map(|job| listed(&pipeline, job)).collect()),
        // It was destroyed since it was listed.
        Err(error) if error.kind == CiErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn listed(pipeline: &Pipeline, job: JobSummary) -> Listed {
    let note = match (pipeline.paused, job.paused) {
        (true, _) => Some("the pipeline is paused: runs wait until somebody unpauses it".to_owned()),
        (false, true) => Some("the job is paused: runs wait until somebody unpauses it".to_owned()),
        (false, false) => None,
    };
    let target = ConcourseTarget {
        team: pipeline.team_name.clone(),
        pipeline: pipeline.name.clone(),
        job: job.name,
        vars: pipeline.instance_vars.clone(),
    };
    Listed { target, note }
}

/// Gives every job an id: from its names, with the team in front where two teams have the same names, with
/// a number behind where that does not tell them apart either.
fn with_ids(jobs: Vec<Listed>) -> Vec<DiscoveredJob> {
    let mut teams: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for job in &jobs {
        teams.entry(slug(&names(&job.target))).or_default().insert(job.target.team.clone());
    }
    let mut taken = BTreeSet::new();
    let mut discovered = Vec::with_capacity(jobs.len());
    for Listed { target, note } in jobs {
        let mut id = slug(&names(&target));
        if teams.get(&id).is_some_and(|teams| teams.len() > 1) {
            id = slug(&[vec![target.team.clone()], names(&target)].concat());
        }
        let Ok(job_id) = unique(&id, &mut taken).parse::<JobId>() else { continue };
        let display_name = display_name(&target);
        discovered.push(DiscoveredJob { job_id, display_name, target: Target::Concourse(target), note });
    }
    discovered
}

/// Pipeline, instance and job.
fn names(target: &ConcourseTarget) -> Vec<String> {
    let mut names = vec![target.pipeline.clone()];
    names.extend(pairs(&target.vars).map(|(name, value)| format!("{name}-{value}")));
    names.push(target.job.clone());
    names
}

fn pairs(vars: &Map<String, Value>) -> impl Iterator<Item = (&str, String)> {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    vars.iter().map(move |(name, value)| (name.as_str(), plain(value)))
}

/// `names` joined, with every run of characters that an id cannot have as one `-`.
fn slug(names: &[String]) -> String {
    let mut id = String::new();
    for c in names.join("-").chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') {
            id.push(c);
        } else if !id.is_empty() && !id.ends_with('-') {
            id.push('-');
        }
    }
    let id = id.trim_matches(['-', '.']);
    let id = &id[..id.len().min(MAX_ID)];
    if id.is_empty() { "job".to_owned() } else { id.to_owned() }
}

fn unique(id: &str, taken: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{id}-{number}"));
    let mut candidates = std::iter::once(id.to_owned()).chain(numbered);
    // There are more numbers than jobs.
    let free = candidates.find(|candidate| !taken.contains(candidate)).unwrap_or_default();
    taken.insert(free.clone());
    free
}

fn display_name(target: &ConcourseTarget) -> String {
    let vars: Vec<_> = pairs(&target.vars).map(|(name, value)| format!("{name}:{value}")).collect();
    let instance = if vars.is_empty() { String::new() } else { format!(" ({})", vars.join(", ")) };
    cut(format!("{}{instance} / {}", target.pipeline, target.job))
}

/// A name as long as a display name may be.
fn cut(mut name: String) -> String {
    if name.len() > MAX_DISPLAY_NAME {
        name.truncate(name.floor_char_boundary(MAX_DISPLAY_NAME - '…'.len_utf8()));
        name.push('…');
    }
    name
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ids(jobs: &[(&str, &str, &str, Value)]) -> Vec<String> {
        let listed = jobs.iter().map(|(team, pipeline, job, vars)| Listed {
            target: ConcourseTarget {
                team: (*team).to_owned(),
                pipeline: (*pipeline).to_owned(),
                job: (*job).to_owned(),
                vars: vars.as_object().cloned().unwrap_or_default(),
            },
            note: None,
        });
        with_ids(listed.collect()).into_iter().map(|job| job.job_id.into()).collect()
    }

    #[test]
    fn ids_are_made_of_pipeline_instance_and_job() {
        let jobs = [
            ("main", "app", "deploy", json!({"branch": "feature/x", "n": 1})),
            ("main", "app", "deploy", json!({"branch": "main", "n": 1})),
            ("main", "Grüße & more", "..secret", json!({})),
        ];
        assert_eq!(
            ids(&jobs),
            ["app-branch-feature-x-n-1-deploy", "app-branch-main-n-1-deploy", "Gr-e-more-..secret"]
        );
    }

    #[test]
    fn the_same_names_in_two_teams_are_told_apart() {
        let jobs = [
            ("a", "app", "build", json!({})),
            ("b", "app", "build", json!({})),
            ("b", "app", "test", json!({})),
        ];
        assert_eq!(ids(&jobs), ["a-app-build", "b-app-build", "app-test"]);
    }

    #[test]
    fn every_id_is_unique_and_valid_whatever_the_names() {
        let long = "x".repeat(300);
        let jobs = [
            ("a", "ä", "ö", json!({})),
            ("a", "ü", "ß", json!({})),
            ("a", "a-b", "c", json!({})),
            ("a", "a", "b-c", json!({})),
            ("a", long.as_str(), "1", json!({})),
            ("a", long.as_str(), "2", json!({})),
        ];
        let ids = ids(&jobs);
        assert_eq!(ids.len(), jobs.len(), "a job was left out");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), jobs.len(), "ids repeat: {ids:?}");
    }

    #[test]
    fn people_see_the_names_as_they_are() {
        let vars = json!({"branch": "main"}).as_object().cloned().unwrap_or_default();
        let target = ConcourseTarget { team: "t".into(), pipeline: "app".into(), job: "deploy".into(), vars };
        assert_eq!(display_name(&target), "app (branch:main) / deploy");
    }

    #[test]
    fn names_that_are_too_long_for_a_job_are_cut() {
        let (pipeline, job) = ("ü".repeat(120), "deploy".to_owned());
        let target = ConcourseTarget { team: "t".into(), pipeline, job, vars: Map::new() };
        let name = display_name(&target);
        assert!(name.len() <= 200 && name.ends_with("ü…"), "{name}");
    }
}
