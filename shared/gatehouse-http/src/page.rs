//! Paging: `limit` and `cursor` in, `next_cursor` and a `Link` out.

use axum::http::{HeaderMap, HeaderValue, header};
use gatehouse_domain::paging::{Cursor, Limit, PageRequest};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::problem::{self, Problem};

/// The query of a list that has no filters.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// How many at most, 1 to 100; 50 without it.
    pub limit: Option<u8>,
    /// Where to start: the `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// The page that a query asks for.
///
/// # Errors
///
/// When the limit is not 1 to 100. Whether the cursor belongs to the list is the list's to say.
pub fn request(limit: Option<u8>, cursor: Option<String>) -> Result<PageRequest, Problem> {
    let limit = match limit {
        None => Limit::default(),
        Some(limit) => Limit::new(limit)
            .ok_or_else(|| Problem::new(problem::INVALID_QUERY, "`limit` must be 1 to 100."))?,
    };
    Ok(PageRequest { limit, cursor: cursor.map(Cursor::unverified) })
}

/// The `Link` to the next page, relative to the request's own URL. `others` are the query parameters that
/// the request had besides `limit` and `cursor`.
pub fn link(next: Option<&Cursor>, limit: Limit, others: &[(&str, Option<&str>)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some(next) = next else { return headers };
    let mut query = format!("?limit={}&cursor={}", limit.get(), next.as_str());
    for (name, value) in others {
        if let Some(value) = value {
            query.extend(["&", *name, "=", *value]);
        }
    }
    // Names and cursors are made of characters that need no escaping.
    if let Ok(link) = HeaderValue::from_str(&format!("<{query}>; rel=\"next\"")) {
        headers.insert(header::LINK, link);
    }
    headers
}
