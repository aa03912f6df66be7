//! Watching an operation until it ends.
//!
//! Its record is read again and again: it holds the last lines of the worker's log, and a reader who was away
//! for a while misses no more than what it has forgotten.

use std::{io, time::Duration};

use gatehouse_domain::json::Json;

use crate::{
    client::{Answer, Client},
    context::Context,
    exit::Exit,
    failure::Failure,
    output::{Look, printable, text_at},
    retry::{Retries, Retry},
};

/// How often the record is read: workers report every few seconds.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(2);

pub(super) struct Watch<'c, 'a, 'w> {
    context: &'c mut Context<'a, 'w>,
    client: &'c Client,
    service: &'c str,
    operation: &'c str,
    /// The operation as it was shown last.
    seen: Json,
    retries: Retries,
}

impl<'c, 'a, 'w> Watch<'c, 'a, 'w> {
    /// Watches an operation from its beginning.
    pub(super) fn new(
        context: &'c mut Context<'a, 'w>,
        client: &'c Client,
        service: &'c str,
        operation: &'c str,
    ) -> Self {
        Self { context, client, service, operation, seen: Json::Null, retries: Retries::new() }
    }

    /// Prints what happens until the operation ends.
    pub(super) async fn follow(mut self) -> Result<Exit, Failure> {
        loop {
            let path = &["services", self.service, "operations", self.operation];
            let wait = match self.client.get(path).await {
                Ok(answer) => {
                    self.retries.reset();
                    if let Some(exit) = self.take(&answer)? {
                        return Ok(exit);
                    }
                    LOOK_INTERVAL
                }
                Err(failure) => {
                    let Retry { wait, news } = self.retries.retry(failure)?;
                    news.map_or(Ok(()), |news| self.aside(&news))?;
                    wait
                }
            };
            self.context.clock.sleep(wait).await;
        }
    }

    fn take(&mut self, answer: &Answer) -> Result<Option<Exit>, Failure> {
        let operation = &answer.body["operation"];
        if *operation != self.seen {
            if self.context.output.json {
                self.context.output.raw(&answer.text)?;
            } else {
                self.show(operation)?;
            }
            self.seen = operation.clone();
        }
        Ok(Exit::of_operation(text_at(operation, "/status")))
    }

    fn show(&mut self, operation: &Json) -> io::Result<()> {
        let ended = Exit::of_operation(text_at(operation, "/status")).is_some();
        if !ended {
            self.show_status(operation)?;
        }
        for link in unseen(&self.seen["links"], &operation["links"]) {
            self.aside(&format!("{}: {}", text_at(link, "/name"), text_at(link, "/url")))?;
        }
        for step in changed(&self.seen["steps"], &operation["steps"]) {
            self.aside(&step_line(step))?;
        }
        for line in unseen(&self.seen["log"], &operation["log"]) {
            self.context.output.stdout.line(&printable(line.as_str().unwrap_or_default()))?;
        }
        if operation["plan"].as_object().is_some() && operation["plan"] != self.seen["plan"] {
            self.aside(&plan_line(operation))?;
        }
        if ended {
            self.show_outputs(operation)?;
            self.show_status(operation)?;
        }
        Ok(())
    }

    fn show_status(&mut self, operation: &Json) -> io::Result<()> {
        let (status, reason) = (text_at(operation, "/status"), text_at(operation, "/reason"));
        if status == text_at(&self.seen, "/status") {
            return Ok(());
        }
        match (status, reason) {
            ("awaiting_approval", _) => {
                let (service, operation) = (self.service, self.operation);
                self.aside(&format!(
                    "awaiting_approval: somebody else says `gatehouse approve {operation} --service {service}`"
                ))
            }
            (status, "") => self.aside(status),
            (status, reason) => self.aside(&format!("{status}: {reason}")),
        }
    }

    fn show_outputs(&mut self, operation: &Json) -> io::Result<()> {
        for (name, output) in operation["outputs"].as_object().into_iter().flatten() {
            let value = match output.as_object().and_then(|members| members.get("value")) {
                Some(Json::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                None if output["too_large"].as_bool() == Some(true) => "(too large)".to_owned(),
                None => "(sensitive)".to_owned(),
            };
            self.aside(&format!("output {name}: {value}"))?;
        }
        Ok(())
    }

    /// Prints something beside the log.
    fn aside(&mut self, text: &str) -> io::Result<()> {
        self.context.output.stderr.styled(Look::Dimmed, &printable(&format!("-- {text}")))
    }
}

fn items(list: &Json) -> &[Json] {
    list.as_array().unwrap_or_default()
}

/// What of a list that grows, and forgets its beginning, was not there before.
fn unseen<'v>(before: &Json, now: &'v Json) -> &'v [Json] {
    let (before, now) = (items(before), items(now));
    let most = before.len().min(now.len());
    let known = (0..=most).rev().find(|known| before.ends_with(&now[..*known]));
    &now[known.unwrap_or_default()..]
}

/// The steps that stand otherwise than before. How far they are is too much news.
fn changed<'v>(before: &Json, now: &'v Json) -> Vec<&'v Json> {
    let looks_like = |one: &Json, other: &Json| {
        ["name", "attempt", "state", "message"].iter().all(|it| one[*it] == other[*it])
    };
    let is_new = |step: &&Json| !items(before).iter().any(|known| looks_like(known, step));
    items(now).iter().filter(is_new).collect()
}

fn step_line(step: &Json) -> String {
    let (name, state) = (text_at(step, "/name"), text_at(step, "/state"));
    match text_at(step, "/message") {
        "" => format!("{name} {state}"),
        message => format!("{name} {state}: {message}"),
    }
}

/// What a plan would do, or what a look for drift found.
fn plan_line(operation: &Json) -> String {
    let count = |what: &str| operation["plan"][what].as_u64().unwrap_or_default();
    let (add, change, destroy) = (count("add"), count("change"), count("destroy"));
    match text_at(operation, "/kind") {
        "drift" => format!("drift: {} resources are otherwise than provisioned", add + change + destroy),
        _ => format!("plan: {add} to add, {change} to change, {destroy} to destroy"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_log_that_forgets_its_beginning_is_shown_once() {
        let cases = [
            (json!(null), json!(["a", "b"]), json!(["a", "b"])),
            (json!(["a", "b"]), json!(["a", "b"]), json!([])),
            (json!(["a", "b"]), json!(["a", "b", "c"]), json!(["c"])),
            (json!(["a", "b"]), json!(["b", "c", "d"]), json!(["c", "d"])),
            (json!(["a", "b"]), json!(["x", "y"]), json!(["x", "y"])),
            (json!(["a", "b"]), json!([]), json!([])),
            (json!([]), json!(["a"]), json!(["a"])),
        ];
        for (before, now, expected) in
            cases.map(|(before, now, expected)| (before.into(), now.into(), Json::from(expected)))
        {
            assert_eq!(Some(unseen(&before, &now)), expected.as_array(), "{before} then {now}");
        }
    }
}
