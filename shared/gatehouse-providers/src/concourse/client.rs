//! Calls to Concourse's API under our account.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use gatehouse_domain::{
    ci::{Account, CiError, CiErrorKind},
    providers::Provider,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::{
    auth::{Token, TokenSource},
    error::{About, Call, Effect, translate},
    roles::{self, Need, Spelling},
    transport::{Failure, Repeat, Transport, read_answer, read_json},
    version::ServerVersion,
    wire::{self, Info, User},
};
use crate::{
    dependencies::Dependencies,
    limits::{ANSWER_LIMIT, CALL_TIMEOUT, LIST_LIMIT},
};

pub(super) struct Client {
    transport: Arc<Transport>,
    tokens: TokenSource,
    /// How our kind of account comes in, which servers before 7.0 do not say of us.
    connector: &'static str,
    /// Under which names builds say that we made them.
    display_names: OnceCell<BTreeSet<String>>,
}

/// Why a call came to nothing.
enum Trouble {
    /// There is no token to make it with, so it was not made.
    Login(CiError),
    Call(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Call(failure)
    }
}

/// How an answer is read: how much of it, and how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) size: usize,
    pub(super) time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { size: ANSWER_LIMIT, time: CALL_TIMEOUT }
    }
}

impl Limits {
    pub(super) fn list() -> Self {
        Self { size: LIST_LIMIT, ..Self::default() }
    }
}

impl Client {
    pub(super) fn new(provider: &Provider, dependencies: Dependencies) -> Self {
        let transport = Arc::new(Transport::new(provider, dependencies.http));
        let tokens = TokenSource::new(provider, transport.clone(), dependencies);
        let connector = match &provider.account {
            Some(Account::ClientCredentials { .. }) => "client",
            Some(Account::Password { .. }) | None => "local",
        };
        Self { transport, tokens, connector, display_names: OnceCell::new() }
    }

    /// Where Concourse is, without a slash at the end.
    pub(super) fn base(&self) -> &str {
        self.transport.base()
    }

    /// The version that answered last, if any did.
    pub(super) fn version(&self) -> Option<ServerVersion> {
        self.transport.version()
    }

    /// The version, asked for when nothing has answered yet.
    pub(super) async fn version_now(&self) -> Result<ServerVersion, CiError> {
        match self.version() {
            Some(version) => Ok(version),
            None => Ok(ServerVersion::parse(&self.info().await?.version)),
        }
    }

    /// Who answers. Needs no token, and is asked without one: a bad one would be refused.
    pub(super) async fn info(&self) -> Result<Info, CiError> {
        let call = Call { operation: "ask for the version", about: About::Server, effect: Effect::Reads };
        let shape = |request: RequestBuilder| request.timeout(CALL_TIMEOUT);
        let outcome = match self.transport.send(Method::GET, "/api/v1/info", Repeat::Once, shape).await {
            Ok(response) => read_answer(response).await,
            Err(failure) => Err(failure),
        };
        outcome.map_err(|failure| translate(failure, &call, self.base()))
    }

    /// Who we are, as of now.
    pub(super) async fn user(&self) -> Result<User, CiError> {
        let call = Call { operation: "ask who we are", about: About::Server, effect: Effect::Reads };
        self.ask_user().await.map_err(|trouble| self.judge(trouble, &call))
    }

    /// Under which names builds say that we made them.
    pub(super) async fn display_names(&self) -> Result<&BTreeSet<String>, CiError> {
        self.display_names.get_or_try_init(async || Ok(self.user().await?.display_names())).await
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        path: &str,
        limits: Limits,
    ) -> Result<T, CiError> {
        let outcome = self.call(Method::GET, path, Repeat::Once, limits).await;
        self.explained(outcome, call).await
    }

    /// Begins a build. Such a request is never sent twice.
    pub(super) async fn post<T: DeserializeOwned>(&self, call: &Call<'_>, path: &str) -> Result<T, CiError> {
        let outcome = self.call(Method::POST, path, Repeat::Never, Limits::default()).await;
        self.explained(outcome, call).await
    }

    /// Changes something that may be changed twice; the answer says nothing.
    pub(super) async fn put(&self, call: &Call<'_>, path: &str) -> Result<(), CiError> {
        let shape = |request: RequestBuilder| request.timeout(CALL_TIMEOUT);
        let outcome = self.authorized(Method::PUT, path, Repeat::Once, shape).await;
        self.explained(outcome.map(drop), call).await
    }

    /// The same with a body.
    pub(super) async fn put_json(&self, call: &Call<'_>, path: &str, body: &Value) -> Result<(), CiError> {
        self.send_json(Method::PUT, call, path, body).await
    }

