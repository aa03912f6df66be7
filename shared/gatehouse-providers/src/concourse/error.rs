//! What failures mean, and what would help.

use gatehouse_domain::ci::{BuildId, CiError, CiErrorKind, ConcourseTarget};
use gatehouse_outbound::{CONNECT_TIMEOUT, find_cause};
use reqwest::StatusCode;

use super::transport::{Failure, Refusal};
use crate::limits::CALL_TIMEOUT;

/// A call, in the words of its failures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    /// What is tried, for people and logs.
    pub(super) operation: &'static str,
    /// What it is tried with.
    pub(super) about: About<'a>,
    pub(super) effect: Effect,
}

/// What a call is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum About<'a> {
    Server,
    Team(&'a str),
    Pipeline(&'a str, &'a str),
    Job(&'a ConcourseTarget),
    /// A resource of the pipeline that the job is in.
    Resource(&'a ConcourseTarget, &'a str),
    Build(&'a ConcourseTarget, &'a BuildId),
}

/// What a call changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Reads,
    /// Nothing: it reads what a change of a build, or a new one, needs to know.
    Prepares,
    /// Something that may be done twice.
    Changes,
    /// It begins a build anew.
    Triggers,
    /// It begins a build from an earlier one.
    Reruns,
}

impl Effect {
    /// Whether a call that may have happened must be looked up.
    pub(super) fn starts(self) -> bool {
        matches!(self, Self::Triggers | Self::Reruns)
    }
}

impl<'a> About<'a> {
    /// The team that it is about.
    pub(super) fn team(&self) -> Option<&'a str> {
        match self {
            Self::Server => None,
            Self::Team(team) | Self::Pipeline(team, _) => Some(team),
            Self::Job(target) | Self::Resource(target, _) | Self::Build(target, _) => Some(&target.team),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Server => "such thing".to_owned(),
            Self::Team(team) => format!("team `{team}`"),
            Self::Pipeline(team, pipeline) => format!("pipeline `{pipeline}` in team `{team}`"),
            Self::Job(target) => job(target),
            Self::Resource(target, resource) => {
                let ConcourseTarget { team, pipeline, .. } = target;
                format!("resource `{resource}` in pipeline `{pipeline}`{} of team `{team}`", instance(target))
            }
            Self::Build(target, build) => format!("build {build} of {}", job(target)),
        }
    }
}

fn job(target: &ConcourseTarget) -> String {
    let ConcourseTarget { team, pipeline, job, .. } = target;
    format!("job `{job}` in pipeline `{pipeline}`{} of team `{team}`", instance(target))
}

fn instance(target: &ConcourseTarget) -> String {
    let vars = &target.vars;
    if vars.is_empty() {
        String::new()
    } else {
        format!(" (instance {})", serde_json::Value::Object(vars.clone()))
    }
}

/// What `failure` of `call` at `server` means: the one place where answers become errors.
pub(super) fn translate(failure: Failure, call: &Call<'_>, server: &str) -> CiError {
    let kind = kind(&failure, call.effect);
    let mut advice = advice(&failure, call, server);
    if kind == CiErrorKind::OutcomeUnknown {
        advice.push_str("; the run may have been started all the same");
    }
    let retry_after = match &failure {
        Failure::Refused(refusal) => refusal.retry_after,
        _ => None,
    };
    CiError { retry_after, ..CiError::new(kind, call.operation, advice) }.caused_by(failure)
}

fn kind(failure: &Failure, effect: Effect) -> CiErrorKind {
    match failure {
        Failure::Settings(_) | Failure::Forbidden(_) | Failure::NotConnected(_) => CiErrorKind::Unavailable,
        Failure::Refused(refusal) => kind_of_refusal(refusal, effect),
        // A proxy that lets a request pass does not put a page in the place of its answer.
        Failure::WebPage => CiErrorKind::Protocol,
        // What follows is about requests that were sent.
        _ if effect.starts() => CiErrorKind::OutcomeUnknown,
        Failure::TimedOut(_) | Failure::Lost(_) => CiErrorKind::Unavailable,
        Failure::TooLong(_) | Failure::Garbled(_) => CiErrorKind::Protocol,
    }
}

