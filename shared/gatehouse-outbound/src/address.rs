//! Where outbound clients may not lead.
//!
//! People register the URLs that Gatehouse calls, so a URL must not turn Gatehouse into a way to what only
//! this host can reach: its own ports, its link, the cloud's metadata service.

use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use url::Host;

use crate::cause::find_cause;

/// The port of the Lambda runtime's own API. Nobody's webhook is there.
const RUNTIME_API_PORT: u16 = 9001;

/// A destination that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForbiddenDestination {
    /// Its address lies in a range that is refused.
    #[error("calls to {address} are not made: it is {what}")]
    Address {
        /// The address as it was given or resolved.
        address: IpAddr,
        /// What kind of address it is, with its article.
        what: &'static str,
    },
    /// Its port is refused.
    #[error("calls to port {0} are not made")]
    Port(u16),
}

impl ForbiddenDestination {
    /// The refusal that made a request fail, if one did: a name is judged while the client connects.
    pub fn behind(error: &(dyn Error + 'static)) -> Option<Self> {
        find_cause(error, &|cause| cause.downcast_ref::<Self>().copied())
    }
}

/// Whether the URL's host is this very machine by its text: a loopback address, or `localhost`.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// How much of the table is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Guard {
    /// Everything that no CI system can be at.
    #[default]
    LoopbackRefused,
    /// The same without loopback.
    LoopbackAllowed,
    /// Everything that not everybody on the internet can reach.
    PublicOnly,
    Off,
}

/// Who is refused a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    Always,
    UnlessLoopbackIsAllowed,
    InPublicOnly,
}

/// A block of addresses that have the first `prefix` bits of `network`.
#[derive(Debug, Clone, Copy)]
struct Range {
    network: IpAddr,
    prefix: u32,
    refused: Refused,
    what: &'static str,
}

const LOOPBACK: &str = "a loopback address";
const NO_HOST: &str = "an address of no host";
const LINK_LOCAL: &str = "a link-local address";
const MULTICAST: &str = "a multicast address";
const CLOUD: &str = "a service of the cloud's own, such as instance metadata";
const PRIVATE: &str = "a private address";
const CARRIER: &str = "an address of a carrier's own network";
const RESERVED: &str = "a reserved address";

/// Every range that some client is refused, after IANA's registries of special-purpose addresses. The first range
/// that holds an address decides on it.
const RANGES: &[Range] = {
    use Refused::{Always, InPublicOnly, UnlessLoopbackIsAllowed};
    &[
        v4([0, 0, 0, 0], 8, Always, NO_HOST),
        v4([127, 0, 0, 0], 8, UnlessLoopbackIsAllowed, LOOPBACK),
        v4([169, 254, 0, 0], 16, Always, LINK_LOCAL),
        v4([224, 0, 0, 0], 4, Always, MULTICAST),
        v4([255, 255, 255, 255], 32, Always, NO_HOST),
        v4([10, 0, 0, 0], 8, InPublicOnly, PRIVATE),
        v4([172, 16, 0, 0], 12, InPublicOnly, PRIVATE),
        v4([192, 168, 0, 0], 16, InPublicOnly, PRIVATE),
        v4([100, 64, 0, 0], 10, InPublicOnly, CARRIER),
        v4([192, 0, 0, 0], 24, Always, RESERVED),
        v4([192, 0, 2, 0], 24, Always, RESERVED),
        v4([192, 88, 99, 0], 24, Always, RESERVED),
        v4([198, 18, 0, 0], 15, Always, RESERVED),
        v4([198, 51, 100, 0], 24, Always, RESERVED),
        v4([203, 0, 113, 0], 24, Always, RESERVED),
        v4([240, 0, 0, 0], 4, Always, RESERVED),
        v6(Ipv6Addr::UNSPECIFIED, 128, Always, NO_HOST),
        v6(Ipv6Addr::LOCALHOST, 128, UnlessLoopbackIsAllowed, LOOPBACK),
        v6(starting(0xfe80, 0), 10, Always, LINK_LOCAL),
        v6(starting(0xff00, 0), 8, Always, MULTICAST),
        v6(starting(0xfd00, 0x0ec2), 32, Always, CLOUD),
        v6(starting(0xfc00, 0), 7, InPublicOnly, PRIVATE),
        // Tunnels into IPv4 among them: they lead to whatever address is written behind the prefix.
        v6(starting(0x2001, 0), 23, Always, RESERVED),
        v6(starting(0x2001, 0x0db8), 32, Always, RESERVED),
        v6(starting(0x2002, 0), 16, Always, RESERVED),
        v6(starting(0x3fff, 0), 20, Always, RESERVED),
        // Only 2000::/3 is given to networks. These are all others.
        v6(starting(0, 0), 3, Always, RESERVED),
        v6(starting(0x4000, 0), 2, Always, RESERVED),
        v6(starting(0x8000, 0), 1, Always, RESERVED),
    ]
};

const fn v4([a, b, c, d]: [u8; 4], prefix: u32, refused: Refused, what: &'static str) -> Range {
    Range { network: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix, refused, what }
}

