//! Mounting operations: no handler is reachable without an entry in the table of who may call what.

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    handler::Handler,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{MethodFilter, on},
};
use gatehouse_domain::access::{Admission, Endpoint, Reach};
use http::{HeaderValue, Method};
use tower::util::MapRequestLayer;

use crate::{
    gateway,
    problem::{self, Problem},
    request_log,
};

/// The largest body that an endpoint takes unless it says otherwise, in bytes: larger ones than anybody
/// writes by hand.
const BODY_LIMIT: usize = 1024 * 1024;

/// Which endpoint answered, for the log line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered(pub &'static str);

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
    /// No routes yet.
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
    pub fn on<H, T>(mut self, endpoint: &'static Endpoint, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let admit = from_fn(move |request, next| admit(endpoint, request, next));
        let route = on(filter(endpoint.method), handler).layer(admit);
        self.router = self.router.route(endpoint.path, route);
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
            response.extensions_mut().insert(Answered(path));
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

fn filter(method: &str) -> MethodFilter {
    let method = Method::from_bytes(method.as_bytes()).expect("the table has HTTP methods");
    MethodFilter::try_from(method).expect("the table has methods that can be routed")
}

/// Says in answers to a token that ends soon when that is: RFC 3339.
const TOKEN_EXPIRES_AT: &str = "x-token-expires-at";

/// Lets admitted callers through. The authorizer's policy says the same; this holds when a policy is
/// cached, or wrong.
async fn admit(endpoint: &'static Endpoint, mut request: Request, next: Next) -> Response {
    let ends_soon = gateway::ends_soon(request.extensions());
    let mut response = match gateway::caller(request.extensions()) {
        None => Problem::new(problem::UNAUTHORIZED, "Send a credential as a bearer token.").into_response(),
        Some(caller) if caller.may(endpoint) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Some(_) => Problem::new(problem::FORBIDDEN, needs(endpoint)).into_response(),
    };
    if let Some(ends_at) = ends_soon.and_then(|time| HeaderValue::from_str(&time.to_string()).ok()) {
        response.headers_mut().insert(TOKEN_EXPIRES_AT, ends_at);
    }
    response.extensions_mut().insert(Answered(endpoint.id));
    response
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
