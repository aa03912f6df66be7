//! Whom a server on this machine answers: requests to the names it goes by, and none that a page of another site made.
//!
//! A browser reaches loopback too. A page can have its own name resolve to 127.0.0.1 after it was loaded (DNS
//! rebinding), and then speaks to a local server as if it were its own: only the `Host` header still says otherwise.
//! Without that trick it can send requests whose answers it does not get to read, which is enough where a request
//! runs commands: `Origin` and `Sec-Fetch-Site` tell those.

use std::{collections::BTreeSet, net::IpAddr};

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header, uri::Authority};

/// The names that a server goes by: those of loopback, and what else it was given.
#[derive(Debug, Clone, Default)]
pub struct OwnNames(BTreeSet<String>);

/// Why a request is none for this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// It names another host.
    OtherHost,
    /// A page of another site made it.
    OtherOrigin,
}

impl OwnNames {
    /// `localhost`, what ends with `.localhost`, 127.0.0.0/8 and `::1`.
    pub fn of_loopback() -> Self {
        Self::default()
    }

    /// These as well: names, or addresses (an IPv6 address with or without its brackets). Upper case and a last dot
    /// make no difference.
    #[must_use]
    pub fn and(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.0.extend(names.into_iter().map(|name| plain(&name)));
        self
    }

    /// Lets the request through if it names this server, and no page of another site made it. A request without a
    /// `Host` passes if its target names no other host either: no browser makes one.
    ///
    /// # Errors
    ///
    /// Why it is refused.
    pub fn admit(&self, target: &Uri, headers: &HeaderMap) -> Result<(), Stranger> {
        let hosts = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default());
        let mut named = hosts.chain(target.authority().map(Authority::as_str));
        if !named.all(|host| self.include(host)) {
            return Err(Stranger::OtherHost);
        }
        let origins = headers.get_all(header::ORIGIN).iter();
        let sites = headers.get_all("sec-fetch-site").iter();
        let own_origin = origins.map(HeaderValue::to_str).all(|origin| {
            let host = origin.ok().and_then(|origin| origin.split_once("://"));
            host.is_some_and(|(_, host)| self.include(host))
        });
        // `same-site` is another port of this machine, which may be anybody's.
        let own_site = sites.map(HeaderValue::as_bytes).all(|site| matches!(site, b"same-origin" | b"none"));
        if own_origin && own_site { Ok(()) } else { Err(Stranger::OtherOrigin) }
    }

    /// Whether `host`, with or without a port, is this server.
    fn include(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        if host.contains('@') {
            return false;
        }
        let name = plain(authority.host());
        let loopback = match name.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => name == "localhost" || name.ends_with(".localhost"),
        };
        loopback || self.0.contains(&name)
    }
}

/// The name in lower case, without a last dot and without an address's brackets.
fn plain(name: &str) -> String {
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

impl Stranger {
    pub fn status(self) -> StatusCode {
        match self {
            Self::OtherHost => StatusCode::MISDIRECTED_REQUEST,
            Self::OtherOrigin => StatusCode::FORBIDDEN,
        }
    }

    /// A problem body, RFC 9457.
    pub fn body(self) -> &'static str {
        match self {
            Self::OtherHost => {
                r#"{"type":"/problems/misdirected-request","title":"Misdirected request","status":421,"detail":"This server answers to the names of loopback only; name others with `--host NAME`."}"#
            }
            Self::OtherOrigin => {
                r#"{"type":"/problems/cross-origin","title":"Cross-origin request","status":403,"detail":"A page of another site made this request, and this server takes none of those."}"#
            }
        }
    }
}

impl IntoResponse for Stranger {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "application/problem+json"),
            (header::CACHE_CONTROL, "no-store"),
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (self.status(), headers, self.body()).into_response()
    }
}

