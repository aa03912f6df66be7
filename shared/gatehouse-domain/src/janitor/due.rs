//! What is to be announced of one thing, given what was announced of it before.

use std::{num::NonZeroU16, time::Duration};

use jiff::Timestamp;

use super::{Announcement, Marks, News, Watched};
use crate::{
    api_key::ApiKey,
    catalog::{EnvironmentState, Service},
    signing::{KeyRing, ROTATE_AFTER},
    tokens::{ServiceToken, TokenState, TokenStatus},
};

/// How many days before an end it is announced, the nearest first.
const THRESHOLDS: [u16; 5] = [1, 3, 7, 14, 30];

/// The threshold of an end that has come.
const ENDED: u16 = 0;

/// How many hours before the end of an environment it is announced, the nearest first.
const HOURS: [u16; 3] = [1, 4, 24];

/// How long before their end environments are looked at.
pub(super) const ENVIRONMENTS_AHEAD: Duration = Duration::from_hours(24);

/// What is to be announced, and what was announced once that is done.
pub(super) struct Due {
    pub marks: Marks,
    pub announcements: Vec<Announcement>,
}

/// Of a token: that it ends soon, that it has ended, and that nobody uses it. Nothing once it is revoked.
pub(super) fn of_token(watched: &Watched<ServiceToken>, unused_days: NonZeroU16, now: Timestamp) -> Due {
    let token = &watched.thing;
    let mut due = Due { marks: watched.marks.clone(), announcements: Vec::new() };
    let status = token.status(now);
    if status == TokenStatus::Revoked {
        return due;
    }
    let (expires_at, replaced_by) = end_of(token);
    let end =
        End { at: expires_at, soon: News::TokenEnding, over: News::TokenEnded, subject: token.jti.as_str() };
    let ending = end.announcement(&mut due.marks, now);
    let unused = if status.is_valid() { unused(token, &mut due.marks, unused_days, now) } else { None };
    due.announcements.extend([ending, unused].into_iter().flatten().map(|announcement| Announcement {
        tenant: Some(token.tenant.clone()),
        project: Some(token.project.clone()),
        service: Some(token.service.clone()),
        expires_at: Some(expires_at),
        last_used_at: token.last_used_at,
        replaced_by: replaced_by.clone(),
        ..announcement
    }));
    due
}

/// When a token ends by what is known now, and what replaces it.
fn end_of(token: &ServiceToken) -> (Timestamp, Option<crate::id::TokenId>) {
    match &token.state {
        TokenState::Rotated { to, expires_at, .. } => {
            (expires_at.map_or(token.expires_at, |grace| grace.min(token.expires_at)), Some(to.clone()))
        }
        TokenState::Active | TokenState::Revoked { .. } => (token.expires_at, None),
    }
}

/// Of an API key: that it ends soon, and that it has ended. Nothing once it is revoked.
pub(super) fn of_api_key(watched: &Watched<ApiKey>, now: Timestamp) -> Due {
    let key = &watched.thing;
    let mut due = Due { marks: watched.marks.clone(), announcements: Vec::new() };
    let Some(expires_at) = key.expires_at.filter(|_| key.revoked.is_none()) else { return due };
    let end =
        End { at: expires_at, soon: News::ApiKeyEnding, over: News::ApiKeyEnded, subject: key.id.as_str() };
    let ending = end.announcement(&mut due.marks, now);
    due.announcements.extend(ending.map(|announcement| Announcement {
        tenant: key.tenants.sole().cloned(),
        name: Some(key.name.clone()),
        expires_at: Some(expires_at),
        last_used_at: key.last_used_at,
        ..announcement
    }));
    due
}

