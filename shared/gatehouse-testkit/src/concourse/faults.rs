//! What goes wrong on demand.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_TYPE;

use super::calls::Route;

/// Something that goes wrong with the next matching calls: once, unless told otherwise.
///
/// ```
/// use gatehouse_testkit::concourse::{Fault, Route};
/// // The build is made, and the answer is lost.
/// let lost_answer = Fault::on(Route::Trigger).cut().after_effect();
/// // A proxy has a bad minute.
/// let bad_minute = Fault::on(Route::Any).html_page(502).times(5);
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    route: Route,
    delay: Duration,
    effect: Effect,
    after_effect: bool,
    skip: usize,
    times: Option<usize>,
}

#[derive(Clone, Debug)]
enum Effect {
    None,
    Answer { status: u16, content_type: &'static str, body: String },
    Missing,
    Cut,
    CutBody { after_bytes: usize },
    CutStream { after_events: u64 },
}

impl Fault {
    /// A fault of calls to `route` that does nothing yet.
    pub fn on(route: Route) -> Self {
        let times = Some(1);
        Self { route, delay: Duration::ZERO, effect: Effect::None, after_effect: false, skip: 0, times }
    }

    /// Waits `delay` first; `Duration::MAX` means for ever.
    #[must_use]
    pub fn slow(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Answers with `status` and no body.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        self.answer(status, "", String::new())
    }

    /// Answers as for what is not there, and says that Concourse does.
    #[must_use]
    pub fn missing(mut self) -> Self {
        self.effect = Effect::Missing;
        self
    }

    /// Answers as for a token that is not known.
    #[must_use]
    pub fn unauthorized(self) -> Self {
        self.answer(401, "text/plain; charset=utf-8", "not authorized".to_owned())
    }

    /// Answers with `status` and the HTML page of a proxy.
    #[must_use]
    pub fn html_page(self, status: u16) -> Self {
        let page = format!(
            "<html>\r\n<head><title>{status}</title></head>\r\n<body><h1>{status}</h1></body>\r\n</html>\r\n"
        );
        self.answer(status, "text/html", page)
    }

    /// Answers with `status` and a JSON body.
    #[must_use]
    pub fn json(self, status: u16, body: &serde_json::Value) -> Self {
        self.answer(status, "application/json", body.to_string())
    }

    /// Closes the connection without an answer.
    #[must_use]
    pub fn cut(mut self) -> Self {
        self.effect = Effect::Cut;
        self
    }

    /// Closes the connection when `bytes` of the body are out, wherever that falls.
    #[must_use]
    pub fn cut_at_byte(mut self, bytes: usize) -> Self {
        self.effect = Effect::CutBody { after_bytes: bytes };
        self
    }

    /// Closes the connection of an event stream when `events` records are out.
    #[must_use]
    pub fn cut_after_events(mut self, events: u64) -> Self {
        self.effect = Effect::CutStream { after_events: events };
        self
    }

    /// Lets the call have its effect first: the build is made, and then things go wrong.
    #[must_use]
    pub fn after_effect(mut self) -> Self {
        self.after_effect = true;
        self
    }

    /// Lets the first `calls` matching calls pass.
    #[must_use]
    pub fn skip(mut self, calls: usize) -> Self {
        self.skip = calls;
        self
    }

    /// Strikes `calls` times instead of once.
    #[must_use]
    pub fn times(mut self, calls: usize) -> Self {
        self.times = Some(calls);
        self
    }

    /// Strikes until the test clears the faults.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    fn answer(mut self, status: u16, content_type: &'static str, body: String) -> Self {
        self.effect = Effect::Answer { status, content_type, body };
        self
    }

    pub(super) fn body_cut(&self) -> Option<usize> {
        match self.effect {
            Effect::CutBody { after_bytes } => Some(after_bytes),
            _ => None,
        }
    }

    pub(super) fn stream_cut(&self) -> Option<u64> {
        match self.effect {
            Effect::CutStream { after_events } => Some(after_events),
            _ => None,
        }
    }

    /// Strikes before the call has its effect, if this fault does.
    pub(super) async fn strike_before(&self) -> Result<Option<Response>, Cut> {
        if self.after_effect { Ok(None) } else { self.strike().await }
    }

    /// Strikes after the call had its effect, if this fault does.
    pub(super) async fn strike_after(&self) -> Result<Option<Response>, Cut> {
        if self.after_effect { self.strike().await } else { Ok(None) }
    }

    async fn strike(&self) -> Result<Option<Response>, Cut> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        match &self.effect {
            Effect::Cut => Err(Cut),
            Effect::Answer { status, content_type, body } => {
                let mut answer = Response::builder().status(*status);
                if !content_type.is_empty() {
                    answer = answer.header(CONTENT_TYPE, *content_type);
                }
                Ok(answer.body(Body::from(body.clone())).ok())
            }
            Effect::Missing => {
                let answer = Response::builder().status(404).header("x-concourse-version", "7.14.3");
                Ok(answer.body(Body::empty()).ok())
            }
            Effect::None | Effect::CutBody { .. } | Effect::CutStream { .. } => Ok(None),
        }
    }
}

/// The connection is to be closed without another byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut by a fault of the twin")
    }
}

impl std::error::Error for Cut {}

/// The faults that wait for their calls.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn arm(&mut self, fault: Fault) {
        if fault.times != Some(0) {
            self.0.push(fault);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes the first fault that strikes a call to `route`.
    pub(super) fn take(&mut self, route: Route) -> Option<Fault> {
        let at = self.0.iter_mut().position(|fault| {
            let matches = fault.route == Route::Any || fault.route == route;
            let passes = matches && fault.skip > 0;
            fault.skip -= usize::from(passes);
            matches && !passes
        })?;
        let fault = self.0[at].clone();
        if let Some(times) = &mut self.0[at].times {
            *times -= 1;
            if *times == 0 {
                self.0.remove(at);
            }
        }
        Some(fault)
    }
}

/// Says that a stream is to be cut when this many records are out.
#[derive(Clone, Copy, Debug)]
pub(super) struct CutAfterEvents(pub(super) u64);

/// Gives the connection a chance to send what it has: a body that fails takes unsent bytes with it.
pub(super) async fn flushed() {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}
