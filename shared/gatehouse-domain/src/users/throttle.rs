//! Permits to try a password.
//!
//! Who has logged in from a network before draws on permits of their own there, which nobody elsewhere can use up:
//! an attack on an account does not keep its owner out. All others, wherever they are, share the account's permits,
//! so that the number of guesses is bounded however many addresses they come from. Each permit comes back when its
//! window ends: the longest that anybody waits for one is [`LONGEST_WAIT`], and nobody is locked out for good.

use std::{net::IpAddr, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{audit::Origin, name::UserName, store::StoreError};

/// Leave to try a password once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// Of whom: an account, an address, an account at an address.
    pub of: String,
    /// When the window that it is for began.
    pub window: Timestamp,
    /// How long that is.
    pub length: Duration,
    /// How many there are in a window.
    pub limit: u32,
}

/// How many there are, and how often.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    limit: u32,
    length: Duration,
}

const QUARTER: Duration = Duration::from_mins(15);
const HOUR: Duration = Duration::from_hours(1);

/// An account, at each network that it is known at.
const KNOWN: Allowance = Allowance { limit: 6, length: HOUR };

/// An account, at all other networks together: 960 a day.
const STRANGE: Allowance = Allowance { limit: 10, length: QUARTER };

/// The same at once, so that the first to be refused wait a minute and not a quarter of an hour.
const STRANGE_AT_ONCE: Allowance = Allowance { limit: 5, length: Duration::from_mins(1) };

/// An address, for all accounts that are not known at it: whole offices share one.
const ADDRESS: Allowance = Allowance { limit: 100, length: QUARTER };

/// The own password of whoever is logged in: a stolen session guesses no faster.
const OWN: Allowance = Allowance { limit: 6, length: HOUR };

/// How many networks are remembered of an account: those of the last logins.
pub const MAX_KNOWN_NETWORKS: usize = 5;

/// The longest that anybody waits who is not known where they are.
pub const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// Attempts that are refused are counted in the trail, by windows of this length.
pub(super) const COUNTED_IN: Duration = QUARTER;

impl Permit {
    fn new(of: String, allowance: Allowance, now: Timestamp) -> Self {
        let Allowance { limit, length } = allowance;
        Self { of, window: window(now, length), length, limit }
    }

    /// How long to wait for another one. A little more than is left of the window, so that not everybody who waits
    /// comes at the moment at which it ends.
    pub(super) fn wait(&self, now: Timestamp) -> Duration {
        let left = (self.window + self.length).duration_since(now);
        Duration::try_from(left).unwrap_or_default() + Duration::from_secs(1)
    }
}

impl Permit {
    /// Whether it is of an address, whatever the account.
    pub(super) fn is_of_address(&self) -> bool {
        self.of.starts_with("address:")
    }
}

/// When the window of this length began that `now` lies in.
pub(super) fn window(now: Timestamp, length: Duration) -> Timestamp {
    let length = i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
    let second = now.as_second();
    Timestamp::from_second(second - second.rem_euclid(length)).unwrap_or(now)
}

/// Whether an attempt may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// It may; every permit was taken.
    Permitted,
    /// It may not, for want of the permit at this place; none was taken.
    Refused(usize),
}

/// Counts attempts. Needs `dynamodb:UpdateItem`.
#[async_trait]
pub trait Throttle: Send + Sync {
    /// Takes every one of these permits, or none.
    async fn take_permits(&self, permits: &[Permit]) -> Result<Attempt, StoreError>;

    /// Gives permits back that were taken.
    async fn give_permits_back(&self, permits: &[Permit]) -> Result<(), StoreError>;
}

/// The network that an address stands for: itself, and for IPv6 the /64 that one line has.
pub(super) fn network(origin: &Origin) -> Option<String> {
    let text = origin.source_ip.as_deref()?;
    Some(match text.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(address) => address.to_string(),
        Err(_) => text.to_owned(),
    })
}

/// What a login takes where the account is known.
fn known(name: &UserName, network: &str, now: Timestamp) -> Vec<Permit> {
    vec![Permit::new(format!("known:{name}/{network}"), KNOWN, now)]
}

/// What a login takes elsewhere; those first that are waited for longest. A name that nobody can have is counted by
/// its address only.
fn strange(name: Option<&UserName>, network: Option<&str>, now: Timestamp) -> Vec<Permit> {
    let account = name.map(|name| Permit::new(format!("account:{name}"), STRANGE, now));
    let address = network.map(|network| Permit::new(format!("address:{network}"), ADDRESS, now));
    let at_once = name.map(|name| Permit::new(format!("at_once:{name}"), STRANGE_AT_ONCE, now));
    account.into_iter().chain(address).chain(at_once).collect()
}

