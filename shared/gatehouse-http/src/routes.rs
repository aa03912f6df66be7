//! Mounting operations: no handler is reachable without an entry in the table of who may call what.

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    handler::Handler,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{MethodFilter, on},
};
use gatehouse_domain::{
    access::{Admission, Endpoint, Reach},
    caller::{Caller, RequiredAction},
    reauthentication,
};
use http::{HeaderValue, Method};
use jiff::Timestamp;
use tower::util::MapRequestLayer;

use crate::{
    gateway,
    problem::{self, Problem},
    request_log::{self, LoggedEndpoint},
};

/// The largest body that an endpoint takes unless it is mounted with another limit, in bytes: larger ones than
/// anybody writes by hand.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// The routes of one function.
pub struct Routes<S> {
    router: Router<S>,
    mounted: Vec<&'static Endpoint>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    pub fn new() -> Self {
        Self { router: Router::new(), mounted: Vec::new() }
    }

    /// Mounts the handler of an endpoint. It is reached only by callers whom the endpoint admits, and
    /// finds them in [`crate::extract::Admitted`].
    ///
    /// # Panics
    ///
    /// When the endpoint has a method that HTTP does not have: a defect of the table.
    #[must_use]
    pub fn on<H, T>(self, endpoint: &'static Endpoint, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.on_up_to(endpoint, BODY_LIMIT, handler)
    }

    /// [`Self::on`], for bodies of at most `body_limit` bytes. API Gateway takes 10 MiB, and Lambda events of
    /// 6 MiB, in which a binary body is a third longer.
    ///
    /// # Panics
    ///
    /// As [`Self::on`].
    #[must_use]
    pub fn on_up_to<H, T>(mut self, endpoint: &'static Endpoint, body_limit: usize, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let admit = from_fn(move |request, next| admit(endpoint, request, next));
        let methods = endpoint.methods.iter().map(|method| filter(method));
        let methods = methods.reduce(MethodFilter::or).expect("the table has a method for each endpoint");
        let route = on(methods, handler).layer(DefaultBodyLimit::max(body_limit)).layer(admit);
        self.router = self.router.route(&routed(endpoint.path), route);
        self.mounted.push(endpoint);
        self
    }

    /// Mounts a handler that anybody may reach.
    ///
    /// # Panics
    ///
    /// When the path is mounted with this method already, or HTTP has no such method.
    #[must_use]
    pub fn open<H, T>(mut self, method: &'static str, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let answered = from_fn(move |request, next: Next| async move {
            let mut response: Response = next.run(request).await;
            response.extensions_mut().insert(LoggedEndpoint(path));
            response
        });
        self.router = self.router.route(path, on(filter(method), handler).layer(answered));
        self
    }

    /// The endpoints that are mounted.
    pub fn mounted(&self) -> &[&'static Endpoint] {
        &self.mounted
    }

    /// The function: routing by API Gateway's match, limits, problem bodies, and the log line.
    pub fn into_app(self, state: S) -> Router {
        let routes = self
            .router
            .fallback(|| async { Problem::new(problem::NO_SUCH_ROUTE, "There is no such route.") })
            .method_not_allowed_fallback(|method: Method| async move {
                Problem::new(problem::METHOD_NOT_ALLOWED, format!("This path does not take {method}."))
            })
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .with_state(state);
        let restored = tower::Layer::layer(&MapRequestLayer::new(gateway::restore_path), routes);
        Router::new().fallback_service(restored).layer(from_fn(request_log::log))
    }
}

/// The path as the router writes it: `{*proxy}` for `{proxy+}`.
fn routed(path: &str) -> String {
    match path.strip_suffix("+}").and_then(|path| path.rsplit_once('{')) {
        Some((before, name)) => format!("{before}{{*{name}}}"),
        None => path.to_owned(),
    }
}

fn filter(method: &str) -> MethodFilter {
    let method = Method::from_bytes(method.as_bytes()).expect("the table has HTTP methods");
    MethodFilter::try_from(method).expect("the table has methods that can be routed")
}

