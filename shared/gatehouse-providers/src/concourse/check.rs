//! Whether a Concourse will do what jobs need, and what would mend it if not.

use std::collections::BTreeSet;

use gatehouse_domain::ci::{CheckReport, CiError, CiErrorKind, ScopeCheck, Target};

use super::{
    client::{Client, Limits},
    error::{About, Call, Effect},
    path,
    roles::{self, Need},
    version::{SUPPORTED, ServerVersion},
    wire::User,
};

/// Asks Concourse for its version, for who we are, and for our roles in the teams of `targets`. What fails
/// becomes part of the report.
pub(super) async fn check(client: &Client, targets: &[Target]) -> CheckReport {
    let mut report = CheckReport { version: None, identity: None, scopes: Vec::new(), problems: Vec::new() };
    let teams = teams(targets);
    let user = match reach(client, &mut report).await {
        Ok(()) => identify(client, &mut report).await,
        Err(error) => {
            report.problems.push(error.advice);
            None
        }
    };
    for team in teams {
        report.scopes.push(match &user {
            Some(user) => check_team(client, user, team).await,
            None => nothing_works(team),
        });
    }
    report
}

fn teams(targets: &[Target]) -> BTreeSet<&str> {
    let teams = targets.iter().filter_map(|target| {
        let Target::Concourse(target) = target else { return None };
        Some(target.team.as_str())
    });
    teams.collect()
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

async fn check_team(client: &Client, user: &User, team: &str) -> ScopeCheck {
    if let Some(missing) = missing(client, team).await {
        return ScopeCheck { remedy: Some(missing), ..nothing_works(team) };
    }
    if let Some(spelling) = client.spelling_of(team).await {
        let remedy = Some(roles::spelled_otherwise(team, &spelling));
        return ScopeCheck { remedy, ..nothing_works(team) };
    }
    let (looks, acts) = (user.may(team, Need::Look), user.may(team, Need::Act));
    let mut roles = user.roles(team);
    if user.is_admin {
        roles.push("admin".to_owned());
    }
    let remedy = (!acts).then(|| roles::remedy(user, client.base(), team, Need::Act));
    ScopeCheck {
        scope: team.to_owned(),
        roles,
        list: looks,
        trigger: acts,
        watch: looks,
        cancel: acts,
        remedy,
    }
}

/// What would mend a team that Concourse does not have. Other failures do not matter here: whether a team
/// that we have no role in can be shown says nothing.
async fn missing(client: &Client, team: &str) -> Option<String> {
    let call = Call { operation: "look at the team", about: About::Team(team), effect: Effect::Reads };
    let path = format!("/api/v1/teams/{}/pipelines", path::escape(team));
    let listed = client.get::<serde::de::IgnoredAny>(&call, &path, Limits::list()).await;
    let error = listed.err().filter(|error| error.kind == CiErrorKind::NotFound)?;
    Some(format!(
        "{}; correct the jobs that name it, or make it: `fly -t TARGET set-team -n {team} --config team.yml`",
        error.advice
    ))
}
