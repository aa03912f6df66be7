//! Asking a CI system who we are and what will work.

use axum::{Json, extract::State};
use gatehouse_domain::{
    ci::{CheckReport, CiErrorKind, Outlook, ProviderDirectory, ProviderLookupError, ScopeCheck},
    jobs,
    name::{JobId, ProviderName},
    scopes::Shares,
};
use gatehouse_http::{
    Problem,
    extract::{Admitted, NoQuery, PathParameter},
    problem::ProblemBody,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{AppState, provider::not_found};

/// What will work.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckAnswer {
    check: CheckView,
}

#[derive(Debug, Serialize, ToSchema)]
struct CheckView {
    /// Whether everything that the jobs need will work.
    ok: bool,
    /// The version that the CI system says it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Who Gatehouse is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    /// What will work, per team that jobs point at.
    teams: Vec<TeamView>,
    /// The jobs whose trigger would not simply begin a run.
    jobs: Vec<JobOutlookView>,
    /// What does not work at all, with what would mend it.
    problems: Vec<String>,
}

/// What a trigger of a job would do.
#[derive(Debug, Serialize, ToSchema)]
struct JobOutlookView {
    job_id: String,
    trigger: TriggerView,
    /// Why, and what would change it.
    detail: String,
}

/// What a trigger would do.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum TriggerView {
    /// It makes a run that waits.
    Waits,
    /// It is refused.
    Fails,
    /// Nobody knows.
    Unknown,
}

/// What will work in one team.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "one answer per verb")]
struct TeamView {
    team: String,
    /// The roles that Gatehouse has in it.
    roles: Vec<String>,
    list: bool,
    trigger: bool,
    watch: bool,
    cancel: bool,
    /// What would mend what does not work.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl CheckView {
    /// What was found of `jobs`. The API calls every scope a team, whatever the kind of CI system calls it: readers need
    /// one word.
    fn new(report: CheckReport, jobs: &[JobId]) -> Self {
        let works = |scope: &ScopeCheck| scope.list && scope.trigger && scope.watch && scope.cancel;
        let jobs =
            jobs.iter().zip(report.outlooks).filter_map(|(job, outlook)| JobOutlookView::new(job, outlook));
        let jobs: Vec<_> = jobs.collect();
        let failing = jobs.iter().filter(|job| matches!(job.trigger, TriggerView::Fails));
        let mut problems = report.problems;
        problems.extend(failing.map(|job| format!("job `{}`: {}", job.job_id, job.detail)));
        Self {
            ok: problems.is_empty() && report.scopes.iter().all(works),
            version: report.version,
            identity: report.identity,
            teams: report.scopes.into_iter().map(Into::into).collect(),
            jobs,
            problems,
        }
    }
}

impl JobOutlookView {
    fn new(job: &JobId, outlook: Outlook) -> Option<Self> {
        let (trigger, detail) = match outlook {
            Outlook::Begins => return None,
            Outlook::Waits(detail) => (TriggerView::Waits, detail),
            Outlook::Fails(detail) => (TriggerView::Fails, detail),
            Outlook::Unknown(detail) => (TriggerView::Unknown, detail),
        };
        Some(Self { job_id: job.to_string(), trigger, detail })
    }
}

impl From<ScopeCheck> for TeamView {
    fn from(check: ScopeCheck) -> Self {
        let ScopeCheck { scope, roles, list, trigger, watch, cancel, remedy } = check;
        Self { team: scope, roles, list, trigger, watch, cancel, remedy }
    }
}

/// Asks the CI system who Gatehouse is there and says, per team that jobs point at, whether listing,
/// triggering, watching and cancelling will work, and what would mend what does not; and per job what a trigger would
/// do. What would be refused is a problem, and so is a team that a job's tenant may not use.
#[utoipa::path(
    post, path = "/v1/providers/{name}/check", operation_id = "check_provider", tag = "providers",
    params(("name" = String, Path, description = "The provider's name.")),
    responses(
        (status = 200, description = "What will work.", body = CheckAnswer),
        (status = 404, description = "There is no such provider.", body = ProblemBody),
    )
)]
pub(crate) async fn check(
    State(state): State<AppState>,
    Admitted(_caller): Admitted,
    PathParameter(name): PathParameter<ProviderName>,
    _: NoQuery,
) -> Result<Json<CheckAnswer>, Problem> {
    let provider = state.providers.provider_now(&name).await.map_err(|error| match error {
        ProviderLookupError::NotConfigured(_) => not_found(),
        other => Problem::provider_lookup(other),
    })?;
    let shares = Shares::of(&*state.table, &name).await.map_err(Problem::store)?;
    let uses = jobs::uses(&*state.table, &shares, &name).await.map_err(Problem::list)?;
    let mut report = match provider.check(&uses.targets).await {
        Ok(report) => report,
        // What stands in the way of a check is what was asked for.
        Err(error) if error.kind != CiErrorKind::Unsupported => {
            CheckReport { problems: vec![error.advice], ..CheckReport::default() }
        }
        Err(error) => return Err(Problem::ci(error)),
    };
    report.problems.extend(uses.closed.iter().map(ToString::to_string));
    Ok(Json(CheckAnswer { check: CheckView::new(report, &uses.jobs) }))
}