fn kind_of_refusal(refusal: &Refusal, effect: Effect) -> CiErrorKind {
    match refusal.status {
        StatusCode::UNAUTHORIZED => CiErrorKind::CredentialsRefused,
        StatusCode::FORBIDDEN => CiErrorKind::Forbidden,
        StatusCode::NOT_FOUND if refusal.by_concourse => CiErrorKind::NotFound,
        StatusCode::CONFLICT => CiErrorKind::Refused,
        StatusCode::TOO_MANY_REQUESTS => CiErrorKind::Throttled,
        // Concourse's own limiter turns requests away before it looks at them. From a proxy the same
        // status can mean a server that died over the request.
        StatusCode::NOT_IMPLEMENTED | StatusCode::SERVICE_UNAVAILABLE if refusal.by_concourse => {
            CiErrorKind::Unavailable
        }
        // Up to 8.1 a 500 can come after the build exists.
        status if is_unclear(status) && effect.starts() => CiErrorKind::OutcomeUnknown,
        status if is_unclear(status) => CiErrorKind::Unavailable,
        _ => CiErrorKind::Protocol,
    }
}

/// Whether a status leaves open what became of the request.
fn is_unclear(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT
}

fn advice(failure: &Failure, call: &Call<'_>, server: &str) -> String {
    match failure {
        Failure::Settings(why) => format!("the provider cannot be used: {why}; register it again"),
        Failure::Forbidden(refusal) => format!("Concourse at {server} cannot be called: {refusal}"),
        Failure::NotConnected(error) => {
            format!("Concourse at {server} cannot be reached: {}", unreachable(error))
        }
        Failure::TimedOut(_) => {
            format!("Concourse at {server} did not answer within {} s", CALL_TIMEOUT.as_secs())
        }
        Failure::Lost(_) => format!("the connection to Concourse at {server} broke before it had answered"),
        Failure::TooLong(limit) => format!("Concourse at {server} answered with more than {limit} bytes"),
        Failure::Garbled(_) => {
            format!("what answers at {server} does not speak as Concourse does; is the provider's URL right?")
        }
        Failure::WebPage => format!(
            "a web page came from {server} instead of an answer of Concourse's API: what stands before Concourse wants \
             people to sign in there and must let calls with Concourse's tokens pass, or the provider's URL is not \
             Concourse's own"
        ),
        Failure::Refused(refusal) => advice_on_refusal(refusal, call, server),
    }
}

fn unreachable(error: &reqwest::Error) -> String {
    let certificate = find_cause(error, &|cause| match cause.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::InvalidCertificate(why)) => Some(format!("{why:?}")),
        _ => None,
    });
    if let Some(why) = certificate {
        return format!(
            "its certificate is not trusted ({why}); if a private authority signed it, register the provider \
             with that authority's certificate in `ca_certificate`"
        );
    }
    if error.is_dns() {
        "its name cannot be resolved".to_owned()
    } else if error.is_timeout() {
        format!("no connection within {} s", CONNECT_TIMEOUT.as_secs())
    } else {
        "the connection was refused or broke off".to_owned()
    }
}

fn advice_on_refusal(refusal: &Refusal, call: &Call<'_>, server: &str) -> String {
    match refusal.status {
        StatusCode::UNAUTHORIZED => {
            format!("Concourse at {server} refuses the token that it has just given us")
        }
        StatusCode::FORBIDDEN => forbidden(call),
        StatusCode::NOT_FOUND => not_found(refusal, call, server),
        StatusCode::CONFLICT => conflict(refusal, call),
        StatusCode::TOO_MANY_REQUESTS => format!("Concourse at {server} is asked too often"),
        StatusCode::BAD_REQUEST => {
            format!("Concourse does not understand what was asked of {}", call.about.describe())
        }
        status if status.is_redirection() => redirected(refusal, server),
        status if refusal.by_concourse => {
            format!("Concourse at {server} is out of order: it answered {status}")
        }
        status => format!("what stands before Concourse at {server} answered {status}"),
    }
}

fn forbidden(call: &Call<'_>) -> String {
    format!("our account may not do this with {}", call.about.describe())
}

fn not_found(refusal: &Refusal, call: &Call<'_>, server: &str) -> String {
    let what = call.about.describe();
    let stranger = format!("what answers at {server} is not Concourse; is the provider's URL right?");
    match call.about {
        _ if refusal.by_concourse => format!("Concourse has no {what}"),
        About::Server => stranger,
        _ => format!("there is no {what}, and {stranger}"),
    }
}

fn conflict(refusal: &Refusal, call: &Call<'_>) -> String {
    let what = call.about.describe();
    if refusal.body.contains("archived") {
        return format!("the pipeline is archived: set it again before using {what}");
    }
    match call.effect {
        Effect::Triggers => format!("{what} has `disable_manual_trigger: true` in its pipeline"),
        Effect::Reruns => format!("{what} has `disable_reruns: true` in its pipeline"),
        Effect::Reads | Effect::Prepares | Effect::Changes => {
            format!("Concourse refuses this for {what} as it stands")
        }
    }
}

