//! Where outbound clients may not lead.
//!
//! People register the URLs that Gatehouse calls, so a URL must not turn Gatehouse into a way to what only
//! this host can reach: its own ports, its link, the cloud's metadata service.

use std::{
    error::Error,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use url::Host;

/// The port of the Lambda runtime's own API. Nobody's webhook is there.
const RUNTIME_API_PORT: u16 = 9001;

/// A destination that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForbiddenDestination {
    /// Its address.
    #[error("calls to {address} are not made: it is {what}")]
    Address {
        /// The address.
        address: IpAddr,
        /// What kind of address it is.
        what: &'static str,
    },
    /// Its port.
    #[error("calls to port {0} are not made")]
    Port(u16),
}

impl ForbiddenDestination {
    /// The refusal that made a request fail, if one did: a name is judged while the client connects.
    pub fn behind(error: &(dyn Error + 'static)) -> Option<Self> {
        find(error, &|cause| cause.downcast_ref::<Self>().copied())
    }
}

/// The first thing that `pick` finds among `error` and what lies below it.
pub(crate) fn find<T>(
    error: &(dyn Error + 'static),
    pick: &dyn Fn(&(dyn Error + 'static)) -> Option<T>,
) -> Option<T> {
    // What an I/O error was made from is not its source.
    let inner = || error.downcast_ref::<io::Error>()?.get_ref();
    let inner = || inner().and_then(|inner| find(inner, pick));
    pick(error).or_else(inner).or_else(|| find(error.source()?, pick))
}

/// What is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Guard {
    /// Everything that no CI system can be at.
    #[default]
    LoopbackRefused,
    /// The same without loopback.
    LoopbackAllowed,
    /// Everything that not everybody on the internet can reach.
    PublicOnly,
}

impl Guard {
    /// Judges the address and the port that a URL names. Names are judged by [`GuardedResolver`].
    pub(super) fn admit_url(self, url: &Url) -> Result<(), ForbiddenDestination> {
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
        let what = match address {
            IpAddr::V4(address) => self.refuse_v4(address),
            IpAddr::V6(address) => self.refuse_v6(address),
        };
        what.map_or(Ok(()), |what| Err(ForbiddenDestination::Address { address, what }))
    }

    fn refuse_v4(self, address: Ipv4Addr) -> Option<&'static str> {
        if address.is_loopback() {
            (self != Self::LoopbackAllowed).then_some("a loopback address")
        } else if address.octets()[0] == 0 || address.is_broadcast() {
            Some("an address of no host")
        } else if address.is_link_local() {
            Some("a link-local address")
        } else if address.is_multicast() {
            Some("a multicast address")
        } else if self == Self::PublicOnly {
            not_public_v4(address)
        } else {
            None
        }
    }

    fn refuse_v6(self, address: Ipv6Addr) -> Option<&'static str> {
        if let Some(inner) = embedded_v4(address) {
            self.refuse_v4(inner)
        } else if address.is_loopback() {
            (self != Self::LoopbackAllowed).then_some("a loopback address")
        } else if address.is_unspecified() {
            Some("an address of no host")
        } else if address.is_unicast_link_local() {
            Some("a link-local address")
        } else if address.is_multicast() {
            Some("a multicast address")
        } else if address.segments()[..2] == [0xfd00, 0x0ec2] {
            Some("a service of the cloud's own, such as instance metadata")
        } else if self == Self::PublicOnly {
            not_public_v6(address)
        } else {
            None
        }
    }
}

/// Why an IPv4 address is not one of the public internet, as IANA's list of special addresses has it.
fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        _ if address.is_private() => Some("a private address"),
        [100, 64..=127, ..] => Some("an address of a carrier's own network"),
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] | [240..=255, ..] => {
            Some("a reserved address")
        }
        _ if address.is_documentation() => Some("a reserved address"),
        _ => None,
    }
}

/// Why an IPv6 address is not one of the public internet: only what is given to networks is, without the
/// blocks in it that lead elsewhere, such as into IPv4 by a tunnel.
fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    match address.segments() {
        _ if address.is_unique_local() => Some("a private address"),
        [0x2001, 0..0x0200 | 0x0db8, ..] | [0x2002, ..] | [0x3fff, 0..0x1000, ..] => {
            Some("a reserved address")
        }
        [0x2000..=0x3fff, ..] => None,
        _ => Some("a reserved address"),
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, or behind the well-known NAT64 prefix.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [head @ .., high, low] = address.segments();
    let last = || {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    (head == [0, 0, 0, 0, 0, 0xffff] || head == [0x64, 0xff9b, 0, 0, 0, 0]).then(last)
}

/// Resolves names as the system does, and drops what is refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct GuardedResolver(pub(super) Guard);

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
    /// The allowed ones of `addresses`; the refusal when that leaves none. A name of the public internet
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

    #[test]
    fn what_only_this_host_can_reach_is_refused() {
        let bad = [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
        ];
        for address in bad {
            assert!(refused(Guard::LoopbackRefused, address), "{address} was let through");
        }
    }

    #[test]
    fn private_and_public_addresses_are_allowed() {
        for address in
            ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "8.8.8.8", "fd12::1", "2600::1"]
        {
            assert!(!refused(Guard::LoopbackRefused, address), "{address} was refused");
        }
    }

    #[test]
    fn allowing_loopback_allows_nothing_else() {
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(!refused(Guard::LoopbackAllowed, address), "{address} was refused");
        }
        for address in ["169.254.169.254", "fe80::1", "0.0.0.0"] {
            assert!(refused(Guard::LoopbackAllowed, address), "{address} was let through");
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
    fn only_what_everybody_can_reach_is_public() {
        let bad = [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::10.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::10.0.0.1",
            "100::1",
            "2001::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "3fff:fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "fe80::1",
            "ff02::1",
        ];
        for address in bad {
            assert!(refused(Guard::PublicOnly, address), "{address} was let through");
        }
        let good = [
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.255.255",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.255.255",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2001:200::1",
            "2600::1",
            "3fff:1000::1",
        ];
        for address in good {
            assert!(!refused(Guard::PublicOnly, address), "{address} was refused");
        }
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
}