const fn v6(network: Ipv6Addr, prefix: u32, refused: Refused, what: &'static str) -> Range {
    Range { network: IpAddr::V6(network), prefix, refused, what }
}

const fn starting(first: u16, second: u16) -> Ipv6Addr {
    Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0)
}

impl Range {
    fn holds(&self, address: IpAddr) -> bool {
        let common = match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (network.to_bits() ^ address.to_bits()).leading_zeros()
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits()).leading_zeros()
            }
            _ => return false,
        };
        common >= self.prefix
    }
}

impl Guard {
    /// Judges the address and the port that a URL names. Names are judged by [`GuardedResolver`].
    pub(crate) fn admit_url(self, url: &Url) -> Result<(), ForbiddenDestination> {
        if self == Self::PublicOnly && url.port() == Some(RUNTIME_API_PORT) {
            return Err(ForbiddenDestination::Port(RUNTIME_API_PORT));
        }
        match url.host() {
            Some(Host::Ipv4(address)) => self.admit(address.into()),
            Some(Host::Ipv6(address)) => self.admit(address.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    fn admit(self, address: IpAddr) -> Result<(), ForbiddenDestination> {
        let reached = reached(address);
        match RANGES.iter().find(|range| range.holds(reached)) {
            Some(range) if self.refuses(range.refused) => {
                Err(ForbiddenDestination::Address { address, what: range.what })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn refuses(self, range: Refused) -> bool {
        match self {
            Self::PublicOnly => true,
            Self::LoopbackRefused => range != Refused::InPublicOnly,
            Self::LoopbackAllowed => range == Refused::Always,
            Self::Off => false,
        }
    }
}

/// The address that a connection to `address` ends at: an IPv6 address can stand for an IPv4 one, mapped or behind the
/// well-known prefix of NAT64, and would evade its range.
fn reached(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [head @ .., high, low] = v6.segments();
    if head == [0, 0, 0, 0, 0, 0xffff] || head == [0x64, 0xff9b, 0, 0, 0, 0] {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        return Ipv4Addr::new(a, b, c, d).into();
    }
    address
}

/// Resolves names as the system does, and drops what is refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GuardedResolver(pub(crate) Guard);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0;
        Box::pin(async move {
            // The port is the URL's; it is filled in later.
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(guard.keep_allowed(found)?)
        })
    }
}

impl Guard {
    /// The allowed ones of `addresses`; the refusal when none is left. A name of the public internet
    /// has no other addresses, so one that does is refused altogether.
    fn keep_allowed(self, addresses: Vec<SocketAddr>) -> Result<Addrs, ForbiddenDestination> {
        let mut refused = None;
        let mut allowed = addresses;
        allowed.retain(|address| match self.admit(address.ip()) {
            Ok(()) => true,
            Err(refusal) => {
                refused = Some(refusal);
                false
            }
        });
        match refused {
            Some(refusal) if allowed.is_empty() || self == Self::PublicOnly => Err(refusal),
            _ => Ok(Box::new(allowed.into_iter())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(guard: Guard, address: &str) -> bool {
        guard.admit(address.parse().unwrap()).is_err()
    }

    /// Who may call an address: webhooks, providers, providers where loopback is allowed.
    const NOBODY: [bool; 3] = [false, false, false];
    const ON_LOOPBACK: [bool; 3] = [false, false, true];
    const IN_PRIVATE: [bool; 3] = [false, true, true];
    const EVERYBODY: [bool; 3] = [true, true, true];

    /// The first and the last address of each kind, and their neighbours.
    const VERDICTS: &[([bool; 3], &[&str])] = &[
        (
            NOBODY,
            &[
                // This host, links, groups.
                "0.0.0.0",
                "0.255.255.255",
                "169.254.0.0",
                "169.254.169.254",
                "169.254.255.255",
                "224.0.0.0",
                "239.255.255.255",
                "255.255.255.255",
                "::",
                "fe80::",
                "fe80::1",
                "febf:ffff::",
                "ff00::",
                "ff02::1",
                // Protocols, documentation, benchmarks, what is kept for later.
                "192.0.0.0",
                "192.0.0.192",
                "192.0.0.255",
                "192.0.2.0",
                "192.0.2.255",
                "192.88.99.1",
                "198.18.0.0",
                "198.19.255.255",
                "198.51.100.0",
                "203.0.113.255",
                "240.0.0.0",
                "255.255.255.254",
                "100::1",
                "2001:db8::",
                "2001:db8:ffff::",
                "3fff::",
                "3fff:fff::",
                "2001:2::1",
                "2001:1ff::1",
                "4000::1",
                "5f00::1",
                "e000::1",
                // IPv4 in IPv6: compatible, translated, 6to4, Teredo, local NAT64.
                "::127.0.0.1",
                "::10.0.0.1",
                "::8.8.8.8",
                "::169.254.169.254",
                "::ffff:0:127.0.0.1",
                "::ffff:0:10.0.0.1",
                "2002:7f00:1::",
                "2002:a00:1::1",
                "2002:a9fe:a9fe::",
                "2001::",
                "2001::1",
                "2001:0:7f00:1::",
                "64:ff9b:1::127.0.0.1",
                "64:ff9b:1::10.0.0.1",
                "64:ff9b:1:ffff::a9fe:a9fe",
                "::ffff:169.254.169.254",
                "64:ff9b::169.254.169.254",
                "::ffff:0.0.0.0",
                "::ffff:192.0.2.1",
                // Site-local, and the cloud's own.
                "fec0::",
                "fec0::1",
                "feff:ffff::",
                "fd00:ec2::254",
            ],
        ),
        (
            ON_LOOPBACK,
            &["127.0.0.0", "127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"],
        ),
        (
            IN_PRIVATE,
            &[
                "10.0.0.0",
                "10.255.255.255",
                "172.16.0.0",
                "172.31.255.255",
                "192.168.0.0",
                "192.168.255.255",
                "100.64.0.0",
                "100.127.255.255",
                "fc00::",
                "fd12::1",
                "fdff:ffff::",
                "::ffff:10.0.0.1",
                "64:ff9b::10.0.0.1",
            ],
        ),
        (
            EVERYBODY,
            &[
                "1.0.0.0",
                "8.8.8.8",
                "9.255.255.255",
                "11.0.0.0",
                "100.63.255.255",
                "100.128.0.0",
                "126.255.255.255",
                "128.0.0.0",
                "169.253.255.255",
                "169.255.0.0",
                "172.15.255.255",
                "172.32.0.0",
                "192.0.1.0",
                "192.0.3.0",
                "192.167.255.255",
                "192.169.0.0",
                "198.17.255.255",
                "198.20.0.0",
                "223.255.255.255",
                "::ffff:8.8.8.8",
                "64:ff9b::8.8.8.8",
                "2001:200::1",
                "2003::1",
                "2600::1",
                "3ffe:ffff::1",
                "3fff:1000::1",
            ],
        ),
    ];

    #[test]
    fn one_table_says_who_may_call_an_address() {
        let guards = [Guard::PublicOnly, Guard::LoopbackRefused, Guard::LoopbackAllowed];
        for (verdict, addresses) in VERDICTS {
            for address in *addresses {
                assert_eq!(guards.map(|guard| !refused(guard, address)), *verdict, "{address}");
            }
        }
    }

    #[test]
    fn every_range_is_judged_at_both_ends() {
        for range in RANGES {
            let last = match range.network {
                IpAddr::V4(first) => {
                    IpAddr::from((first.to_bits() | !0 >> range.prefix.min(31)).to_be_bytes())
                }
                IpAddr::V6(first) => {
                    IpAddr::from((first.to_bits() | !0 >> range.prefix.min(127)).to_be_bytes())
                }
            };
            let always = range.refused == Refused::Always && range.prefix < 31;
            for address in [range.network, last].into_iter().filter(|_| always) {
                assert!(Guard::LoopbackAllowed.admit(address).is_err(), "{address} of {range:?}");
            }
        }
    }

    #[test]
    fn a_name_leads_to_its_allowed_addresses_only() {
        let [good, bad] = ["10.0.0.1:0", "169.254.169.254:0"].map(|address| address.parse().unwrap());
        let kept = Guard::LoopbackRefused.keep_allowed(vec![bad, good]).ok().unwrap();
        assert_eq!(kept.collect::<Vec<_>>(), [good]);
        let refusal = Guard::LoopbackRefused.keep_allowed(vec![bad]).err().unwrap();
        assert_eq!(refusal.to_string(), "calls to 169.254.169.254 are not made: it is a link-local address");
    }

    #[test]
    fn a_name_with_one_address_that_is_not_public_is_refused_altogether() {
        let [good, bad] = ["8.8.8.8:0", "10.0.0.1:0"].map(|address| address.parse().unwrap());
        let refusal = Guard::PublicOnly.keep_allowed(vec![good, bad]).err().unwrap();
        assert_eq!(refusal.to_string(), "calls to 10.0.0.1 are not made: it is a private address");
        let kept = Guard::PublicOnly.keep_allowed(vec![good]).ok().unwrap();
        assert_eq!(kept.collect::<Vec<_>>(), [good]);
    }

    #[test]
    fn the_port_of_the_runtime_is_no_webhook() {
        let url = "https://example.com:9001/".parse().unwrap();
        assert_eq!(Guard::PublicOnly.admit_url(&url), Err(ForbiddenDestination::Port(9001)));
        assert_eq!(Guard::LoopbackRefused.admit_url(&url), Ok(()));
    }

    #[test]
    fn a_guard_that_is_off_refuses_nothing() {
        for range in RANGES {
            assert_eq!(Guard::Off.admit(range.network), Ok(()));
        }
    }

    #[test]
    fn loopback_is_seen_in_a_url() {
        let loopback = |url: &str| is_loopback(&url.parse().unwrap());
        for url in
            ["http://localhost:8080", "http://127.0.0.9", "http://[::1]:80", "http://[::ffff:127.0.0.1]"]
        {
            assert!(loopback(url), "{url}");
        }
        for url in ["http://localhost.example.com", "http://10.0.0.1", "http://[::2]", "data:x"] {
            assert!(!loopback(url), "{url}");
        }
    }
}
