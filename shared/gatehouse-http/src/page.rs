//! Paging: `limit` and `cursor` in, `next_cursor` and a `Link` out.

use axum::http::{HeaderMap, HeaderValue, header};
use gatehouse_domain::{
    caller::Caller,
    paging::{Cursor, Limit, PageRequest},
};
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

/// The query parameters of a list besides `limit` and `cursor`, by name; those that were left out are `None`.
pub type Filters<'a> = &'a [(&'a str, Option<&'a str>)];

/// What a link has unescaped of a filter, beside letters and digits: nothing that could end the parameter.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'@');

/// The page that a query asks for. Its cursors are good for this caller's tenants and these filters only.
///
/// # Errors
///
/// When the limit is not 1 to 100. Whether the cursor belongs to the list is the list's to say.
pub fn request(
    limit: Option<impl Into<u32>>,
    cursor: Option<String>,
    caller: &Caller,
    filters: Filters<'_>,
) -> Result<PageRequest, Problem> {
    let limit = match limit {
        None => Limit::default(),
        Some(limit) => u8::try_from(limit.into())
            .ok()
            .and_then(Limit::new)
            .ok_or_else(|| Problem::new(problem::INVALID_QUERY, "`limit` must be 1 to 100."))?,
    };
    let asked = format!("{}?{}", caller.tenants(), query(filters));
    Ok(PageRequest { limit, cursor: cursor.map(Cursor::unverified), asked })
}

/// The filters as they stand in a query, each value escaped, each behind a `&`.
fn query(filters: Filters<'_>) -> String {
    let given = filters.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
    given.fold(String::new(), |query, (name, value)| query + "&" + name + "=" + &escaped(value))
}

fn escaped(value: &str) -> String {
    utf8_percent_encode(value, PLAIN).to_string()
}

/// Where the next page is, if there is one: as a `Link` relative to the request's own URL, and as `next_cursor`.
pub fn next(next: Option<Cursor>, limit: Limit, filters: Filters<'_>) -> (HeaderMap, Option<String>) {
    let mut headers = HeaderMap::new();
    let Some(next) = next else { return (headers, None) };
    // A cursor is made of characters that need no escaping.
    let target = format!("?limit={}&cursor={}{}", limit.get(), next.as_str(), query(filters));
    if let Ok(link) = HeaderValue::from_str(&format!("<{target}>; rel=\"next\"")) {
        headers.insert(header::LINK, link);
    }
    (headers, Some(next.as_str().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A filter's value, as the `Link` to the next page brings it back.
    fn brought_back(value: &str) -> String {
        let next = Cursor::unverified("abc".to_owned());
        let (headers, next_cursor) =
            super::next(Some(next), Limit::default(), &[("actor", Some(value)), ("none", None)]);
        assert_eq!(next_cursor.as_deref(), Some("abc"));
        let link = headers[header::LINK].to_str().unwrap();
        let target = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap();
        assert!(!target.contains(['<', '>', '"', ';', ',', ' ']), "{link}");
        let query = target.strip_prefix('?').unwrap();
        let parameters: Vec<_> = query.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
        assert_eq!(parameters[..2], [("limit", "50"), ("cursor", "abc")]);
        assert_eq!((parameters.len(), parameters[2].0), (3, "actor"), "{link}");
        percent_encoding::percent_decode_str(parameters[2].1).decode_utf8().unwrap().into_owned()
    }

    #[test]
    fn any_value_comes_back_from_a_link_as_it_was() {
        let every_character: String = (0..=0x2ff).filter_map(char::from_u32).collect();
        for value in [
            "",
            "user:ada",
            "service:payments/worker",
            "a&limit=1",
            "a>; rel=\"evil\", <https://evil.example",
            "a\r\nset-cookie: x",
            "100%",
            "%26",
            "a+b c",
            "ä☂",
            &every_character,
        ] {
            assert_eq!(brought_back(value), value);
        }
    }
}
