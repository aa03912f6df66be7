//! `runs watch`: the live log of a run, until the run ends.
//!
//! A stream that is cut, or that the server ends, is taken up behind the last event that was read whole. So
//! nothing is printed twice and nothing is left out.

use std::{io, time::Duration};

use gatehouse_domain::json::Json;
use gatehouse_outbound::{SseEvent, SseParser};
use reqwest::{Method, StatusCode};

use super::log::LogView;
use crate::{
    client::Client,
    context::Context,
    exit::Exit,
    failure::Failure,
    output::{Look, printable, text_at},
    retry::{Retries, Retry},
};

/// The longest event that is read, in bytes: far more than one piece of a log.
const MAX_EVENT: usize = 16 * 1024 * 1024;

pub(super) struct Watch<'c, 'a, 'w> {
    context: &'c mut Context<'a, 'w>,
    client: &'c Client,
    run: &'c str,
    view: LogView,
    /// The id of the last event that was read.
    last_id: Option<String>,
    /// The last status that was shown.
    status: Option<Json>,
    retries: Retries,
}

impl<'c, 'a, 'w> Watch<'c, 'a, 'w> {
    /// Watches a run from its beginning.
    pub(super) fn new(context: &'c mut Context<'a, 'w>, client: &'c Client, run: &'c str) -> Self {
        let view = LogView::new(context.output.stdout.colours);
        let (last_id, status) = (None, None);
        Self { context, client, run, view, last_id, status, retries: Retries::new() }
    }

    /// Prints what happens until the run ends.
    pub(super) async fn follow(mut self) -> Result<Exit, Failure> {
        loop {
            let wait = match self.read_stream().await {
                Ok(Some(exit)) => return Ok(exit),
                Ok(None) => {
                    self.retries.reset();
                    self.retries.pause()
                }
                Err(failure) => self.retry(failure)?,
            };
            self.context.clock.sleep(wait).await;
        }
    }

    fn retry(&mut self, failure: Failure) -> Result<Duration, Failure> {
        match self.retries.retry(failure) {
            Ok(Retry { wait, news }) => {
                if let Some(news) = news {
                    self.aside(Look::Dimmed, &news)?;
                }
                Ok(wait)
            }
            Err(failure) => {
                self.end_line()?;
                Err(failure)
            }
        }
    }

    /// Reads one stream; `None` when the server asks to come back.
    async fn read_stream(&mut self) -> Result<Option<Exit>, Failure> {
        let path = &["v1", "runs", self.run, "events"];
        let mut call = self.client.call(Method::GET, path)?.header("Accept", "text/event-stream");
        if let Some(id) = &self.last_id {
            call = call.header("Last-Event-ID", id);
        }
        let mut response = call.open().await?;
        if response.status() == StatusCode::NO_CONTENT {
            return self.outcome().await.map(Some);
        }
        let mut parser = SseParser::new(MAX_EVENT);
        while let Some(mut piece) = response.chunk().await.map_err(|_| self.cut())? {
            loop {
                let event = parser.next(&mut piece);
                self.retries.set_pause(parser.retry());
                let Some(event) = event else { break };
                match self.take(event)? {
                    Next::GoOn => {}
                    Next::ComeBack => return Ok(None),
                    Next::Ended(Some(exit)) => return Ok(Some(exit)),
                    Next::Ended(None) => return self.outcome().await.map(Some),
                }
            }
            if parser.is_too_long() {
                return Err(too_long());
            }
        }
        Err(self.cut())
    }

    fn take(&mut self, event: SseEvent) -> Result<Next, Failure> {
        let data = event.data.as_deref().ok_or_else(too_long)?;
        let data: Json = serde_json::from_str(&String::from_utf8_lossy(data)).map_err(|_| {
            Failure::Nonsense(format!("{} sends an event that is no JSON", self.client.site()))
        })?;
        // A status need not have a place in the stream, so it may be told again when a reader comes back.
        let repeated = event.name == "status" && self.status.as_ref() == Some(&without_time(&data));
        if !repeated && event.name != "reconnect" {
            self.show(&event, &data)?;
        }
        if event.id.is_some() && event.id != self.last_id {
            self.retries.reset();
            self.last_id = event.id;
        }
        if let Some(failure) = not_admitted(self.run, &event.name, &data) {
            return Err(failure);
        }
        Ok(match event.name.as_str() {
            "end" => Next::Ended(Exit::of_run(text_at(&data, "/status"))),
            "reconnect" => Next::ComeBack,
            "error" => match data["retryable"].as_bool() {
                Some(retryable) => return Err(stream_failure(&data, retryable)),
                None => Next::GoOn,
            },
            "status" => {
                self.status = Some(without_time(&data));
                Next::GoOn
            }
            _ => Next::GoOn,
        })
    }

