//! Paging: `limit` and `cursor` in, `next_cursor` and a `Link` out.

use axum::http::{HeaderMap, HeaderValue, header};
use gatehouse_domain::paging::{Cursor, Limit, PageRequest};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
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

/// What a link has unescaped of a filter, beside letters and digits: nothing that could end the parameter.
const PLAIN: AsciiSet =
    NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'@');

/// Where the next page is, if there is one: as a `Link` relative to the request's own URL, and as `next_cursor`.
/// `filters` are the query parameters that the request had besides `limit` and `cursor`.
pub fn next(
    next: Option<Cursor>,
    limit: Limit,
    filters: &[(&str, Option<&str>)],
) -> (HeaderMap, Option<String>) {
    let mut headers = HeaderMap::new();
    let Some(next) = next else { return (headers, None) };
    // A cursor is made of characters that need no escaping.
    let mut query = format!("?limit={}&cursor={}", limit.get(), next.as_str());
    for (name, value) in filters {
        if let Some(value) = value {
            query.extend(["&", *name, "="]);
            query.extend(utf8_percent_encode(value, &PLAIN));
        }
    }
    if let Ok(link) = HeaderValue::from_str(&format!("<{query}>; rel=\"next\"")) {
        headers.insert(header::LINK, link);
    }
    (headers, Some(next.as_str().to_owned()))
}
