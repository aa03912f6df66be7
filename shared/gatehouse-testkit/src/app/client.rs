use std::{pin::Pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header},
};
use gatehouse_domain::{access::Scope, caller::Caller, clock::Clock};
use gatehouse_store::Table;
use jiff::Timestamp;
use lambda_http::{Context, RequestExt, request::LambdaRequest};
use serde_json::Value;
use tower::ServiceExt;

use super::{
    answer::Answer,
    callers::{self, SOURCE_IP},
    event::Request,
    flush::Flushes,
    secrets::MemorySecrets,
    sse::EventStream,
    system::TestSystem,
    table::TestTable,
};

/// How long an invocation may take, by the clock of the test.
const TIMEOUT: Duration = Duration::from_mins(15);

/// What a function is wired to.
pub struct Deps {
    pub table: Arc<Table>,
    pub system: Arc<TestSystem>,
    pub secrets: Arc<MemorySecrets>,
    pub flushes: Flushes,
}

/// One function, and the table below it.
pub struct TestApp {
    pub table: TestTable,
    pub system: Arc<TestSystem>,
    pub secrets: Arc<MemorySecrets>,
    pub flushes: Flushes,
    router: Router,
}

impl TestApp {
    /// Starts the function whose routes `router` wires.
    pub async fn start(router: impl FnOnce(Deps) -> Router) -> Self {
        let table = TestTable::new().await;
        let (system, secrets, flushes) = (table.system.clone(), Arc::default(), Flushes::default());
        let deps = Deps {
            table: table.table.clone(),
            system: system.clone(),
            secrets: Arc::clone(&secrets),
            flushes: flushes.clone(),
        };
        Self { router: router(deps), table, system, secrets, flushes }
    }

    /// Whoever calls without a credential.
    pub fn anonymous(&self) -> Client<'_> {
        Client { app: self, caller: None, token_expires_at: None }
    }

    pub fn as_caller(&self, caller: Caller) -> Client<'_> {
        Client { caller: Some(caller), ..self.anonymous() }
    }

    /// `user:vera`, who reads in one tenant.
    pub fn as_viewer(&self, tenant: &str) -> Client<'_> {
        self.as_person("vera", &format!("{tenant}=viewer"))
    }

    /// `user:dev`, who also triggers and deploys in one tenant.
    pub fn as_developer(&self, tenant: &str) -> Client<'_> {
        self.as_person("dev", &format!("{tenant}=developer"))
    }

    /// `user:ada`, who may do everything in one tenant.
    pub fn as_admin(&self, tenant: &str) -> Client<'_> {
        self.as_person("ada", &format!("{tenant}=admin"))
    }

    /// `user:root`, who may do everything.
    pub fn as_platform_admin(&self) -> Client<'_> {
        self.as_person("root", "*=admin")
    }

    /// A person with these roles, such as `acme=developer,beta=viewer`.
    pub fn as_person(&self, name: &str, roles: &str) -> Client<'_> {
        self.as_caller(callers::person(name, roles, &format!("ses_{name}")))
    }

    /// `api_key:key_test`, with these scopes in these tenants: `acme`, `acme,beta`, or `*`.
    pub fn as_api_key(&self, scopes: &[Scope], tenants: &str) -> Client<'_> {
        self.as_caller(callers::api_key(scopes, tenants.parse().expect("tenants")))
    }

    /// A service of a project, with its token.
    pub fn as_service(&self, tenant: &str, project: &str, service: &str) -> Client<'_> {
        self.as_caller(callers::service(tenant, project, service))
    }

    async fn send(&self, request: Request) -> Response<Body> {
        let now = self.system.now();
        let event: LambdaRequest =
            serde_json::from_value(request.event(now)).expect("an event of API Gateway");
        let mut context = Context::default();
        let deadline = (now + TIMEOUT).as_millisecond();
        context.deadline = deadline.try_into().expect("after 1970");
        let request = lambda_http::Request::from(event).with_lambda_context(context);
        self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {})
    }
}

#[derive(Clone)]
pub struct Client<'a> {
    app: &'a TestApp,
    caller: Option<Caller>,
    token_expires_at: Option<Timestamp>,
}

impl<'a> Client<'a> {
    /// The same caller, whose token ends then.
    #[must_use]
    pub fn expiring_at(self, token_expires_at: Timestamp) -> Self {
        Self { token_expires_at: Some(token_expires_at), ..self }
    }

    pub fn get(&self, path: impl Into<String>) -> Call<'a> {
        self.call(Method::GET, path)
    }

    pub fn put(&self, path: impl Into<String>) -> Call<'a> {
        self.call(Method::PUT, path)
    }

    pub fn post(&self, path: impl Into<String>) -> Call<'a> {
        self.call(Method::POST, path)
    }

    pub fn patch(&self, path: impl Into<String>) -> Call<'a> {
        self.call(Method::PATCH, path)
    }

    pub fn delete(&self, path: impl Into<String>) -> Call<'a> {
        self.call(Method::DELETE, path)
    }

    /// A call of `path`, query included, as it stands in the request line.
    pub fn call(&self, method: Method, path: impl Into<String>) -> Call<'a> {
        let (path, headers, body) = (path.into(), HeaderMap::new(), Vec::new());
        let (caller, token_expires_at) = (self.caller.clone(), self.token_expires_at);
        Call {
            app: self.app,
            request: Request {
                method,
                path,
                headers,
                body,
                caller,
                token_expires_at,
                source_ip: SOURCE_IP.to_owned(),
            },
        }
    }
}

/// A call that is made when it is awaited.
pub struct Call<'a> {
    app: &'a TestApp,
    request: Request,
}

impl Call<'_> {
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header's value");
        self.request.headers.append(HeaderName::from_static(name), value);
        self
    }

    #[must_use]
    pub fn if_match(self, etag: &str) -> Self {
        self.header("if-match", etag)
    }

    #[must_use]
    pub fn idempotency_key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    #[must_use]
    pub fn last_event_id(self, id: &str) -> Self {
        self.header("last-event-id", id)
    }

    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// The same call from another address.
    #[must_use]
    pub fn from_address(mut self, address: &str) -> Self {
        address.clone_into(&mut self.request.source_ip);
        self
    }

    /// A body of any type, which may be malformed.
    #[must_use]
    pub fn body(mut self, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        self.request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.request.body = body.into();
        self
    }

    /// A body of which nothing is said.
    #[must_use]
    pub fn untyped_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.request.headers.remove(header::CONTENT_TYPE);
        self.request.body = body.into();
        self
    }

    /// Reads the answer as a stream of events while it is made.
    pub async fn stream(self) -> EventStream {
        let (parts, body) = self.app.send(self.request).await.into_parts();
        EventStream::new(parts.status, parts.headers, body)
    }

    async fn answer(self) -> Answer {
        let (parts, body) = self.app.send(self.request).await.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("the body can be read");
        let text = String::from_utf8(body.into()).expect("the body is text");
        Answer::new(parts.status, parts.headers, text)
    }
}

impl<'a> IntoFuture for Call<'a> {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.answer())
    }
}