/// The router, answering loopback's names only.
pub fn guarded(router: Router) -> Router {
    router.layer(from_fn(async |request: Request, next: Next| {
        match OwnNames::of_loopback().admit(request.uri(), request.headers()) {
            Ok(()) => next.run(request).await,
            Err(stranger) => stranger.into_response(),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(names: &OwnNames, target: &str, headers: &[(&'static str, &str)]) -> Result<(), Stranger> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        names.admit(&target.parse().unwrap(), &map)
    }

    const LOOPBACK: &[&str] = &[
        "localhost",
        "LocalHost",
        "localhost.",
        "gatehouse.localhost",
        "a.b.localhost",
        "127.0.0.1",
        "127.255.3.9",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ];

    const ELSEWHERE: &[&str] = &[
        "example.com",
        "localhost.example.com",
        "notlocalhost",
        "localhost.localdomain",
        "127.0.0.1.nip.io",
        "0.0.0.0",
        "128.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "[::]",
        "[::2]",
        "[fe80::1]",
        "0x7f000001",
        "2130706433",
    ];

    fn with_ports(hosts: &[&str]) -> Vec<String> {
        let ports = ["", ":1", ":80", ":8080", ":65535"];
        hosts.iter().flat_map(|host| ports.map(|port| format!("{host}{port}"))).collect()
    }

    #[test]
    fn loopback_answers_to_its_names_with_any_port_or_none() {
        let names = OwnNames::of_loopback();
        for host in with_ports(LOOPBACK) {
            assert_eq!(admitted(&names, "/", &[("host", &host)]), Ok(()), "{host}");
            assert_eq!(admitted(&names, &format!("http://{host}/"), &[("host", &host)]), Ok(()), "{host}");
            let origin = format!("http://{host}");
            assert_eq!(admitted(&names, "/", &[("host", &host), ("origin", &origin)]), Ok(()), "{origin}");
        }
        assert_eq!(admitted(&names, "/", &[]), Ok(()));
    }

    #[test]
    fn no_other_name_is_answered_wherever_it_stands() {
        let names = OwnNames::of_loopback();
        let others = with_ports(ELSEWHERE).into_iter();
        for host in
            others.chain(["", "localhost/", "localhost@x", "x@localhost", "local host"].map(str::to_owned))
        {
            let as_host = [("host", host.as_str())];
            assert_eq!(admitted(&names, "/", &as_host), Err(Stranger::OtherHost), "{host:?}");
            let second = [("host", "localhost"), ("host", &host)];
            assert_eq!(admitted(&names, "/", &second), Err(Stranger::OtherHost), "{host:?}");
            let origin = format!("https://{host}");
            let page = [("host", "localhost"), ("origin", &origin)];
            assert_eq!(admitted(&names, "/", &page), Err(Stranger::OtherOrigin), "{origin:?}");
        }
        for target in with_ports(ELSEWHERE).iter().map(|host| format!("http://{host}/v1/jobs")) {
            let host = [("host", "localhost")];
            assert_eq!(admitted(&names, &target, &host), Err(Stranger::OtherHost), "{target}");
        }
    }

    #[test]
    fn what_a_browser_says_of_the_page_decides() {
        let names = OwnNames::of_loopback();
        let from = |name, value| admitted(&names, "/", &[("host", "localhost:8080"), (name, value)]);
        for site in ["same-origin", "none"] {
            assert_eq!(from("sec-fetch-site", site), Ok(()));
        }
        for site in ["same-site", "cross-site", "", "Same-Origin", "anything"] {
            assert_eq!(from("sec-fetch-site", site), Err(Stranger::OtherOrigin), "{site:?}");
        }
        for origin in ["null", "", "file://", "localhost", "http://", "http://localhost@evil.example"] {
            assert_eq!(from("origin", origin), Err(Stranger::OtherOrigin), "{origin:?}");
        }
        let two = [("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://evil.example")];
        assert_eq!(admitted(&names, "/", &two), Err(Stranger::OtherOrigin));
    }

    #[test]
    fn what_was_named_is_answered_too() {
        let given = ["Gate.Example", "10.1.2.3", "[fd00::1]"].map(str::to_owned);
        let names = OwnNames::of_loopback().and(given);
        for host in with_ports(&["gate.example", "GATE.example.", "10.1.2.3", "[fd00::1]", "localhost"]) {
            let origin = format!("http://{host}");
            assert_eq!(admitted(&names, "/", &[("host", &host), ("origin", &origin)]), Ok(()), "{host}");
        }
        for host in ["a.gate.example", "example", "10.1.2.4", "[fd00::2]"] {
            assert_eq!(admitted(&names, "/", &[("host", host)]), Err(Stranger::OtherHost), "{host}");
        }
    }

    #[test]
    fn a_refusal_is_a_problem_of_its_status() {
        for stranger in [Stranger::OtherHost, Stranger::OtherOrigin] {
            let status = format!("\"status\":{},", stranger.status().as_u16());
            assert!(stranger.body().contains(&status), "{}", stranger.body());
            let answer = stranger.into_response();
            assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
        }
    }
}