    /// Asks for something that may be asked for twice; what the answer says is of no use.
    pub(super) async fn post_json(&self, call: &Call<'_>, path: &str, body: &Value) -> Result<(), CiError> {
        self.send_json(Method::POST, call, path, body).await
    }

    async fn send_json(
        &self,
        method: Method,
        call: &Call<'_>,
        path: &str,
        body: &Value,
    ) -> Result<(), CiError> {
        let shape = |request: RequestBuilder| request.timeout(CALL_TIMEOUT).json(body);
        let outcome = self.authorized(method, path, Repeat::Once, shape).await;
        self.explained(outcome.map(drop), call).await
    }

    /// Opens an event stream behind the event `last`. There is no time limit: nothing comes, not even
    /// headers, before the next event.
    pub(super) async fn stream(
        &self,
        call: &Call<'_>,
        path: &str,
        last: Option<u64>,
    ) -> Result<Response, CiError> {
        let shape = |request: RequestBuilder| {
            // A compressed stream holds lines back until a block is full.
            let request = request.header(header::ACCEPT_ENCODING, "identity");
            let request = request.header(header::ACCEPT, "text/event-stream");
            match last {
                Some(last) => request.header("last-event-id", last),
                None => request,
            }
        };
        let outcome = self.authorized(Method::GET, path, Repeat::Never, shape).await;
        self.explained(outcome, call).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        repeat: Repeat,
        limits: Limits,
    ) -> Result<T, Trouble> {
        let shape = |request: RequestBuilder| request.timeout(limits.time);
        let response = self.authorized(method, path, repeat, shape).await?;
        Ok(read_json(response, limits.size).await?)
    }

    /// Sends a request with our token; once more with another token when that one is refused, which is
    /// before Concourse does anything.
    async fn authorized(
        &self,
        method: Method,
        path: &str,
        repeat: Repeat,
        shape: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, Trouble> {
        let send = async |token: &Token| {
            let shape = |request: RequestBuilder| shape(request).bearer_auth(token.expose());
            self.transport.send(method.clone(), path, repeat, shape).await
        };
        let token = self.tokens.token().await.map_err(Trouble::Login)?;
        match send(&token).await {
            Err(failure) if failure.status() == Some(StatusCode::UNAUTHORIZED) => {
                let token = self.tokens.token_after(&token).await.map_err(Trouble::Login)?;
                Ok(send(&token).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    async fn ask_user(&self) -> Result<User, Trouble> {
        let mut user: User = self.call(Method::GET, "/api/v1/user", Repeat::Once, Limits::default()).await?;
        if user.connector.is_none() && !user.is_nobody() {
            user.connector = Some(self.connector.to_owned());
        }
        Ok(user)
    }

    /// How Concourse spells `team`, as far as `user`, who we are, can see.
    pub(super) async fn spelling_of(&self, user: &User, team: &str) -> Spelling {
        if user.teams.contains_key(team) {
            return Spelling::Same;
        }
        let teams = self.call::<Vec<wire::Team>>(Method::GET, "/api/v1/teams", Repeat::Once, Limits::list());
        match teams.await {
            Ok(teams) => Spelling::among(teams.into_iter().map(|team| team.name), team),
            Err(_) => Spelling::Unseen,
        }
    }

    fn judge(&self, trouble: Trouble, call: &Call<'_>) -> CiError {
        match trouble {
            Trouble::Login(error) => error,
            Trouble::Call(failure) => translate(failure, call, self.base()),
        }
    }

    /// The outcome with failures in words; those of missing rights with what would give them.
    async fn explained<T>(&self, outcome: Result<T, Trouble>, call: &Call<'_>) -> Result<T, CiError> {
        let error = match outcome {
            Ok(value) => return Ok(value),
            Err(trouble) => self.judge(trouble, call),
        };
        match call.about.team() {
            Some(team) if error.kind == CiErrorKind::Forbidden => {
                Err(self.explain_forbidden(error, call, team).await)
            }
            _ => Err(error),
        }
    }

    async fn explain_forbidden(&self, error: CiError, call: &Call<'_>, team: &str) -> CiError {
        let Ok(user) = self.ask_user().await else { return error };
        if user.is_nobody() {
            return CiError { kind: CiErrorKind::CredentialsRefused, advice: roles::nobody(), ..error };
        }
        let need = if call.effect == Effect::Reads { Need::Look } else { Need::Act };
        let spelling = self.spelling_of(&user, team).await;
        let why = if spelling == Spelling::Same && user.may(team, need) {
            format!(
                "our roles in the team would do ({}), so the server's own role table (`--config-rbac`) or policy \
                 forbids it",
                user.roles(team).join(", ")
            )
        } else {
            roles::remedy(&user, self.base(), team, need, &spelling)
        };
        let advice = format!("{}: {why}", error.advice);
        CiError { advice, ..error }
    }
}
