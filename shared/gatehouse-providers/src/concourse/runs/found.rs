//! Builds as Concourse has them.

use gatehouse_domain::ci::{BuildId, CiError, CiErrorKind, ConcourseTarget, Target};

use crate::concourse::{
    client::{Client, Limits},
    error::{About, Call, Effect},
    path, wire,
};

/// A build as Concourse has it.
pub(in crate::concourse) struct Found {
    /// What it is a build of, by the names of now, with the instance variables that Concourse reports.
    pub(in crate::concourse) target: ConcourseTarget,
    pub(in crate::concourse) build: wire::Build,
}

impl Found {
    /// A build that was asked for as one of `asked`. Members that Concourse left out count as asked for.
    pub(in crate::concourse) fn new(asked: &ConcourseTarget, build: wire::Build) -> Self {
        let name = |is: &String, asked: &String| if is.is_empty() { asked.clone() } else { is.clone() };
        let target = ConcourseTarget {
            team: name(&build.team_name, &asked.team),
            pipeline: name(&build.pipeline_name, &asked.pipeline),
            job: name(&build.job_name, &asked.job),
            vars: build.pipeline_instance_vars.clone(),
        };
        Self { target, build }
    }

    /// Whether it is a build of the job that `asked` names. Concourse finds teams without regard to case, and
    /// everything else by its exact name.
    pub(in crate::concourse) fn is_of(&self, asked: &ConcourseTarget) -> bool {
        let Self { build, .. } = self;
        build.team_name.to_lowercase() == asked.team.to_lowercase()
            && (&build.pipeline_name, &build.job_name) == (&asked.pipeline, &asked.job)
    }
}

/// Gets a build by its id, which is unique in all of Concourse and stays when its job, pipeline or team gets another
/// name. A build of another name than `target` has is given only if our account made it: callers may see only
/// builds of their jobs, and what ours made was made for one of them. What is given has its names of now.
pub(in crate::concourse) async fn find(
    client: &Client,
    target: &Target,
    build: &BuildId,
    operation: &'static str,
) -> Result<Found, CiError> {
    find_for(client, target, build, operation, Effect::Reads).await
}

/// [`find`], on the way to what has this effect: whoever may not look is told what that needs.
pub(super) async fn find_for(
    client: &Client,
    target: &Target,
    build: &BuildId,
    operation: &'static str,
    effect: Effect,
) -> Result<Found, CiError> {
    let target = path::pipeline_job(target, operation)?;
    let number = path::build_number(build, operation)?;
    let call = Call { operation, about: About::Build(target, build), effect };
    let found: wire::Build =
        client.get(&call, &format!("/api/v1/builds/{number}"), Limits::default()).await?;
    let found = Found::new(target, found);
    if found.is_of(target) || is_ours(client, &found.build).await? {
        return Ok(found);
    }
    let ConcourseTarget { team, pipeline, job, .. } = target;
    let advice = format!("build {build} is none of job `{job}` in pipeline `{pipeline}` of team `{team}`");
    Err(CiError::new(CiErrorKind::Refused, operation, advice))
}

/// Whether our account made a build, as far as Concourse says who did.
async fn is_ours(client: &Client, build: &wire::Build) -> Result<bool, CiError> {
    match &build.created_by {
        Some(name) => Ok(client.display_names().await?.contains(name)),
        None => Ok(false),
    }
}
