//! What waits to be sent.

use std::{collections::VecDeque, mem, time::Duration};

use tokio::time::Instant;

use crate::callbacks::{Progress, StepState};

/// One message takes so many lines.
const LINES_PER_MESSAGE: usize = 50;

/// Lines wait so long for others to go with.
const GATHERING: Duration = Duration::from_secs(1);

/// So many lines wait at most; of more, the oldest are left out. Gatehouse may not answer for minutes.
const MOST_LINES: usize = 2000;

/// Steps and lines in their order.
#[derive(Debug, Default)]
pub(super) struct Pending {
    items: VecDeque<Item>,
    lines: usize,
    left_out: usize,
    percentage: Option<u8>,
    /// When the oldest of what waits came.
    since: Option<Instant>,
}

#[derive(Debug)]
enum Item {
    Line(String),
    Step(&'static str, StepState),
}

impl Pending {
    pub(super) fn line(&mut self, line: String) {
        if self.lines == MOST_LINES {
            self.leave_oldest_out();
        }
        self.lines += 1;
        self.add(Item::Line(line));
    }

    pub(super) fn step(&mut self, step: &'static str, state: StepState) {
        self.add(Item::Step(step, state));
    }

    pub(super) fn percentage(&mut self, percentage: u8) {
        self.percentage = Some(percentage);
        self.since.get_or_insert_with(Instant::now);
    }

    /// When the next message should go; `None` while there is nothing to say.
    pub(super) fn due(&self) -> Option<Instant> {
        let since = self.since?;
        let at_once = self.lines >= LINES_PER_MESSAGE || self.lines < self.items.len();
        Some(if at_once { since } else { since + GATHERING })
    }

    /// The next message: lines up to the next step, and that step.
    pub(super) fn take(&mut self) -> Option<Progress> {
        self.since.take()?;
        let mut progress = Progress { percentage: self.percentage.take(), ..Progress::default() };
        match mem::take(&mut self.left_out) {
            0 => {}
            lines => progress.log.push(format!("… {lines} lines are left out")),
        }
        while progress.log.len() < LINES_PER_MESSAGE {
            match self.items.pop_front() {
                Some(Item::Line(line)) => {
                    self.lines -= 1;
                    progress.log.push(line);
                }
                Some(Item::Step(step, state)) => {
                    (progress.step, progress.state) = (Some(step), Some(state));
                    break;
                }
                None => break,
            }
        }
        self.since = (!self.items.is_empty()).then(Instant::now);
        Some(progress)
    }

    fn add(&mut self, item: Item) {
        self.items.push_back(item);
        self.since.get_or_insert_with(Instant::now);
    }

    fn leave_oldest_out(&mut self) {
        let oldest = self.items.iter().position(|item| matches!(item, Item::Line(_)));
        if oldest.and_then(|index| self.items.remove(index)).is_some() {
            self.lines -= 1;
            self.left_out += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(pending: &mut Pending) -> Vec<Progress> {
        std::iter::from_fn(|| pending.take()).collect()
    }

    #[test]
    fn lines_go_before_the_step_that_follows_them() {
        let mut pending = Pending::default();
        pending.line("a".into());
        pending.step("init", StepState::Succeeded);
        pending.step("plan", StepState::Running);
        pending.line("b".into());
        let messages = drain(&mut pending);
        let said: Vec<_> = messages.iter().map(|m| (m.log.join(","), m.step, m.state)).collect();
        assert_eq!(
            said,
            [
                ("a".to_owned(), Some("init"), Some(StepState::Succeeded)),
                (String::new(), Some("plan"), Some(StepState::Running)),
                ("b".to_owned(), None, None),
            ]
        );
        assert_eq!(pending.due(), None);
    }

    #[test]
    fn a_message_takes_fifty_lines() {
        let mut pending = Pending::default();
        (0..120).for_each(|number| pending.line(number.to_string()));
        let sizes: Vec<_> = drain(&mut pending).iter().map(|message| message.log.len()).collect();
        assert_eq!(sizes, [50, 50, 20]);
    }

    #[test]
    fn lines_wait_for_others_and_steps_do_not() {
        let mut pending = Pending::default();
        pending.line("a".into());
        let since = pending.since.unwrap();
        assert_eq!(pending.due(), Some(since + GATHERING));
        pending.step("init", StepState::Running);
        assert_eq!(pending.due(), Some(since));
        let mut pending = Pending::default();
        (0..50).for_each(|number| pending.line(number.to_string()));
        assert_eq!(pending.due(), pending.since);
    }

    #[test]
    fn of_too_many_lines_the_oldest_are_left_out() {
        let mut pending = Pending::default();
        pending.step("apply", StepState::Running);
        (0..MOST_LINES + 7).for_each(|number| pending.line(number.to_string()));
        let messages = drain(&mut pending);
        assert_eq!(messages[0].step, Some("apply"));
        let lines: Vec<_> = messages.iter().flat_map(|message| &message.log).collect();
        assert_eq!(lines[..2], ["… 7 lines are left out", "7"]);
        assert_eq!(lines.len(), MOST_LINES + 1);
    }

    #[test]
    fn the_newest_percentage_goes_with_the_next_message() {
        let mut pending = Pending::default();
        pending.percentage(10);
        pending.percentage(20);
        assert_eq!(drain(&mut pending), [Progress { percentage: Some(20), ..Progress::default() }]);
    }
}