/// Of an environment that is provisioned: that its time to live ends soon, and that it has ended. A threshold counts
/// that is at most half of that time: nobody is told of the end of what they have just made.
pub(super) fn of_environment(watched: &Watched<EnvironmentState>, now: Timestamp) -> Due {
    let state = &watched.thing;
    let mut due = Due { marks: watched.marks.clone(), announcements: Vec::new() };
    let Some(provisioned) = state.infrastructure.provisioned() else { return due };
    let Some(expires_at) = provisioned.expires_at else { return due };
    let life = expires_at.duration_since(provisioned.at).as_hours();
    let counts = |hours: &u16| i64::from(*hours) * 2 <= life && expires_at <= now + hours_of(*hours);
    let passed = if expires_at <= now { Some(ENDED) } else { HOURS.into_iter().find(counts) };
    let Some(passed) = passed else { return due };
    let of_this_end = due.marks.ending.filter(|_| due.marks.expires_at == Some(expires_at));
    if of_this_end.is_some_and(|announced| announced <= passed) {
        return due;
    }
    due.marks.ending = Some(passed);
    due.marks.expires_at = Some(expires_at);
    let news = if passed == ENDED { News::EnvironmentEnded } else { News::EnvironmentEnding };
    let subject = format!("{}/{}", state.service, state.name);
    let threshold = format!("{}:{passed}", expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"));
    due.announcements.push(Announcement {
        service_id: Some(state.service.clone()),
        environment: Some(state.name.clone()),
        expires_at: Some(expires_at),
        hours: (passed != ENDED).then_some(passed),
        ..Announcement::new(news, &subject, &threshold, now)
    });
    due
}

impl Due {
    /// The same, with whose it is.
    pub fn of_service(mut self, service: &Service) -> Self {
        for announcement in &mut self.announcements {
            announcement.tenant = Some(service.tenant.clone());
            announcement.project = Some(service.spec.project.clone());
            announcement.service = Some(service.name.clone());
        }
        self
    }
}

/// Of the ring: that its newest key is due for rotation.
pub(super) fn of_key_ring(watched: &Watched<KeyRing>, now: Timestamp) -> Due {
    let mut due = Due { marks: watched.marks.clone(), announcements: Vec::new() };
    let Some(key) = watched.thing.keys.last().filter(|_| watched.thing.is_due(now)) else { return due };
    if due.marks.rotation.as_ref() != Some(&key.kid) {
        due.marks.rotation = Some(key.kid.clone());
        let since = key.signs_from + ROTATE_AFTER;
        let due_since = since.strftime("%Y-%m-%d").to_string();
        let announcement = Announcement::new(News::SigningKeyDue, key.kid.as_str(), &due_since, now);
        due.announcements.push(Announcement { expires_at: Some(since), ..announcement });
    }
    due
}

/// The end of something.
struct End<'a> {
    at: Timestamp,
    soon: News,
    over: News,
    subject: &'a str,
}

impl End<'_> {
    /// Announces the nearest threshold that has passed, unless that, or a nearer one, was announced.
    fn announcement(&self, marks: &mut Marks, now: Timestamp) -> Option<Announcement> {
        let passed = self.nearest(now)?;
        if marks.ending.is_some_and(|announced| announced <= passed) {
            return None;
        }
        marks.ending = Some(passed);
        let news = if passed == ENDED { self.over } else { self.soon };
        let announcement = Announcement::new(news, self.subject, &passed.to_string(), now);
        Some(Announcement { days: (passed != ENDED).then_some(passed), ..announcement })
    }

    fn nearest(&self, now: Timestamp) -> Option<u16> {
        if self.at <= now {
            return Some(ENDED);
        }
        THRESHOLDS.into_iter().find(|threshold| self.at <= now + days(*threshold))
    }
}

/// Announces that a token was not used for so many days, or twice as many, and so on: the last of these
/// times that has passed, unless that was announced.
fn unused(
    token: &ServiceToken,
    marks: &mut Marks,
    unused_days: NonZeroU16,
    now: Timestamp,
) -> Option<Announcement> {
    let since = token.last_used_at.unwrap_or(token.created_at);
    let idle_days = u64::try_from(now.duration_since(since).as_hours()).ok()? / 24;
    let idle_days = u16::try_from(idle_days).unwrap_or(u16::MAX);
    let idle_days = idle_days - idle_days % unused_days;
    let passed = since + days(idle_days);
    if idle_days == 0 || marks.unused.is_some_and(|announced| passed <= announced) {
        return None;
    }
    marks.unused = Some(passed);
    let day = passed.strftime("%Y-%m-%d").to_string();
    let announcement = Announcement::new(News::TokenUnused, token.jti.as_str(), &day, now);
    Some(Announcement { days: Some(idle_days), ..announcement })
}

fn hours_of(hours: u16) -> Duration {
    Duration::from_hours(u64::from(hours))
}

fn days(days: u16) -> Duration {
    Duration::from_hours(u64::from(days) * 24)
}