    fn show(&mut self, event: &SseEvent, data: &Json) -> io::Result<()> {
        if self.context.output.json {
            let id = event.id.as_deref().map_or(Json::Null, Json::from);
            let line = [("event", event.name.as_str().into()), ("id", id), ("data", data.clone())];
            let line = line.map(|(name, value)| (name.to_owned(), value));
            return self.context.output.stdout.line(&Json::Object(line.into()).to_string());
        }
        match event.name.as_str() {
            "log" => {
                let stderr = text_at(data, "/stream") == "stderr";
                let text = self.view.push(data["step"].as_str(), stderr, text_at(data, "/text"));
                self.print(&text)
            }
            "status" => self.aside(Look::Dimmed, &status_line(data)),
            "step" => self.aside(Look::Dimmed, &step_line(data)),
            "error" if data["retryable"].is_null() => self.aside(Look::Red, text_at(data, "/message")),
            "end" if data["reason"].is_null() => {
                self.aside(Look::Dimmed, &format!("run {}", text_at(data, "/status")))
            }
            _ => Ok(()),
        }
    }

    fn print(&mut self, text: &str) -> io::Result<()> {
        let writer = &mut self.context.output.stdout.writer;
        writer.write_all(text.as_bytes())?;
        writer.flush()
    }

    /// Prints something beside the log, which may have several lines.
    fn aside(&mut self, look: Look, text: &str) -> io::Result<()> {
        self.end_line()?;
        let stderr = &mut self.context.output.stderr;
        text.lines().try_for_each(|line| stderr.styled(look, &printable(&format!("-- {}", line.trim_end()))))
    }

    /// On a terminal both streams are one page; in a file the log stays as it was written.
    fn end_line(&mut self) -> io::Result<()> {
        if !self.context.output.stdout.is_terminal || self.context.output.json {
            return Ok(());
        }
        let text = self.view.end_line();
        self.print(&text)
    }

    /// How the run ended, by its record.
    async fn outcome(&mut self) -> Result<Exit, Failure> {
        let answer = self.client.get(&["v1", "runs", self.run]).await?;
        let status = text_at(&answer.body, "/run/status");
        Exit::of_run(status).ok_or_else(|| {
            let site = self.client.site();
            Failure::Nonsense(format!("{site} ends the stream of a run that is {}", printable(status)))
        })
    }

    fn cut(&self) -> Failure {
        let message = format!("the stream from {} was cut", self.client.site());
        Failure::Stream { message, retryable: true }
    }
}

/// What follows an event.
enum Next {
    GoOn,
    ComeBack,
    Ended(Option<Exit>),
}

/// Without the event the log would have a hole, so the watch ends here.
fn too_long() -> Failure {
    Failure::Nonsense(format!("the server sends an event of more than {MAX_EVENT} bytes"))
}

/// Why the stream ends before the run does, where that lies with whoever reads it.
fn not_admitted(run: &str, event: &str, data: &Json) -> Option<Failure> {
    let why = match (event, text_at(data, "/reason")) {
        ("end", "credential_ended") => "your session or key has ended: log in again, or use another key",
        ("end", "role_lost") => "your role or key does not allow watching any more",
        _ => return None,
    };
    Some(Failure::NotAdmitted(format!("{why}; run {run} goes on")))
}

fn stream_failure(data: &Json, retryable: bool) -> Failure {
    Failure::Stream { message: printable(text_at(data, "/message")).into_owned(), retryable }
}

fn without_time(data: &Json) -> Json {
    let mut data = data.clone();
    if let Json::Object(members) = &mut data {
        members.remove("time");
    }
    data
}

fn status_line(data: &Json) -> String {
    match text_at(data, "/reason/detail") {
        "" => text_at(data, "/status").to_owned(),
        reason => format!("{}: {reason}", text_at(data, "/status")),
    }
}

fn step_line(data: &Json) -> String {
    let step = data["name"].as_str().unwrap_or(text_at(data, "/step"));
    let outcome = match (data["succeeded"].as_bool(), data["exit_status"].as_i64()) {
        (_, Some(status)) if status != 0 => format!(" with exit status {status}"),
        (Some(false), _) => " without success".to_owned(),
        _ => String::new(),
    };
    let kind = data["kind"].as_str().map(|kind| format!("{kind} ")).unwrap_or_default();
    let detail = known_of(data).map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{kind}{step} {}{outcome}{detail}", text_at(data, "/phase"))
}

/// What is known of a step beside how far it is: what goes on, what it runs, which version it has.
fn known_of(data: &Json) -> Option<String> {
    if let Some(detail) = data["detail"].as_str() {
        return Some(detail.to_owned());
    }
    let plain = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some(version) = data["version"].as_object() {
        let version: Vec<_> =
            version.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect();
        return Some(version.join(", "));
    }
    let command: Vec<_> = data["command"].as_array()?.iter().map(plain).collect();
    // A script of many lines would fill the screen.
    Some(command.join(" ")).filter(|command| !command.contains('\n') && command.len() <= 200)
}