fn redirected(refusal: &Refusal, server: &str) -> String {
    let place = refusal.location.as_deref().unwrap_or("elsewhere");
    format!("{server} sends us on to {place}; register the provider with the URL that Concourse itself has")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn target() -> ConcourseTarget {
        ConcourseTarget {
            team: "main".into(),
            pipeline: "app".into(),
            job: "deploy".into(),
            vars: serde_json::Map::new(),
        }
    }

    fn refused(status: u16, by_concourse: bool, body: &str) -> Failure {
        Failure::Refused(Refusal {
            status: StatusCode::from_u16(status).unwrap(),
            by_concourse,
            retry_after: Some(Duration::from_secs(3)),
            location: Some("https://elsewhere/sky/login".into()),
            body: body.into(),
        })
    }

    fn error(failure: Failure, effect: Effect) -> CiError {
        let call = Call { operation: "trigger", about: About::Job(&target()), effect };
        translate(failure, &call, "https://ci.example.com")
    }

    fn kind_of(status: u16, effect: Effect) -> CiErrorKind {
        error(refused(status, true, ""), effect).kind
    }

    #[test]
    fn a_start_that_may_have_happened_is_never_called_a_failure() {
        for status in [408, 500, 502, 504, 599] {
            assert_eq!(kind_of(status, Effect::Triggers), CiErrorKind::OutcomeUnknown, "{status}");
            assert_eq!(kind_of(status, Effect::Reads), CiErrorKind::Unavailable, "{status}");
        }
        let garbled = || Failure::Garbled(serde_json::from_str::<u8>("<html>").unwrap_err());
        assert_eq!(error(garbled(), Effect::Reruns).kind, CiErrorKind::OutcomeUnknown);
        assert_eq!(error(garbled(), Effect::Reads).kind, CiErrorKind::Protocol);
        assert_eq!(error(Failure::TooLong(1), Effect::Triggers).kind, CiErrorKind::OutcomeUnknown);
    }

    #[test]
    fn a_web_page_starts_nothing() {
        let error = error(Failure::WebPage, Effect::Triggers);
        assert_eq!(error.kind, CiErrorKind::Protocol);
        assert!(!error.advice.contains("may have been started"), "{}", error.advice);
    }

    #[test]
    fn the_limiter_of_concourse_is_told_from_a_proxy_with_trouble() {
        for status in [501, 503] {
            assert_eq!(kind_of(status, Effect::Triggers), CiErrorKind::Unavailable);
            let proxy = error(refused(status, false, ""), Effect::Triggers);
            assert_eq!(proxy.kind, CiErrorKind::OutcomeUnknown);
        }
        assert_eq!(error(refused(503, true, ""), Effect::Reads).retry_after, Some(Duration::from_secs(3)));
    }

    #[test]
    fn refusals_start_nothing() {
        let stranger = error(refused(404, false, ""), Effect::Triggers);
        assert_eq!(stranger.kind, CiErrorKind::Protocol, "only Concourse knows what it has");
        let kinds = [401, 403, 404, 409, 429, 400, 302].map(|status| kind_of(status, Effect::Triggers));
        let expected = [
            CiErrorKind::CredentialsRefused,
            CiErrorKind::Forbidden,
            CiErrorKind::NotFound,
            CiErrorKind::Refused,
            CiErrorKind::Throttled,
            CiErrorKind::Protocol,
            CiErrorKind::Protocol,
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn advice_names_what_to_look_at() {
        let advice = |failure, effect| error(failure, effect).advice;
        insta::assert_snapshot!(
            advice(refused(404, true, ""), Effect::Triggers),
            @"Concourse has no job `deploy` in pipeline `app` of team `main`"
        );
        insta::assert_snapshot!(
            advice(refused(404, false, "<html>"), Effect::Reads),
            @"there is no job `deploy` in pipeline `app` of team `main`, and what answers at https://ci.example.com is not Concourse; is the provider's URL right?"
        );
        insta::assert_snapshot!(
            advice(refused(409, true, ""), Effect::Triggers),
            @"job `deploy` in pipeline `app` of team `main` has `disable_manual_trigger: true` in its pipeline"
        );
        insta::assert_snapshot!(
            advice(refused(409, true, "action not allowed for an archived pipeline"), Effect::Triggers),
            @"the pipeline is archived: set it again before using job `deploy` in pipeline `app` of team `main`"
        );
        insta::assert_snapshot!(
            advice(refused(302, false, ""), Effect::Reads),
            @"https://ci.example.com sends us on to https://elsewhere/sky/login; register the provider with the URL that Concourse itself has"
        );
        insta::assert_snapshot!(
            advice(refused(502, false, ""), Effect::Triggers),
            @"what stands before Concourse at https://ci.example.com answered 502 Bad Gateway; the run may have been started all the same"
        );
    }
}
