//! Whether anything may be called without TLS.

use std::net::IpAddr;

use crate::validation::FieldError;

/// What an installation says of the network between it and what it calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlainHttp {
    /// Others may read along: only this very machine is called without TLS.
    #[default]
    OnLoopback,
    /// It is private: whatever is registered may be called without.
    Allowed,
}

const REFUSED: &str = "must be https: over plain http, whoever is on the way reads what is sent and can change it. \
    Only this machine is called without TLS, unless the installation's `AllowPlainHttp` says that its network is private";

impl PlainHttp {
    /// Refuses a URL without TLS. One that is none at all is for others to refuse.
    pub fn check(self, pointer: &str, url: &str) -> Option<FieldError> {
        let refused =
            self == Self::OnLoopback && url.strip_prefix("http://").is_some_and(|rest| !is_loopback(rest));
        refused.then(|| FieldError::new(pointer, REFUSED))
    }
}

/// Whether what follows the scheme begins with a loopback address as it is usually written, or `localhost`.
fn is_loopback(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _port)) => address,
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_called_without_tls() {
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]"] {
            for rest in ["", ":8080", "/a/b", ":1/?q", "?q", "#f"] {
                let url = format!("http://{host}{rest}");
                assert_eq!(PlainHttp::OnLoopback.check("/url", &url), None, "{url}");
            }
        }
        for host in [
            "ci.example.com",
            "localhost.example.com",
            "LOCALHOST",
            "127.1",
            "2130706433",
            "10.0.0.1",
            "192.168.1.1",
            "[fd00::1]",
            "[::2]",
            "0.0.0.0",
            "x@localhost",
            "localhost\\.example.com",
            "",
        ] {
            let url = format!("http://{host}/127.0.0.1");
            let refused = PlainHttp::OnLoopback.check("/url", &url).map(|error| error.pointer);
            assert_eq!(refused.as_deref(), Some("/url"), "{url}");
            assert_eq!(PlainHttp::OnLoopback.check("/url", &url.replace("http:", "https:")), None);
            assert_eq!(PlainHttp::Allowed.check("/url", &url), None, "{url}");
        }
    }
}
