//! What a sweep does where there are more API keys and tokens than it has time for.

use super::*;

/// A day on which nothing is due of a token that lives for a year, and a threshold has passed of one that lives for 80 days.
const TODAY: i64 = 66;

/// A token with nothing to tell.
fn quiet(number: u32) -> Watched<ServiceToken> {
    fresh(token(number, 365 * DAY))
}

fn due(number: u32) -> Watched<ServiceToken> {
    fresh(token(number, 80 * DAY))
}

impl World {
    /// On this day every look at the clock takes a second.
    fn with_tokens(tokens: impl Iterator<Item = Watched<ServiceToken>>) -> Self {
        let world = Self::default();
        let mut state = world.state();
        state.tokens = tokens.collect();
        state.now = TODAY * DAY;
        state.tick = 1;
        drop(state);
        world
    }

    /// A sweep that ends after so many looks at the clock, of which some ten are for what comes before keys and tokens.
    fn sweep_for(&self, looks: i64) -> Report {
        let now = self.state().now;
        self.sweep_until(at(now + looks))
    }

    /// Such sweeps, until one comes to the end.
    fn sweeps_for(&self, looks: i64) -> Vec<Report> {
        let mut sweeps = Vec::new();
        loop {
            sweeps.push(self.sweep_for(looks));
            if sweeps.last().is_some_and(|report| report.finished) {
                return sweeps;
            }
            assert!(sweeps.len() < 100, "they never come to the end");
        }
    }
}

fn tokens_in(sweeps: &[Report]) -> usize {
    sweeps.iter().map(|report| report.tokens).sum()
}

#[test]
fn a_thousand_tokens_are_each_announced_once_by_sweeps_that_have_little_time() {
    let world = World::with_tokens((0..1_000).map(due));
    let mut sweeps = world.sweeps_for(60);
    assert!(sweeps.len() > 10, "{} sweeps had time enough", sweeps.len());
    while !world.state().outbox.is_empty() {
        sweeps.push(world.sweep());
    }
    assert_eq!(sweeps.iter().map(|report| report.announced).sum::<usize>(), 1_000);
    let published: Vec<_> = world.state().bus.iter().map(|announcement| announcement.id.clone()).collect();
    assert_eq!(published.iter().collect::<BTreeSet<_>>().len(), 1_000);
    assert_eq!(published.len(), 1_000);
}

#[test]
fn what_has_nothing_to_tell_is_looked_at_in_turn_however_much_it_is() {
    let world = World::with_tokens((0..2_999).map(quiet).chain([due(2_999)]));
    let sweeps = world.sweeps_for(27);
    assert!(sweeps.len() > 3, "{} sweeps had time enough", sweeps.len());
    assert_eq!(tokens_in(&sweeps), 3_000, "each is looked at once in a round");
    let resumed: Vec<_> = sweeps.iter().map(|report| report.resumed).collect();
    assert_eq!(resumed.iter().filter(|resumed| !**resumed).count(), 1, "{resumed:?}");
    assert!(!resumed[0]);
    assert_eq!(sweeps.iter().map(|report| report.announced).sum::<usize>(), 1);
    let next = world.sweep_for(27);
    assert!(!next.resumed && !next.finished && next.tokens > 0, "{next:?}");
}

#[test]
fn a_token_that_is_minted_behind_a_sweep_is_seen_by_the_next_round() {
    let world = World::with_tokens((1..=1_000).map(quiet));
    assert!(!world.sweep_for(24).finished);
    world.state().tokens.insert(0, due(0));
    let rest = world.sweeps_for(24);
    assert_eq!(rest.iter().map(|report| report.announced).sum::<usize>(), 0);
    let next = world.sweeps_for(24);
    assert_eq!(next.iter().map(|report| report.announced).sum::<usize>(), 1);
}

/// In words, and what becomes of the place that was noted.
type Fate = (&'static str, fn(&mut State));

#[test]
fn a_place_that_nobody_knows_any_more_begins_the_round_anew() {
    let fates: [Fate; 2] = [
        ("gone", |state| state.round = Round::default()),
        ("sealed with another key", |state| state.void_cursor = state.round.tokens.clone()),
    ];
    for (what, fate) in fates {
        let world = World::with_tokens((0..1_000).map(quiet));
        assert!(!world.sweep_for(24).finished, "{what}");
        assert!(world.state().round.tokens.is_some(), "{what}");
        fate(&mut world.state());
        let report = world.sweep();
        assert!(report.finished && report.failures.is_empty(), "{what}: {report:?}");
        assert_eq!(report.tokens, 1_000, "{what}");
    }
}

#[test]
fn a_sweep_that_dies_before_it_notes_where_it_stands_skips_nothing() {
    let world = World::with_tokens((0..1_000).map(quiet));
    world.state().notes_nothing = true;
    let report = world.sweep_for(24);
    assert!(matches!(report.failures.as_slice(), [SweepError::Store(_)]), "{report:?}");
    assert!(report.tokens > 0 && !report.finished);
    world.state().notes_nothing = false;
    let sweeps = world.sweeps_for(24);
    assert!(!sweeps[0].resumed);
    assert_eq!(tokens_in(&sweeps), 1_000);
}

#[test]
fn a_long_sweep_notes_on_its_way_where_it_stands() {
    let world = World::with_tokens((0..2_500).map(quiet));
    assert!(world.sweep().finished);
    // After ten pages and after twenty, and that it came to the end.
    assert_eq!(world.state().noted, 3);
    assert_eq!(world.state().round, Round::default());
}

#[test]
fn where_one_sweep_has_time_for_all_no_place_is_noted() {
    let world = World::with_tokens((0..900).map(due));
    assert!(world.sweep().finished);
    assert!(world.sweep().finished);
    assert_eq!(world.state().noted, 0);
}

#[test]
fn what_cannot_be_read_stops_what_is_behind_it_and_not_what_is_before_it() {
    let world = World::with_tokens((0..2_500).map(quiet));
    world.state().unreadable_token = Some(token(2_150, 0).jti);
    for (resumed, tokens) in [(false, 2_100), (true, 0), (false, 2_100)] {
        let report = world.sweep();
        assert!(matches!(report.failures.as_slice(), [SweepError::List(_)]), "{report:?}");
        assert_eq!((report.finished, report.resumed, report.tokens), (false, resumed, tokens));
    }
    world.state().unreadable_token = None;
    let report = world.sweep();
    assert_eq!((report.finished, report.resumed, report.tokens), (true, true, 400));
}

#[test]
fn many_keys_do_not_keep_tokens_from_being_looked_at() {
    let world = World::with_tokens([due(0)].into_iter());
    world.state().api_keys = (0..3_000).map(|_| fresh(api_key(None))).collect();
    let sweeps = world.sweeps_for(40);
    assert!(sweeps.len() > 3, "{} sweeps had time enough", sweeps.len());
    assert_eq!((sweeps[0].announced, sweeps[0].finished), (1, false), "{:?}", sweeps[0]);
    assert_eq!(sweeps.iter().map(|report| report.api_keys).sum::<usize>(), 3_000);
}

#[test]
fn what_cannot_wait_is_looked_at_by_every_sweep() {
    let world = World::with_tokens((0..3_000).map(quiet));
    assert!(!world.sweep_for(24).finished);
    world.state().owed_since = Some(at(5));
    world.state().ring = Some(fresh(ring("one", 0)));
    let report = world.sweep_for(24);
    assert!(report.resumed && report.flushed && !report.finished, "{report:?}");
    assert_eq!(report.announced, 1, "the ring's key is due");
}
