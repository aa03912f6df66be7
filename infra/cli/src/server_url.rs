//! Where a Gatehouse is.

use std::{fmt, str::FromStr};

use gatehouse_outbound::is_loopback;
use url::Url;

/// The address of a Gatehouse: `http` or `https`, a host, and maybe a path such as a stage's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl(Url);

/// Why a text is no address of a Gatehouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ServerUrlError {
    #[error("the URL cannot be read; it should look like https://gatehouse.example.com")]
    Unreadable,
    #[error("the URL must begin with http:// or https://")]
    Scheme,
    #[error("the URL must not hold a user name or a password")]
    Credentials,
    #[error("the URL must not hold a query or a fragment")]
    Rest,
}

/// An id that cannot stand in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id cannot be empty, `.` or `..`")]
pub(crate) struct BadSegment;

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        let mut url = Url::parse(text.trim()).map_err(|_| ServerUrlError::Unreadable)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ServerUrlError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ServerUrlError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(ServerUrlError::Rest);
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
        }
        Ok(Self(url))
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl ServerUrl {
    /// The URL of a path below the site; each segment is escaped.
    pub(crate) fn join(&self, path: &[&str]) -> Result<Url, BadSegment> {
        if path.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            return Err(BadSegment);
        }
        let mut url = self.0.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        Ok(url)
    }

    /// Whether it is on this very machine.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.0) || self.0.domain().is_some_and(|name| name.ends_with(".localhost"))
    }

    /// Whether others on the way could read what is sent.
    pub(crate) fn is_exposed(&self) -> bool {
        self.0.scheme() == "http" && !self.is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(text: &str) -> ServerUrl {
        text.parse().unwrap()
    }

    #[test]
    fn one_site_has_one_spelling() {
        for text in ["https://Gate.example.com", "https://gate.example.com/", "https://gate.example.com:443"]
        {
            assert_eq!(site(text).to_string(), "https://gate.example.com", "{text}");
        }
        assert_eq!(site("https://gate.example.com/prod/").to_string(), "https://gate.example.com/prod");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let cases = [
            ("gate.example.com", ServerUrlError::Unreadable),
            ("ftp://gate.example.com", ServerUrlError::Scheme),
            ("https://ada:secret@gate.example.com", ServerUrlError::Credentials),
            ("https://gate.example.com/?x=1", ServerUrlError::Rest),
            ("https://gate.example.com/#x", ServerUrlError::Rest),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<ServerUrl>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn segments_are_escaped_and_never_climb() {
        let site = site("https://gate.example.com/prod");
        let url = site.join(&["v1", "runs", "main:a/b?c#d"]).unwrap();
        assert_eq!(url.as_str(), "https://gate.example.com/prod/v1/runs/main:a%2Fb%3Fc%23d");
        assert_eq!(site.join(&["v1", ".."]), Err(BadSegment));
        assert_eq!(site.join(&["v1", ""]), Err(BadSegment));
    }

    #[test]
    fn only_what_leaves_the_machine_in_clear_is_exposed() {
        let exposed = ["http://gate.example.com", "http://10.0.0.1", "http://localhost.example.com"];
        let safe =
            ["https://gate.example.com", "http://localhost:8080", "http://127.0.0.9", "http://[::1]:80"];
        assert!(exposed.iter().all(|text| site(text).is_exposed()));
        assert!(safe.iter().all(|text| !site(text).is_exposed()));
    }
}