/// What is taken to try the own password of whoever is logged in.
pub(super) fn own(name: &UserName, now: Timestamp) -> Permit {
    Permit::new(format!("own:{name}"), OWN, now)
}

/// Who tries to log in, and from where.
#[derive(Debug)]
pub(super) struct Attempted<'a> {
    pub(super) name: Option<&'a UserName>,
    pub(super) network: Option<&'a str>,
    /// Whether somebody has logged in to this account from there before.
    pub(super) is_known: bool,
}

/// Takes the permits of a login: where the account is known its own, and those of strangers when these are used up.
/// `Err` with the permit that is missing.
pub(super) async fn take<S: Throttle>(
    store: &S,
    attempted: &Attempted<'_>,
    now: Timestamp,
) -> Result<Result<Vec<Permit>, Permit>, StoreError> {
    let Attempted { name, network, is_known } = *attempted;
    if let (true, Some(name), Some(network)) = (is_known, name, network) {
        let permits = known(name, network, now);
        if store.take_permits(&permits).await? == Attempt::Permitted {
            return Ok(Ok(permits));
        }
    }
    let mut permits = strange(name, network, now);
    Ok(match store.take_permits(&permits).await? {
        Attempt::Permitted => Ok(permits),
        Attempt::Refused(place) => Err(permits.swap_remove(place.min(permits.len().saturating_sub(1)))),
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Mutex};

    use futures_util::FutureExt;

    use super::*;

    /// The permits that were taken, as the table counts them.
    #[derive(Default)]
    struct Taken(Mutex<BTreeMap<(String, Timestamp), u32>>);

    #[async_trait]
    impl Throttle for Taken {
        async fn take_permits(&self, permits: &[Permit]) -> Result<Attempt, StoreError> {
            let mut taken = self.0.lock().unwrap();
            let count = |taken: &BTreeMap<_, u32>, permit: &Permit| {
                taken.get(&(permit.of.clone(), permit.window)).copied().unwrap_or_default()
            };
            if let Some(place) = permits.iter().position(|permit| count(&taken, permit) >= permit.limit) {
                return Ok(Attempt::Refused(place));
            }
            for permit in permits {
                *taken.entry((permit.of.clone(), permit.window)).or_default() += 1;
            }
            Ok(Attempt::Permitted)
        }

        async fn give_permits_back(&self, permits: &[Permit]) -> Result<(), StoreError> {
            self.give_back(permits);
            Ok(())
        }
    }

    impl Taken {
        /// One attempt on the account `ada`: how long to wait for the next one, where it may not be made.
        fn attempt(&self, network: &str, is_known: bool, now: Timestamp) -> Result<Vec<Permit>, Duration> {
            let ada: UserName = "ada".parse().unwrap();
            let attempted = Attempted { name: Some(&ada), network: Some(network), is_known };
            let taken = take(self, &attempted, now).now_or_never().unwrap().unwrap();
            taken.map_err(|missing| missing.wait(now))
        }

        /// The attempt was right: what it took is given back.
        fn give_back(&self, permits: &[Permit]) {
            let mut taken = self.0.lock().unwrap();
            for permit in permits {
                *taken.get_mut(&(permit.of.clone(), permit.window)).unwrap() -= 1;
            }
        }
    }

    /// How an attacker spreads their guesses: how many at once, every how many seconds, from how many addresses.
    #[derive(Debug, Clone, Copy)]
    struct Schedule {
        burst: u32,
        every: u32,
        addresses: u32,
    }

    fn schedules() -> impl Iterator<Item = Schedule> {
        [(1, 3), (7, 60), (40, 61), (100, 601), (300, 901)].into_iter().flat_map(|(burst, every)| {
            [1, 40, 1_000_000].map(|addresses| Schedule { burst, every, addresses })
        })
    }

    /// A day that begins a moment before the end of every window.
    const BEGIN: i64 = 1_800_000_000 - 1;
    const DAY: u32 = 24 * 60 * 60;

    fn at(second: u32) -> Timestamp {
        Timestamp::from_second(BEGIN + i64::from(second)).unwrap()
    }

    #[test]
    fn the_owner_gets_in_where_they_are_known_at_their_first_right_attempt_whatever_the_attack() {
        for schedule in schedules() {
            let taken = Taken::default();
            let mut guess = 0;
            for second in (0..DAY).step_by(schedule.every as usize) {
                for _ in 0..schedule.burst {
                    guess += 1;
                    let _ =
                        taken.attempt(&format!("strange-{}", guess % schedule.addresses), false, at(second));
                }
                // At their own address, too, strangers are tried, who use up what the address has.
                let own = taken.attempt("home", true, at(second));
                taken.give_back(&own.unwrap_or_else(|_| panic!("refused at {second} under {schedule:?}")));
            }
        }
    }

    #[test]
    fn an_office_is_not_locked_out_by_who_guesses_in_it() {
        let taken = Taken::default();
        let mallory = |name: u32| format!("user-{name}").parse::<UserName>().unwrap();
        for guess in 0..1000 {
            let (name, network) = (mallory(guess), Some("office"));
            let attempted = Attempted { name: Some(&name), network, is_known: false };
            let _ = take(&taken, &attempted, at(5)).now_or_never().unwrap().unwrap();
        }
        assert!(taken.attempt("office", false, at(5)).is_err(), "the address has permits left");
        let own = taken.attempt("office", true, at(5)).expect("the owner is refused in their office");
        assert_eq!(own.len(), 1, "a known account draws on the address as well: {own:?}");
    }

    /// The most guesses at one password in a day: by strangers anywhere, by somebody at each of the networks that
    /// the owner is known at, and by somebody with a session of theirs, all at once.
    const GUESSES_A_DAY: usize = 2000;

    #[test]
    fn guesses_are_bounded_however_many_addresses_they_come_from() {
        for schedule in schedules() {
            let taken = Taken::default();
            let ada: UserName = "ada".parse().unwrap();
            let (mut guess, mut made) = (0, 0);
            for second in (0..DAY).step_by(schedule.every as usize) {
                for _ in 0..schedule.burst {
                    guess += 1;
                    let address = format!("strange-{}", guess % schedule.addresses);
                    made += usize::from(taken.attempt(&address, false, at(second)).is_ok());
                    let known = format!("known-{}", guess as usize % MAX_KNOWN_NETWORKS);
                    made += usize::from(taken.attempt(&known, true, at(second)).is_ok());
                    let own = taken.take_permits(&[own(&ada, at(second))]).now_or_never().unwrap().unwrap();
                    made += usize::from(own == Attempt::Permitted);
                }
            }
            assert!(made < GUESSES_A_DAY, "{made} guesses under {schedule:?}");
        }
    }

    #[test]
    fn the_wait_elsewhere_grows_and_stays_bounded() {
        let taken = Taken::default();
        let mut waits = Vec::new();
        for second in 0..DAY / 24 {
            for _ in 0..3 {
                waits.extend(taken.attempt("hotel", false, at(second)).err());
            }
        }
        let minute = Duration::from_mins(1);
        assert!(waits[0] <= minute + Duration::from_secs(1), "{:?}", waits[0]);
        assert!(waits.iter().any(|wait| *wait > 2 * minute), "it does not grow");
        assert!(waits.iter().all(|wait| *wait <= LONGEST_WAIT + Duration::from_secs(1)));
        // Whoever waits as long as they are told finds permits again, while nobody else takes them.
        let now = at(DAY / 24);
        let wait = taken.attempt("hotel", false, now).map_or_else(|wait| wait, |_| Duration::ZERO);
        assert!(taken.attempt("hotel", false, now + wait).is_ok());
    }

    #[test]
    fn a_network_is_an_address_or_a_line_of_ipv6() {
        let network =
            |ip: &str| network(&Origin { source_ip: Some(ip.into()), ..Origin::default() }).unwrap();
        assert_eq!(network("192.0.2.1"), "192.0.2.1");
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
    }

    #[test]
    fn attempts_of_one_window_share_their_permits() {
        let name = "ada".parse().ok();
        let first = strange(name.as_ref(), Some("192.0.2.1"), at(1));
        assert_eq!(first, strange(name.as_ref(), Some("192.0.2.1"), at(60)));
        assert_ne!(first, strange(name.as_ref(), Some("192.0.2.1"), at(61)));
        let of: Vec<_> = strange(None, Some("192.0.2.1"), at(0)).into_iter().map(|it| it.of).collect();
        assert_eq!(of, ["address:192.0.2.1"], "a name that is none is kept");
    }
}
