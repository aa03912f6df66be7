//! Pages of builds.

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::LINK;
use serde_json::Value;

use super::answer::Json;
use super::present::{self, Comment};
use crate::concourse::state::{BuildRecord, State};
use crate::concourse::version::Version;
use crate::concourse::world::World;

/// Builds on a page if the caller does not say.
const DEFAULT_LIMIT: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Page {
    from: Option<i64>,
    to: Option<i64>,
    limit: usize,
    by_time: bool,
    /// Of servers that page by `since` and `until`, which leave their own build out.
    since: Option<i64>,
    until: Option<i64>,
    negative: bool,
}

impl Page {
    /// What is not a number counts as 0.
    pub(super) fn parse(query: Option<&str>, version: Version) -> Self {
        let old = version.pages_by_since_and_until();
        let mut page = Self { limit: DEFAULT_LIMIT, ..Self::default() };
        for (key, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match key.as_ref() {
                "since" if old => page.since = value.parse().ok().filter(|id| *id > 0),
                "until" if old => page.until = value.parse().ok().filter(|id| *id > 0),
                "from" | "to" if old => {}
                "from" if !value.is_empty() => page.from = Some(value.parse().unwrap_or(0)),
                "to" if !value.is_empty() => page.to = Some(value.parse().unwrap_or(0)),
                "limit" => {
                    page.negative = value.parse().is_ok_and(|limit: i64| limit < 0);
                    page.limit = value.parse().ok().filter(|it| *it > 0).unwrap_or(DEFAULT_LIMIT);
                }
                "timestamps" => page.by_time = !value.is_empty(),
                _ => {}
            }
        }
        page
    }

    /// A range that ends before it begins, or a limit below nothing, has no answer.
    pub(super) fn is_nonsense(&self) -> bool {
        self.negative || matches!((self.from, self.to), (Some(from), Some(to)) if from > to)
    }

    /// Reruns stand beside their original, and ids are compared all the same.
    fn holds(&self, build: &BuildRecord) -> bool {
        if self.since.is_some() || self.until.is_some() {
            return match self.until {
                Some(until) => build.id > until,
                None => self.since.is_none_or(|since| build.id < since),
            };
        }
        let place = if self.by_time { build.start_time.unwrap_or(0) } else { build.id };
        self.from.is_none_or(|from| place >= from) && self.to.is_none_or(|to| place <= to)
    }

    /// Takes this page of `builds`, which come newest first.
    fn take<'s>(&self, builds: &[&'s BuildRecord]) -> Vec<&'s BuildRecord> {
        let mut inside: Vec<_> = builds.iter().copied().filter(|it| self.holds(it)).collect();
        match (self.from, self.to) {
            // Between two, the oldest comes first.
            (Some(_), Some(_)) => {
                inside.reverse();
                inside.truncate(self.limit);
            }
            (Some(_), None) => {
                inside.drain(..inside.len().saturating_sub(self.limit));
            }
            (None, _) if self.until.is_some() => {
                inside.drain(..inside.len().saturating_sub(self.limit));
            }
            (None, _) => inside.truncate(self.limit),
        }
        inside
    }
}

/// Answers with a page of `builds` and the links to its neighbours.
pub(super) fn respond<'s>(
    world: &World,
    state: &'s State,
    builds: impl Iterator<Item = &'s BuildRecord>,
    page: &Page,
    path: &str,
    vars: Option<&Value>,
    comment: Comment,
) -> Response {
    let mut all: Vec<_> = builds.collect();
    all.sort_unstable_by_key(|build| std::cmp::Reverse(build.order_key()));
    let taken = page.take(&all);
    let shown: Vec<_> = taken.iter().map(|it| present::build(world, state, it, comment)).collect();
    let mut answer = Json(shown).into_response();
    let (Some(first), Some(last)) = (taken.first(), taken.last()) else { return answer };
    if page.by_time {
        return answer;
    }
    // The neighbours of a page are those of its ends, by their ids; which of them is next goes by the order.
    let older = all.iter().find(|build| build.id < last.id);
    let newer = all.iter().rev().find(|build| build.id > first.id);
    let mut link = |name: &str, build: Option<&&BuildRecord>, rel: &str| {
        let Some(build) = build else { return };
        let vars = vars.map(encoded).unwrap_or_default();
        let url = format!("{}{path}?{name}={}&limit={}{vars}", world.url, build.id, page.limit);
        if let Ok(link) = HeaderValue::try_from(format!(r#"<{url}>; rel="{rel}""#)) {
            answer.headers_mut().append(LINK, link);
        }
    };
    link("to", older, "next");
    link("from", newer, "previous");
    answer
}

/// Writes instance vars as the query `&vars.a=…`.
fn encoded(vars: &Value) -> String {
    let pairs = vars.as_object().into_iter().flatten();
    pairs.fold(String::new(), |query, (key, value)| {
        let mut pair = url::form_urlencoded::Serializer::new(String::new());
        pair.append_pair(&format!("vars.{key}"), &value.to_string());
        format!("{query}&{}", pair.finish())
    })
}