/// Lists a function's endpoints once: makes `routes()`, which mounts them on the state, and `Description`, what
/// the function contributes to the API description.
///
/// An endpoint of the table comes with its handler, and with a limit for bodies where the usual one does not fit.
/// Routes that anybody may reach come last, by method and path.
///
/// ```ignore
/// gatehouse_http::routes! {
///     AppState,
///     IMPORT_JOBS => import::import { body_limit: 4 * 1024 * 1024 },
///     LIST_JOBS => job::list,
///     "POST" "/auth/login" => sessions::log_in,
/// }
/// ```
#[macro_export]
macro_rules! routes {
    (@limit) => { $crate::routes::BODY_LIMIT };
    (@limit $limit:expr) => { $limit };
    (
        $state:ty,
        $($endpoint:ident => $($handler:ident)::+ $({ body_limit: $limit:expr })?,)*
        $($method:literal $path:literal => $($open:ident)::+,)*
    ) => {
        pub fn routes() -> $crate::Routes<$state> {
            $crate::Routes::new()
                $(.on_up_to(&gatehouse_domain::access::$endpoint, $crate::routes!(@limit $($limit)?), $($handler)::+))*
                $(.open($method, $path, $($open)::+))*
        }

        /// What this function contributes to the API description.
        #[derive(Debug, utoipa::OpenApi)]
        #[openapi(paths($($($handler)::+,)* $($($open)::+,)*))]
        pub struct Description;
    };
}

/// Says in answers to a token that ends soon when that is: RFC 3339.
const TOKEN_EXPIRES_AT: &str = "x-token-expires-at";

/// Lets admitted callers through. The authorizer's policy says the same; this holds when a policy is
/// cached, or wrong.
async fn admit(endpoint: &'static Endpoint, mut request: Request, next: Next) -> Response {
    let expires_soon = gateway::expires_soon(request.extensions());
    let caller = gateway::caller(request.extensions());
    let mut response = match admitted(caller, endpoint, gateway::received_at(request.extensions())) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            request.extensions_mut().insert(endpoint);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    if let Some(expires_at) = expires_soon.and_then(|time| HeaderValue::from_str(&time.to_string()).ok()) {
        response.headers_mut().insert(TOKEN_EXPIRES_AT, expires_at);
    }
    response.extensions_mut().insert(LoggedEndpoint(endpoint.id));
    response
}

/// The caller, where they may use the endpoint as they stand.
fn admitted(caller: Option<Caller>, endpoint: &Endpoint, now: Option<Timestamp>) -> Result<Caller, Problem> {
    let Some(caller) = caller else {
        return Err(Problem::new(problem::UNAUTHORIZED, "Send a credential as a bearer token."));
    };
    if !caller.may(endpoint) {
        return Err(match caller.required_action() {
            None => Problem::new(problem::FORBIDDEN, needs(endpoint)),
            Some(action) => Problem::new(problem::ACTION_REQUIRED, first(action)),
        });
    }
    // Where nobody says what time it is, nothing is of late.
    if reauthentication::is_due(&caller, endpoint, now.unwrap_or(Timestamp::MAX)) {
        let detail = "This takes a password that was said in the last ten minutes. Say it again with \
                      `POST /auth/reauthenticate`, and repeat the request.";
        return Err(Problem::new(problem::REAUTHENTICATION_REQUIRED, detail));
    }
    Ok(caller)
}

fn first(action: RequiredAction) -> &'static str {
    match action {
        RequiredAction::ChangePassword => {
            "Somebody else chose your password. Choose another one first, with `POST /auth/password`."
        }
        RequiredAction::EnrolSecondFactor => {
            "A tenant of yours wants a second factor. Enrol one first, with `POST /auth/second-factor`."
        }
    }
}

