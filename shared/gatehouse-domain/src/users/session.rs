//! What is kept of a session, and until when it counts.

use std::time::Duration;

use jiff::{Timestamp, fmt::serde::timestamp::millisecond};
use serde::{Deserialize, Serialize};

use crate::{audit::Origin, claims::whole_seconds};

/// How long a session lasts: a working day.
pub const SESSION: Duration = Duration::from_hours(12);

/// After how long without a use a session ends.
pub const IDLE: Duration = Duration::from_hours(2);

/// How often a use of the same session is written down. So it may end this much earlier than [`IDLE`] says.
pub const SEEN_INTERVAL: Duration = Duration::from_mins(5);

/// The most sessions that a user may have at once; the one that began first makes room.
pub const MAX_SESSIONS: usize = 20;

/// How much of what a program says of itself is kept with a session, in bytes: every question of the authorizer reads
/// all sessions of a user.
const MAX_USER_AGENT: usize = 128;

/// A session that was not ended. It may have expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub started_at: Timestamp,
    #[serde(rename = "ends_at")]
    pub expires_at: Timestamp,
    /// When it was last used, as far as that was written down.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "millisecond::optional")]
    pub last_used_at: Option<Timestamp>,
    /// When its owner last said their password again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reauthenticated_at: Option<Timestamp>,
    /// The address that it began from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<String>,
    /// The program that it began with, by its own word: printable ASCII.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

impl Session {
    pub fn new(started_at: Timestamp, expires_at: Timestamp) -> Self {
        Self {
            started_at,
            expires_at,
            last_used_at: None,
            reauthenticated_at: None,
            source_ip: None,
            user_agent: None,
        }
    }

    /// One that begins now.
    pub fn begin(now: Timestamp, origin: &Origin) -> Self {
        let started_at = whole_seconds(now);
        Self {
            source_ip: origin.source_ip.clone(),
            user_agent: origin.user_agent.as_deref().map(printable).filter(|text| !text.is_empty()),
            ..Self::new(started_at, started_at + SESSION)
        }
    }

    /// When it was last seen in use; up to [`SEEN_INTERVAL`], and what API Gateway remembers, before it last was.
    pub fn last_seen_at(&self) -> Timestamp {
        self.last_used_at.unwrap_or(self.started_at)
    }

    /// When its owner last proved who they are.
    pub fn authenticated_at(&self) -> Timestamp {
        self.reauthenticated_at.unwrap_or(self.started_at)
    }

    /// Whether it counts: it has not expired, and was used of late.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.expires_at > now && self.last_seen_at() + IDLE > now
    }

    /// Whether it is to be written down that it is used now.
    pub fn is_use_news(&self, now: Timestamp) -> bool {
        self.last_seen_at() + SEEN_INTERVAL <= now
    }
}

/// What a program says of itself, as it can be shown in any terminal: no control characters, and nothing that turns
/// the direction of writing.
fn printable(text: &str) -> String {
    let shown = text.chars().map(|sign| if matches!(sign, ' '..='~') { sign } else { '?' });
    shown.take(MAX_USER_AGENT).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_session_counts_while_it_is_used_and_for_twelve_hours_at_most() {
        let mut session = Session::begin(at(0), &Origin::default());
        assert!(session.is_open(at(2 * HOUR - 1)) && !session.is_open(at(2 * HOUR)));
        for hour in 1..12 {
            assert!(session.is_open(at(hour * HOUR)), "it ends in use, after {hour} hours");
            session.last_used_at = Some(at(hour * HOUR));
        }
        assert!(session.is_open(at(12 * HOUR - 1)) && !session.is_open(at(12 * HOUR)));
    }

    #[test]
    fn a_use_is_written_down_once_in_five_minutes() {
        let session = Session::begin(at(0), &Origin::default());
        assert!(!session.is_use_news(at(299)) && session.is_use_news(at(300)));
        let used = Session { last_used_at: Some(at(300)), ..session };
        assert!(!used.is_use_news(at(599)) && used.is_use_news(at(600)));
    }

    #[test]
    fn what_a_program_says_of_itself_is_cut_and_made_printable() {
        let begun = |user_agent: &str| {
            let origin = Origin { user_agent: Some(user_agent.into()), ..Origin::default() };
            Session::begin(at(0), &origin).user_agent
        };
        assert_eq!(begun("curl/8.5.0").as_deref(), Some("curl/8.5.0"));
        assert_eq!(begun("a\u{1b}[2Jb\r\n\u{202e}c\u{e9}").as_deref(), Some("a?[2Jb???c?"));
        assert_eq!(begun("  "), None);
        assert_eq!(begun(&"\u{e9}".repeat(500)).unwrap().len(), 128);
    }
}
