//! Ids that look like those of AWS.

use data_encoding::{BASE64, HEXLOWER};
use gatehouse_domain::clock::IdSource;
use jiff::Timestamp;

/// A random UUID, as AWS names requests.
pub fn uuid(ids: &dyn IdSource) -> String {
    let mut bytes = ids.random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = HEXLOWER.encode(&bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The id that API Gateway gives a request beside its UUID.
pub fn extended_request_id(ids: &dyn IdSource) -> String {
    BASE64.encode(&ids.random()[..11])
}

/// The X-Ray trace that a request starts.
pub fn trace_id(ids: &dyn IdSource, now: Timestamp) -> String {
    let random = HEXLOWER.encode(&ids.random());
    format!("Root=1-{:08x}-{}", now.as_second(), &random[..24])
}

#[cfg(test)]
mod tests {
    use gatehouse_domain::clock::Clock;

    use super::*;
    use crate::testing::{CountedIds, HandClock};

    #[test]
    fn ids_look_like_those_of_aws() {
        let ids = CountedIds::default();
        assert_eq!(uuid(&ids), "00000000-0000-4000-8000-000000000000");
        assert_eq!(trace_id(&ids, HandClock::new().now()), "Root=1-695735a5-000000000000000000000000");
        assert_eq!(extended_request_id(&ids).len(), 16);
    }
}
