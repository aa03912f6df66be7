//! The one constructor of HTTP clients.

use std::{sync::Arc, time::Duration};

use reqwest::{Method, RequestBuilder, Url, redirect, retry};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem, pem::PemObject},
};

use crate::address::{ForbiddenDestination, Guard, GuardedResolver};

/// How long connecting may take, TLS included: a host that needs longer is down or far out of reach.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long an unused connection is kept: shorter than any server or balancer keeps it, and shorter than
/// most pauses in which Lambda freezes a function. A connection that died unnoticed would lose a request.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a silent connection is probed: an event stream whose peer is gone must not wait for ever.
const TCP_KEEPALIVE: Duration = Duration::from_secs(20);

/// How clients behave, and where they may lead.
#[derive(Debug, Clone, Copy)]
pub struct OutboundHttp {
    guard: Guard,
    user_agent: &'static str,
    connect_timeout: Duration,
    read_timeout: Option<Duration>,
    proxy: bool,
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum HttpSetupError {
    /// The text is no PEM.
    #[error("the CA certificate is not valid PEM")]
    Pem(#[source] pem::Error),
    /// The text holds no certificate.
    #[error("the CA certificate holds no certificate")]
    NoCertificate,
    /// A certificate cannot be used.
    #[error("the CA certificate cannot be used")]
    Tls(#[from] rustls::Error),
    /// The client refused its settings.
    #[error("the HTTP client could not be set up")]
    Client(#[from] reqwest::Error),
}

impl OutboundHttp {
    /// Clients that reach everything but this host, its neighbours on the link and the cloud's own
    /// services. Private networks are allowed: a CI server usually lives in one.
    pub fn new() -> Self {
        Self {
            guard: Guard::LoopbackRefused,
            user_agent: "gatehouse",
            connect_timeout: CONNECT_TIMEOUT,
            read_timeout: None,
            proxy: false,
        }
    }

    /// Clients for a program that a person runs: every address is theirs to choose, and so is a proxy in the
    /// environment.
    pub fn unguarded(user_agent: &'static str) -> Self {
        Self { guard: Guard::Off, user_agent, proxy: true, ..Self::new() }
    }

    /// Also lets clients reach this host: for the local stack and tests, where the CI system runs there.
    /// In Lambda the runtime's own API listens on loopback.
    #[must_use]
    pub fn allow_loopback(mut self) -> Self {
        self.guard = Guard::LoopbackAllowed;
        self
    }

    /// The same where `allowed`. Otherwise nothing changes.
    #[must_use]
    pub fn allow_loopback_if(self, allowed: bool) -> Self {
        if allowed { self.allow_loopback() } else { self }
    }

    /// Lets clients reach public addresses only: for URLs that any developer may set. A name leads nowhere
    /// when one of its addresses is not public.
    #[must_use]
    pub fn public_only(mut self) -> Self {
        self.guard = Guard::PublicOnly;
        self
    }

    /// Does without a proxy, whatever the environment names.
    #[must_use]
    pub fn without_proxy(mut self) -> Self {
        self.proxy = false;
        self
    }

    /// Allows so long for connecting, TLS included.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Gives an answer up when nothing of it has arrived for so long.
    #[must_use]
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = Some(timeout);
        self
    }

    /// A client that trusts the public certificate authorities and those in `extra_ca`, in PEM.
    ///
    /// It follows no redirects: a credential, or a request into a private network, goes where it was meant to go and
    /// nowhere else. It repeats nothing by itself and keeps no cookies.
    ///
    /// # Errors
    ///
    /// When `extra_ca` holds no certificate that can be used, or TLS cannot be set up.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that makes HTTP clients")]
    pub fn client(&self, extra_ca: Option<&str>) -> Result<OutboundClient, HttpSetupError> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(extra_ca)?)
            .user_agent(self.user_agent)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .tcp_keepalive(TCP_KEEPALIVE)
            .redirect(redirect::Policy::none())
            .retry(retry::never());
        if let Some(timeout) = self.read_timeout {
            builder = builder.read_timeout(timeout);
        }
        if self.guard != Guard::Off {
            builder = builder.dns_resolver(Arc::new(GuardedResolver(self.guard)));
        }
        // A proxy would resolve names itself, behind the guard's back.
        if !self.proxy {
            builder = builder.no_proxy();
        }
        Ok(OutboundClient { client: builder.build()?, guard: self.guard })
    }
}

impl Default for OutboundHttp {
    fn default() -> Self {
        Self::new()
    }
}

fn tls(extra_ca: Option<&str>) -> Result<ClientConfig, HttpSetupError> {
    let mut roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    if let Some(pem) = extra_ca {
        add(&mut roots, pem)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn add(roots: &mut RootCertStore, pem: &str) -> Result<(), HttpSetupError> {
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.map_err(HttpSetupError::Pem)?)?;
    }
    if roots.len() == before { Err(HttpSetupError::NoCertificate) } else { Ok(()) }
}

/// A client that leads only where it may.
#[derive(Debug, Clone)]
pub struct OutboundClient {
    client: reqwest::Client,
    guard: Guard,
}

impl OutboundClient {
    /// Begins a request. It has no time limit of its own: whoever sends it sets one, or reads a stream.
    ///
    /// # Errors
    ///
    /// When `url` names an address where clients may not lead. A host's name is judged when it is resolved: it
    /// may lead elsewhere by then than when somebody looked.
    pub fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, ForbiddenDestination> {
        self.guard.admit_url(&url)?;
        Ok(self.client.request(method, url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_certificate_that_is_none_is_refused() {
        let http = OutboundHttp::new();
        let empty = http.client(Some("no certificate")).unwrap_err();
        assert_eq!(empty.to_string(), "the CA certificate holds no certificate");
        let cut = "-----BEGIN CERTIFICATE-----\nMIIB";
        assert!(http.client(Some(cut)).is_err());
        let garbled = "-----BEGIN CERTIFICATE-----\nTm9wZQ==\n-----END CERTIFICATE-----\n";
        let garbled = http.client(Some(garbled)).unwrap_err();
        assert_eq!(garbled.to_string(), "the CA certificate cannot be used");
        assert!(http.client(None).is_ok());
    }

    #[test]
    fn addresses_in_urls_are_judged_before_anything_is_sent() {
        let client = OutboundHttp::new().client(None).unwrap();
        for bad in ["http://127.0.0.1:9001/", "http://0x7f.1/", "http://[::1]/", "http://2852039166/"] {
            assert!(client.request(Method::GET, bad.parse().unwrap()).is_err(), "{bad} was let through");
        }
        assert!(client.request(Method::GET, "http://10.0.0.5/".parse().unwrap()).is_ok());
    }
}
