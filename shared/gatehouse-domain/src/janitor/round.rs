//! What a sweep does for API keys and service tokens: it goes on where the one before stopped, and begins anew when it has
//! come to the end. However many there are, all of them are looked at in turn.

use jiff::Timestamp;

use super::{
    due::{self, Due},
    sweep::{Report, Sweep, SweepError, SweepStore},
    watch::{Marks, Round, Subject, Watched},
};
use crate::{
    api_key::ApiKey,
    paging::{Cursor, Limit, ListError, Page, PageRequest},
    tokens::ServiceToken,
};

/// How many tokens or keys are read at once, some 50 KB. Most have no news, and cost nothing beyond that.
const PAGE: u8 = 100;

/// After how many pages it is noted how far a sweep has come, for the next one if this one dies: a write for each page would
/// cost as much as reading it.
const NOTED_EVERY: usize = 10;

/// What is looked at in turn. Each has a place of its own, so that neither has to wait for the other.
#[derive(Debug, Clone, Copy)]
enum Part {
    ApiKeys,
    Tokens,
}

impl Part {
    fn place(self, round: &mut Round) -> &mut Option<Cursor> {
        match self {
            Self::ApiKeys => &mut round.api_keys,
            Self::Tokens => &mut round.tokens,
        }
    }

    fn looked_at(self, report: &mut Report) -> &mut usize {
        match self {
            Self::ApiKeys => &mut report.api_keys,
            Self::Tokens => &mut report.tokens,
        }
    }
}

/// A thing, with what is due of it.
struct Look {
    subject: Subject,
    marks: Marks,
    due: Due,
}

/// How far a page was looked at.
enum Progress {
    /// The time was over before its end.
    Late,
    /// To its end, behind which the next one begins, if there is one.
    Whole(Option<Cursor>),
}

impl<S: SweepStore> Sweep<'_, S> {
    /// Looks at API keys and tokens from where the sweep before stopped. Returns whether it came to the end of both.
    pub(super) async fn go_round(&mut self) -> Result<bool, SweepError> {
        if self.is_late() {
            return Ok(false);
        }
        self.round = self.store.round().await?;
        self.report.resumed = self.round != Round::default();
        let (now, deadline) = (self.system.now(), self.settings.deadline);
        // At most half of the time that is left, however many keys there are.
        let half = now + deadline.duration_since(now) / 2;
        let keys = self.go_on(Part::ApiKeys, half).await;
        let tokens = self.go_on(Part::Tokens, deadline).await;
        match (keys, tokens) {
            (Ok(keys), Ok(tokens)) => Ok(keys && tokens),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
            (Err(error), Err(other)) => {
                self.note(Err(other));
                Err(error)
            }
        }
    }

    /// Goes on with a part, a page at a time. Returns whether it came to the end before `until`.
    async fn go_on(&mut self, part: Part, until: Timestamp) -> Result<bool, SweepError> {
        let mut place = part.place(&mut self.round).clone();
        let mut pages = 0_usize;
        while self.system.now() < until {
            let looked = self.look_at_page(part, place.clone(), until).await;
            match looked {
                Ok(Progress::Late) => break,
                Ok(Progress::Whole(None)) => {
                    self.note_place(part, None).await?;
                    return Ok(true);
                }
                Ok(Progress::Whole(next)) => place = next,
                // Nobody can read it any more, as when the key of cursors was made anew.
                Err(SweepError::List(ListError::Cursor(_))) if place.is_some() => place = None,
                Err(error) => {
                    // Where not one page could be looked at, the next sweep begins anew: it is not to stand before what
                    // fails for ever, while nothing else is looked at.
                    let noted = self.note_place(part, place.filter(|_| pages > 0)).await;
                    self.note(noted);
                    return Err(error);
                }
            }
            pages += 1;
            if pages.is_multiple_of(NOTED_EVERY) {
                self.note_place(part, place.clone()).await?;
            }
        }
        self.note_place(part, place).await?;
        Ok(false)
    }

    /// Looks at the page that begins at `place`. One that the time was not enough for is begun again by the next sweep, which
    /// passes over what was announced of it.
    async fn look_at_page(
        &mut self,
        part: Part,
        place: Option<Cursor>,
        until: Timestamp,
    ) -> Result<Progress, SweepError> {
        let page = self.read_page(part, place).await?;
        for Look { subject, marks, due } in page.items {
            if !due.announcements.is_empty() && self.system.now() >= until {
                return Ok(Progress::Late);
            }
            self.decide(&subject, &marks, due).await?;
            *part.looked_at(&mut self.report) += 1;
        }
        self.publish_news().await;
        Ok(Progress::Whole(page.next))
    }

    async fn read_page(&mut self, part: Part, cursor: Option<Cursor>) -> Result<Page<Look>, ListError> {
        let limit = Limit::new(PAGE).unwrap_or_default();
        let request = PageRequest { limit, cursor, ..PageRequest::default() };
        match part {
            Part::ApiKeys => {
                let page = self.store.watched_api_keys(&request).await?;
                let now = self.system.now();
                let look = |key: Watched<ApiKey>| Look {
                    subject: Subject::ApiKey(key.thing.id.clone()),
                    due: due::of_api_key(&key, now),
                    marks: key.marks,
                };
                Ok(Page { items: page.items.into_iter().map(look).collect(), next: page.next })
            }
            Part::Tokens => {
                let page = self.store.watched_tokens(&request).await?;
                let (now, unused_days) = (self.system.now(), self.settings.unused_days);
                let look = |token: Watched<ServiceToken>| Look {
                    subject: Subject::Token(token.thing.jti.clone()),
                    due: due::of_token(&token, unused_days, now),
                    marks: token.marks,
                };
                Ok(Page { items: page.items.into_iter().map(look).collect(), next: page.next })
            }
        }
    }

    /// Notes where the next sweep goes on, unless it does anyway.
    async fn note_place(&mut self, part: Part, place: Option<Cursor>) -> Result<(), SweepError> {
        let mut round = self.round.clone();
        *part.place(&mut round) = place;
        if round != self.round {
            self.store.note_round(&round).await?;
            self.round = round;
        }
        Ok(())
    }
}
