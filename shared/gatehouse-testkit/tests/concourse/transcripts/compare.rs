//! What is compared of two answers.

use std::collections::{BTreeMap, BTreeSet};

use gatehouse_testkit::recordings::Answer;
use http::HeaderMap;
use serde_json::{Map, Value};

/// Headers that say when, how long, and over which connection.
const TRANSPORT: [&str; 4] = ["date", "content-length", "transfer-encoding", "connection"];

/// Headers whose values are data.
const DATA: [&str; 2] = ["x-concourse-version", "location"];

/// Members whose values are numbers of the server, times, places and types of resources.
const NUMBERS: [&str; 14] = [
    "id",
    "build_id",
    "pipeline_id",
    "start_time",
    "end_time",
    "last_updated",
    "paused_at",
    "parent_job_id",
    "parent_build_id",
    "rerun_number",
    "api_url",
    "external_url",
    "timestamp",
    "type",
];

/// Members whose values are secrets.
const TOKENS: [&str; 3] = ["access_token", "id_token", "refresh_token"];

/// How an answer differs from the recorded one, whose ids are those of the twin already.
pub fn differences(recorded: &Answer, status: u16, headers: &HeaderMap, body: Option<&str>) -> Vec<String> {
    let mut all = Vec::new();
    if recorded.status != status {
        all.push(format!("status {} and not {status}", recorded.status));
    }
    // Of a list of which only ids and names were kept, most headers were left out as well.
    if recorded.ids.is_none() {
        all.extend(differing_headers(recorded, headers));
    }
    let links =
        |values: BTreeSet<String>| values.iter().map(|link| neutral_link(link)).collect::<BTreeSet<_>>();
    let (is, was) = (links(twin_values(headers, "link")), links(recorded_values(recorded, "link")));
    if is != was {
        all.push(format!("link {was:?} and not {is:?}"));
    }
    if let (Some(was), Some(is)) = (&recorded.body, body) {
        all.extend(differing_bodies(was, is));
    }
    all
}

fn differing_headers(recorded: &Answer, headers: &HeaderMap) -> Vec<String> {
    let is_compared = |name: &&str| !TRANSPORT.contains(name) && *name != "link";
    let names: BTreeSet<&str> = recorded.headers.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.into_iter().chain(headers.keys().map(http::HeaderName::as_str)).filter(is_compared);
    let mut all = Vec::new();
    for name in names.collect::<BTreeSet<_>>() {
        let (was, is) = (recorded_values(recorded, name), twin_values(headers, name));
        let same = if DATA.contains(&name) { was.is_empty() == is.is_empty() } else { was == is };
        if !same {
            all.push(format!("{name} {was:?} and not {is:?}"));
        }
    }
    all
}

fn recorded_values(recorded: &Answer, name: &str) -> BTreeSet<String> {
    let values = recorded.headers.iter().filter(|(its, _)| its == name);
    values.map(|(_, value)| value.clone()).collect()
}

fn twin_values(headers: &HeaderMap, name: &str) -> BTreeSet<String> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// A link without host.
fn neutral_link(link: &str) -> String {
    link.find("/api/").map_or_else(|| link.to_owned(), |at| link[at..].to_owned())
}

fn differing_bodies(was: &str, is: &str) -> Option<String> {
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    match (json(was), json(is)) {
        (Some(was_json), Some(is_json)) => {
            let (old, new) = (neutral(None, was_json), neutral(None, is_json));
            if old != new {
                return Some(format!("body {old} and not {new}"));
            }
            (was.ends_with('\n') != is.ends_with('\n'))
                .then(|| "the newline at the end of the body".to_owned())
        }
        _ if was.starts_with("<!DOCTYPE") => (!is.starts_with("<!DOCTYPE")).then(|| "the page".to_owned()),
        _ => (was != is).then(|| format!("body {was:?} and not {is:?}")),
    }
}

/// The same with everything that is data in one form.
fn neutral(member: Option<&str>, value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(|item| neutral(None, item)).collect(),
        Value::Object(members) => neutral_object(member, members),
        Value::Number(_) | Value::String(_) if member.is_some_and(|name| NUMBERS.contains(&name)) => {
            Value::from(0)
        }
        Value::String(_) if member.is_some_and(|name| TOKENS.contains(&name)) => Value::from("secret"),
        other => other,
    }
}

fn neutral_object(member: Option<&str>, members: Map<String, Value>) -> Value {
    let is_build = members.contains_key("job_name") || member == Some("rerun_of");
    let is_info = members.contains_key("worker_version");
    let members: BTreeMap<String, Value> = members
        .into_iter()
        .map(|(name, value)| {
            let is_data = is_build && name == "name" || is_info && name == "version" || name == "components";
            let value = if is_data { Value::from("data") } else { neutral(Some(&name), value) };
            (name, value)
        })
        .collect();
    Value::Object(members.into_iter().collect())
}