fn needs(endpoint: &Endpoint) -> String {
    match endpoint.admission {
        Admission::Known => "This takes a valid credential.".to_owned(),
        Admission::Person => "This takes the session of a person.".to_owned(),
        Admission::Granted { scope, role, reach: Reach::Tenant } => {
            format!("This takes an API key with the scope `{scope}`, or the role `{}`.", role.as_str())
        }
        Admission::Granted { scope, reach: Reach::Platform, .. } => {
            format!("This takes an API key for all tenants with the scope `{scope}`, or a platform admin.")
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use gatehouse_domain::access::{Role, Scope};
    use http::StatusCode;
    use lambda_http::request::LambdaRequest;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;
    use crate::extract::{RawBody, RestOfPath};

    const FORWARD: Endpoint = Endpoint {
        id: "forward",
        function: "proxy",
        methods: &["GET", "POST"],
        path: "/{project}/{proxy+}",
        admission: Admission::Granted { scope: Scope::RunsWrite, role: Role::Viewer, reach: Reach::Tenant },
    };

    /// What is answered with the rest of the path and the length of the body.
    async fn forward(RestOfPath(rest): RestOfPath, RawBody(body): RawBody) -> String {
        format!("{rest} {}", body.len())
    }

    async fn sent(method: &str, rest: &str, body: &str) -> (StatusCode, String) {
        let (parts, body) = answer(method, rest, body).await.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, String::from_utf8(body.into()).unwrap())
    }

    async fn answer(method: &str, rest: &str, body: &str) -> Response {
        let authorizer = json!({ "kind": "api_key", "subject": "k", "scopes": "*", "tenants": "*" });
        let event = json!({
            "resource": FORWARD.path, "path": "/", "httpMethod": method, "headers": {},
            "multiValueHeaders": {}, "queryStringParameters": {}, "multiValueQueryStringParameters": {},
            "pathParameters": { "project": "shop", "proxy": rest },
            "requestContext": {
                "resourcePath": FORWARD.path, "httpMethod": method, "identity": {}, "authorizer": authorizer,
            },
            "body": body, "isBase64Encoded": false,
        });
        let event: LambdaRequest = serde_json::from_value(event).unwrap();
        let app = Routes::new().on_up_to(&FORWARD, 2 * BODY_LIMIT, forward).into_app(());
        app.oneshot(lambda_http::Request::from(event).map(Body::new)).await.unwrap()
    }

    #[tokio::test]
    async fn every_answer_has_the_security_headers() {
        let too_large = "x".repeat(2 * BODY_LIMIT + 1);
        for (method, body, status) in
            [("GET", "", 200), ("DELETE", "", 405), ("POST", too_large.as_str(), 413)]
        {
            let answer = answer(method, "a", body).await;
            assert_eq!(answer.status(), status);
            for (name, value) in request_log::SECURITY_HEADERS {
                assert_eq!(answer.headers().get(&name).unwrap(), value, "{method}: {name}");
            }
        }
    }

    #[tokio::test]
    async fn an_endpoint_takes_the_methods_that_it_lists() {
        assert_eq!(sent("GET", "a", "").await, (StatusCode::OK, "a 0".into()));
        assert_eq!(sent("POST", "a", "x").await, (StatusCode::OK, "a 1".into()));
        assert_eq!(sent("DELETE", "a", "").await.0, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn a_greedy_path_reaches_its_handler_as_it_is() {
        for rest in ["a/b", "a%2Fb", "x//y/../z", "50%25", "%", "what?", "ä b", "a/"] {
            assert_eq!(sent("GET", rest, "").await, (StatusCode::OK, format!("{rest} 0")));
        }
    }

    #[tokio::test]
    async fn a_route_has_a_body_limit_of_its_own() {
        let allowed = "x".repeat(2 * BODY_LIMIT);
        assert_eq!(sent("POST", "a", &allowed).await.0, StatusCode::OK);
        let (status, problem) = sent("POST", "a", &format!("{allowed}x")).await;
        let problem: Value = serde_json::from_str(&problem).unwrap();
        assert_eq!(
            (status, &problem["type"]),
            (StatusCode::PAYLOAD_TOO_LARGE, &json!("/problems/body-too-large"))
        );
    }
}
