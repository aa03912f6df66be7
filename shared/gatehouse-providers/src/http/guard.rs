//! Where outbound clients may not lead.
//!
//! People register the URLs that Gatehouse calls, so a URL must not turn Gatehouse into a way to what only
//! this host can reach: its own ports, its link, the cloud's metadata service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use url::Host;

/// A destination that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("calls to {address} are not made: it is {what}")]
pub struct ForbiddenDestination {
    /// The address.
    pub address: IpAddr,
    /// What kind of address it is.
    pub what: &'static str,
}

/// What is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Guard {
    /// Everything that no CI system can be at.
    #[default]
    LoopbackRefused,
    /// The same without loopback.
    LoopbackAllowed,
}

impl Guard {
    /// Judges the address that a URL names. Names are judged by [`GuardedResolver`].
    pub(super) fn admit_url(self, url: &Url) -> Result<(), ForbiddenDestination> {
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
        what.map_or(Ok(()), |what| Err(ForbiddenDestination { address, what }))
    }

    fn refuse_v4(self, address: Ipv4Addr) -> Option<&'static str> {
        if address.is_loopback() {
            (self == Self::LoopbackRefused).then_some("a loopback address")
        } else if address.octets()[0] == 0 || address.is_broadcast() {
            Some("an address of no host")
        } else if address.is_link_local() {
            Some("a link-local address")
        } else if address.is_multicast() {
            Some("a multicast address")
        } else {
            None
        }
    }

    fn refuse_v6(self, address: Ipv6Addr) -> Option<&'static str> {
        if let Some(inner) = embedded_v4(address) {
            self.refuse_v4(inner)
        } else if address.is_loopback() {
            (self == Self::LoopbackRefused).then_some("a loopback address")
        } else if address.is_unspecified() {
            Some("an address of no host")
        } else if address.is_unicast_link_local() {
            Some("a link-local address")
        } else if address.is_multicast() {
            Some("a multicast address")
        } else if address.segments()[..2] == [0xfd00, 0x0ec2] {
            Some("a service of the cloud's own, such as instance metadata")
        } else {
            None
        }
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
    /// The allowed ones of `addresses`; the refusal when that leaves none.
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
            Some(refusal) if allowed.is_empty() => Err(refusal),
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
}
