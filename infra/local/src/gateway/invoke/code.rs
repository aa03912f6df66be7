//! The code of a function.

use std::{fmt, marker::PhantomData, pin::Pin, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use http::{Response, Uri};
use http_body::Body;
use lambda_http::{
    Adapter, Request, RequestExt, StreamAdapter, request::LambdaRequest, request::RequestContext,
};
use lambda_runtime::{Context, Diagnostic, Error, LambdaEvent};
use serde::{Serialize, de::DeserializeOwned};
use tower::{Service, ServiceExt};

/// The code of one function, as Lambda would run it.
#[derive(Clone)]
pub struct LambdaFunction(Arc<dyn Code>);

/// One call of a function.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The event, as JSON text.
    pub payload: Bytes,
    /// What the Lambda runtime knows about the call.
    pub context: Context,
    /// Whether the function is configured not to see the stage in paths.
    pub ignore_stage: bool,
}

/// The answer of a streaming function.
pub struct StreamedAnswer {
    /// Status, headers and cookies, as JSON text.
    pub prelude: Bytes,
    pub body: Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>,
}

#[async_trait]
trait Code: Send + Sync {
    async fn invoke(&self, invocation: Invocation) -> Result<Bytes, Diagnostic>;
    async fn stream(&self, invocation: Invocation) -> Result<StreamedAnswer, Diagnostic>;
}

impl fmt::Debug for LambdaFunction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("LambdaFunction").finish()
    }
}

impl LambdaFunction {
    /// A function that answers HTTP, such as an axum `Router`. It serves buffered and streaming
    /// routes, through the adapters that `lambda_http::run` and `run_with_streaming_response` use.
    pub fn http<S, B>(service: S) -> Self
    where
        S: Service<Request, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Diagnostic> + Send + 'static,
        B: Body + Unpin + Send + 'static,
        B::Data: Into<Bytes> + Send,
        B::Error: Into<Error> + fmt::Debug + Send,
    {
        Self(Arc::new(Http(service)))
    }

    /// A function from one JSON value to another, such as an authorizer: what one would hand to
    /// `lambda_runtime::service_fn`.
    pub fn json<T, R, E, F, Fut>(handler: F) -> Self
    where
        T: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
        E: Into<Diagnostic> + Send + 'static,
        F: Fn(LambdaEvent<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, E>> + Send + 'static,
    {
        Self(Arc::new(Json { handler, event: PhantomData::<fn(T)> }))
    }

    /// Calls the function and returns its answer as JSON text.
    ///
    /// # Errors
    /// What the function said went wrong.
    pub async fn invoke(&self, invocation: Invocation) -> Result<Bytes, Diagnostic> {
        self.0.invoke(invocation).await
    }

    /// Calls the function and returns as soon as it has status and headers.
    ///
    /// # Errors
    /// What the function said went wrong before that.
    pub async fn stream(&self, invocation: Invocation) -> Result<StreamedAnswer, Diagnostic> {
        self.0.stream(invocation).await
    }
}

struct Http<S>(S);

#[async_trait]
impl<S, B> Code for Http<S>
where
    S: Service<Request, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Diagnostic> + Send + 'static,
    B: Body + Unpin + Send + 'static,
    B::Data: Into<Bytes> + Send,
    B::Error: Into<Error> + fmt::Debug + Send,
{
    async fn invoke(&self, invocation: Invocation) -> Result<Bytes, Diagnostic> {
        let event = http_event(&invocation)?;
        let mut service = self.0.clone().map_request(seen_by_function(invocation.ignore_stage));
        service.ready().await.map_err(Into::into)?;
        let answer = Adapter::from(service).call(event);
        to_json(&answer.await.map_err(Into::into)?)
    }

    async fn stream(&self, invocation: Invocation) -> Result<StreamedAnswer, Diagnostic> {
        let event = http_event(&invocation)?;
        let mut service = self.0.clone().map_request(seen_by_function(invocation.ignore_stage));
        service.ready().await.map_err(Into::into)?;
        let answer = StreamAdapter::from(service).call(event);
        let answer = answer.await.map_err(Into::into)?;
        let body = answer.stream.map(|chunk| chunk.map(Into::into).map_err(Into::into));
        Ok(StreamedAnswer { prelude: to_json(&answer.metadata_prelude)?, body: Box::pin(body) })
    }
}

struct Json<F, T> {
    handler: F,
    event: PhantomData<fn(T)>,
}

#[async_trait]
impl<T, R, E, F, Fut> Code for Json<F, T>
where
    T: DeserializeOwned + Send + 'static,
    R: Serialize + Send + 'static,
    E: Into<Diagnostic> + Send + 'static,
    F: Fn(LambdaEvent<T>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, E>> + Send + 'static,
{
    async fn invoke(&self, invocation: Invocation) -> Result<Bytes, Diagnostic> {
        let event = LambdaEvent::new(from_json(&invocation.payload)?, invocation.context);
        to_json(&(self.handler)(event).await.map_err(Into::into)?)
    }

    async fn stream(&self, _: Invocation) -> Result<StreamedAnswer, Diagnostic> {
        Err("this function does not stream".into())
    }
}

fn http_event(invocation: &Invocation) -> Result<LambdaEvent<LambdaRequest>, Diagnostic> {
    Ok(LambdaEvent::new(from_json(&invocation.payload)?, invocation.context.clone()))
}

fn from_json<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Diagnostic> {
    serde_json::from_slice(payload).map_err(|error| error.to_string().into())
}

fn to_json(value: &impl Serialize) -> Result<Bytes, Diagnostic> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| error.to_string().into())
}

/// `lambda_http` puts the stage in front of the path unless `AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH` is
/// set. Functions in one process share an environment, so the gateway plays that variable per function.
fn seen_by_function(ignore_stage: bool) -> impl Fn(Request) -> Request + Clone + Send + Sync {
    move |request| if ignore_stage { without_stage(request) } else { request }
}

fn without_stage(mut request: Request) -> Request {
    let Some(RequestContext::ApiGatewayV1(context)) = request.request_context_ref() else { return request };
    let prefix = format!("/{}", context.stage.as_deref().unwrap_or_default());
    if request.raw_http_path().starts_with(&format!("{prefix}/")) {
        return request;
    }
    if let Some(uri) = stripped(request.uri(), &prefix) {
        *request.uri_mut() = uri;
    }
    request
}

fn stripped(uri: &Uri, prefix: &str) -> Option<Uri> {
    let rest = uri.path().strip_prefix(prefix).filter(|rest| rest.starts_with('/'))?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{rest}{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}
