//! A request on its way through the gateway.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Version};
use jiff::Timestamp;

/// A request as it came in, with the names the gateway gave it.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub method: Method,
    /// The path as it stands in the request line.
    pub path: String,
    /// The query as it stands in the request line.
    pub query: String,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub source_ip: IpAddr,
    pub received_at: Timestamp,
    /// The id that clients, functions and logs see.
    pub request_id: String,
    /// The id that API Gateway keeps beside it.
    pub extended_request_id: String,
    /// The trace it belongs to.
    pub trace_id: String,
}

impl Incoming {
    /// The last value of a header, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        let last = self.headers.get_all(name).iter().next_back()?;
        Some(String::from_utf8_lossy(last.as_bytes()).into_owned())
    }

    /// The query's parameters, decoded, in order.
    ///
    /// `;` separates parameters as `&` does: API Gateway splits there.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let query = self.query.replace(';', "&");
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    /// The last value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters().into_iter().rfind(|(key, _)| key == name).map(|(_, value)| value)
    }
}
