//! Whether a Concourse will do what jobs need, and what would mend it if not.

use std::collections::{BTreeMap, BTreeSet};

use gatehouse_domain::ci::{CheckReport, CiError, CiErrorKind, ScopeCheck, Target, TargetUse};
use tokio::time::{Instant, timeout_at};

use super::{
    client::{Client, Limits},
    error::{About, Call, Effect},
    fly, outlook, path,
    roles::{self, Need, Spelling},
    version::{SUPPORTED, ServerVersion},
    wire::{Pipeline, User},
};

/// Asks Concourse for its version, for who we are, for our roles in the teams of `needs`, and what a trigger of each
/// would do. What fails becomes part of the report, and so does what there is no time for.
pub(super) async fn check(client: &Client, needs: &[TargetUse]) -> CheckReport {
    let begun = Instant::now();
    let deadline = begun + outlook::ENOUGH;
    let mut report = CheckReport::default();
    let met = timeout_at(deadline, meet(client, &mut report)).await;
    let user = met.unwrap_or_else(|_| {
        report.problems.push("Concourse took too long to let us in: check the provider again".to_owned());
        None
    });
    let mut open_teams = BTreeMap::new();
    for team in teams(needs) {
        let Some(user) = &user else {
            report.scopes.push(nothing_works(team));
            continue;
        };
        // Several slow teams would take more time than the request has, and a report with gaps says more than none.
        let (check, pipelines) = timeout_at(deadline, check_team(client, user, team))
            .await
            .unwrap_or_else(|_| (too_late(team), Vec::new()));
        if check.trigger {
            open_teams.insert(team, pipelines);
        }
        report.scopes.push(check);
    }
    if user.is_some() {
        let time = outlook::time_left(begun.elapsed());
        report.outlooks = outlook::of_all(client, needs, &open_teams, time).await;
    }
    report
}

fn teams(needs: &[TargetUse]) -> BTreeSet<&str> {
    let teams = needs.iter().filter_map(|used| {
        let Target::Concourse(target) = &used.target else { return None };
        Some(target.team.as_str())
    });
    teams.collect()
}

/// Who we are there; `None` where we do not get so far, with the reason among the problems.
async fn meet(client: &Client, report: &mut CheckReport) -> Option<User> {
    if let Err(error) = reach(client, report).await {
        report.problems.push(error.advice);
        return None;
    }
    identify(client, report).await
}

async fn reach(client: &Client, report: &mut CheckReport) -> Result<(), CiError> {
    let version = ServerVersion::parse(&client.info().await?.version);
    report.version = Some(version.to_string());
    if version.is_before(SUPPORTED) {
        let (major, minor) = SUPPORTED;
        report.problems.push(format!(
            "this is Concourse {version}; Gatehouse works with {major}.{minor} and later, whose tokens are of another \
             kind. Update Concourse"
        ));
    }
    Ok(())
}

/// Who we are; `None` when nobody, with the reason among the problems.
async fn identify(client: &Client, report: &mut CheckReport) -> Option<User> {
    match client.user().await {
        Ok(user) if user.is_nobody() => {
            report.problems.push(roles::nobody());
            None
        }
        Ok(user) => {
            report.identity = Some(user.identity());
            Some(user)
        }
        Err(error) => {
            report.problems.push(error.advice);
            None
        }
    }
}

fn nothing_works(team: &str) -> ScopeCheck {
    ScopeCheck {
        scope: team.to_owned(),
        roles: Vec::new(),
        list: false,
        trigger: false,
        watch: false,
        cancel: false,
        remedy: None,
    }
}

/// Of a team that there was no time for.
fn too_late(team: &str) -> ScopeCheck {
    let remedy =
        "Concourse took too long to say what works in this team: check the provider again".to_owned();
    ScopeCheck { remedy: Some(remedy), ..nothing_works(team) }
}

/// What works in a team, and which pipelines of it we see.
async fn check_team(client: &Client, user: &User, team: &str) -> (ScopeCheck, Vec<Pipeline>) {
    let listed = pipelines(client, team).await;
    if let Err(error) = &listed
        && error.kind == CiErrorKind::NotFound
    {
        let remedy = format!(
            "{}; correct the jobs that name it, or make it: `fly -t TARGET set-team -n {} --config team.yml`",
            error.advice,
            fly::shell(team)
        );
        return (ScopeCheck { remedy: Some(remedy), ..nothing_works(team) }, Vec::new());
    }
    let spelling = client.spelling_of(user, team).await;
    if let Spelling::Other(spelling) = &spelling {
        let remedy = Some(roles::spelled_otherwise(team, spelling));
        return (ScopeCheck { remedy, ..nothing_works(team) }, Vec::new());
    }
    let (looks, acts) = (user.may(team, Need::Look), user.may(team, Need::Act));
    let mut roles = user.roles(team);
    if user.is_admin {
        roles.push("admin".to_owned());
    }
    let remedy = (!acts).then(|| roles::remedy(user, client.base(), team, Need::Act, &spelling));
    let check = ScopeCheck {
        scope: team.to_owned(),
        roles,
        list: looks,
        trigger: acts,
        watch: looks,
        cancel: acts,
        remedy,
    };
    (check, listed.unwrap_or_default())
}

/// The pipelines of a team. Those that we may not see are left out without a word; a team that there is not is an error.
async fn pipelines(client: &Client, team: &str) -> Result<Vec<Pipeline>, CiError> {
    let call = Call { operation: "look at the team", about: About::Team(team), effect: Effect::Reads };
    client.get(&call, &format!("/api/v1/teams/{}/pipelines", path::escape(team)), Limits::list()).await
}
