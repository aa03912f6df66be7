//! The calls that the twin takes.

use http::Method;

/// What a call is for, so that a fault or a count can name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    Any,
    /// `POST /sky/issuer/token`.
    Login,
    /// `GET /api/v1/info`.
    Info,
    /// `GET /api/v1/user`.
    User,
    Teams,
    /// `PUT /api/v1/teams/:team`.
    SetTeam,
    /// Lists of pipelines, and one pipeline.
    Pipelines,
    Jobs,
    Job,
    /// `POST …/jobs/:job/builds`.
    Trigger,
    /// `POST …/jobs/:job/builds/:name`.
    Rerun,
    Builds,
    /// One build, by id or by job and name.
    Build,
    /// `GET /api/v1/builds/:id/events`.
    Events,
    /// `GET /api/v1/builds/:id/plan`.
    Plan,
    /// `GET /api/v1/builds/:id/preparation`.
    Preparation,
    /// `GET /api/v1/builds/:id/resources`.
    Resources,
    /// `PUT /api/v1/builds/:id/abort`.
    Abort,
    /// `PUT /api/v1/builds/:id/comment`.
    Comment,
    /// One resource of a pipeline, or its versions.
    Versions,
    /// `POST …/resources/:resource/check`.
    Check,
    /// `PUT …/resources/:resource/versions/:version/pin`.
    Pin,
    /// `PUT …/resources/:resource/pin_comment`.
    PinComment,
    /// `PUT …/resources/:resource/unpin`.
    Unpin,
    /// Pause and unpause, of jobs and pipelines.
    Pause,
    /// `GET /api/v1/health`.
    Health,
    Other,
}

impl Route {
    pub(super) fn of(method: &Method, path: &str) -> Self {
        if path == "/sky/issuer/token" {
            return Self::Login;
        }
        let Some(path) = path.strip_prefix("/api/v1/") else { return Self::Other };
        let parts: Vec<_> = path.split('/').collect();
        match parts.as_slice() {
            ["teams", _, "pipelines", _, rest @ ..] if !rest.is_empty() => Self::of_pipeline(method, rest),
            ["builds", _, rest @ ..] => Self::of_build(rest),
            ["teams", _, "pipelines"] | ["pipelines"] | ["teams", _, "pipelines", _] => Self::Pipelines,
            ["builds"] | ["teams", _, "builds"] => Self::Builds,
            ["teams", _] if method == Method::PUT => Self::SetTeam,
            ["teams"] | ["teams", _] => Self::Teams,
            ["jobs"] => Self::Jobs,
            ["info"] => Self::Info,
            ["user"] => Self::User,
            ["health"] => Self::Health,
            _ => Self::Other,
        }
    }

    fn of_pipeline(method: &Method, rest: &[&str]) -> Self {
        match rest {
            ["jobs"] => Self::Jobs,
            ["jobs", _] => Self::Job,
            ["jobs", _, "builds"] if method == Method::POST => Self::Trigger,
            ["jobs", _, "builds", _] if method == Method::POST => Self::Rerun,
            ["jobs", _, "builds"] | ["builds"] => Self::Builds,
            ["jobs", _, "builds", _] => Self::Build,
            ["resources", _] | ["resources", _, "versions"] => Self::Versions,
            ["resources", _, "check"] => Self::Check,
            ["resources", _, "versions", _, "pin"] => Self::Pin,
            ["resources", _, "pin_comment"] => Self::PinComment,
            ["resources", _, "unpin"] => Self::Unpin,
            ["pause" | "unpause"] | ["jobs", _, "pause" | "unpause"] => Self::Pause,
            _ => Self::Other,
        }
    }

    fn of_build(rest: &[&str]) -> Self {
        match rest {
            [] => Self::Build,
            ["events"] => Self::Events,
            ["plan"] => Self::Plan,
            ["preparation"] => Self::Preparation,
            ["resources"] => Self::Resources,
            ["abort"] => Self::Abort,
            ["comment"] => Self::Comment,
            _ => Self::Other,
        }
    }
}

/// A call that the twin took.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it was for.
    pub route: Route,
    pub method: Method,
    /// Path and query as sent.
    pub target: String,
}
