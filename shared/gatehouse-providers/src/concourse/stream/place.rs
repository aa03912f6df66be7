//! Where in a build's stream a reader stands.

use gatehouse_domain::ci::{CiError, CiErrorKind, Position};

use super::connection::OPERATION;

/// The place of something that an event told: the event's number, and which of the things that it told.
///
/// As text it is `7` for the last thing that event 7 told, which for nearly all events is the only one, and
/// `7x1`, `7x2` for those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    number: u64,
    part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// From 1.
    Earlier(u32),
    Last,
}

impl Place {
    /// The places of the `count` things that event `number` told.
    pub(super) fn of_event(number: u64, count: usize) -> impl Iterator<Item = Self> {
        let earlier = (1..).map(Part::Earlier).take(count.saturating_sub(1));
        earlier.chain([Part::Last]).map(move |part| Self { number, part })
    }

    /// The place of the last thing that event `number` told.
    pub(super) fn behind_event(number: u64) -> Self {
        Self { number, part: Part::Last }
    }

    /// Reads a position that was given out for this build, or might have been.
    pub(super) fn read(position: &Position) -> Result<Self, CiError> {
        let parsed = match position.0.split_once('x') {
            None => position.0.parse().ok().map(|number| Self { number, part: Part::Last }),
            Some((number, part)) => number
                .parse()
                .ok()
                .zip(part.parse().ok().map(Part::Earlier))
                .map(|(number, part)| Self { number, part }),
        };
        parsed.ok_or_else(|| {
            let start: String = position.0.chars().take(40).collect();
            let advice = format!("`{start}` is not a position in a Concourse build");
            CiError::new(CiErrorKind::Refused, OPERATION, advice)
        })
    }
}

impl From<Place> for Position {
    fn from(Place { number, part }: Place) -> Self {
        Self(match part {
            Part::Earlier(part) => format!("{number}x{part}"),
            Part::Last => number.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_the_order_in_which_things_are_told() {
        let places: Vec<_> = Place::of_event(7, 3).chain(Place::of_event(8, 1)).collect();
        assert!(places.is_sorted());
        let text: Vec<_> = places.iter().map(|place| Position::from(*place).0).collect();
        assert_eq!(text, ["7x1", "7x2", "7", "8"]);
        let read: Vec<_> = text.into_iter().map(|text| Place::read(&Position(text)).unwrap()).collect();
        assert_eq!(read, places);
    }

    #[test]
    fn other_positions_are_refused() {
        for text in ["", "x", "7x", "x1", "7y1", "-7", "7x-1"] {
            assert!(Place::read(&Position(text.to_owned())).is_err(), "{text}");
        }
    }
}
