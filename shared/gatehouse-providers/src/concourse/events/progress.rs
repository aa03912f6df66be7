//! How far the steps of a build are: what has begun, and has to end.

/// How many steps may be open at once: more than any build has, and a bound for what is remembered.
const MAX_OPEN: usize = 10_000;

/// With which words Concourse's message about a lost worker ends when the step is begun anew.
const BEGINS_ANEW: &str = "will retry ...";

/// The steps that have begun and not ended, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Progress(Vec<OpenStep>);

#[derive(Debug)]
struct OpenStep {
    id: String,
    started: bool,
    /// An error came that it did not go on from so far.
    failing: bool,
}

/// A step that was found to have ended, although no event says so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) id: String,
    /// `Some(false)` where an error was the last that came of it.
    pub(super) succeeded: Option<bool>,
}

impl Progress {
    /// Notes that a step is being prepared, from the beginning.
    pub(super) fn prepare(&mut self, id: &str) {
        let step = self.open(id);
        if let Some(step) = step {
            (step.started, step.failing) = (false, false);
        }
    }

    pub(super) fn start(&mut self, id: &str) {
        if let Some(step) = self.open(id) {
            (step.started, step.failing) = (true, false);
        }
    }

    /// Notes that something happened to a step; whether it had started before. A step that has ended, or that
    /// nothing was heard of, begins with it.
    pub(super) fn touch(&mut self, id: &str) -> bool {
        self.open(id).is_some_and(|step| step.started)
    }

    pub(super) fn finish(&mut self, id: &str) {
        self.0.retain(|step| step.id != id);
    }

    /// Notes that an error came of a step.
    pub(super) fn fail(&mut self, id: &str, message: &str) {
        if let Some(step) = self.0.iter_mut().find(|step| step.id == id) {
            step.failing = !message.ends_with(BEGINS_ANEW);
        }
    }

    /// Takes out the steps that an error has ended: those where the next thing that happens is another step's,
    /// `but`.
    pub(super) fn close_failing(&mut self, but: Option<&str>) -> Vec<Closed> {
        self.close(|step| step.failing && Some(step.id.as_str()) != but)
    }

    /// Takes out all steps, since the build has ended.
    pub(super) fn close_all(&mut self) -> Vec<Closed> {
        self.close(|_| true)
    }

    fn close(&mut self, ended: impl Fn(&OpenStep) -> bool) -> Vec<Closed> {
        let closed = self.0.extract_if(.., |step| ended(step));
        closed.map(|step| Closed { id: step.id, succeeded: step.failing.then_some(false) }).collect()
    }

    fn open(&mut self, id: &str) -> Option<&mut OpenStep> {
        let place = self.0.iter().position(|step| step.id == id);
        if place.is_none() && self.0.len() < MAX_OPEN {
            self.0.push(OpenStep { id: id.to_owned(), started: false, failing: false });
        }
        match place {
            Some(place) => self.0.get_mut(place),
            None => self.0.last_mut().filter(|step| step.id == id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(id: &str, succeeded: Option<bool>) -> Closed {
        Closed { id: id.to_owned(), succeeded }
    }

    #[test]
    fn an_error_ends_a_step_once_something_else_goes_on() {
        let mut progress = Progress::default();
        progress.start("a");
        progress.prepare("b");
        progress.fail("a", "timeout exceeded");
        assert_eq!(progress.close_failing(Some("a")), []);
        assert_eq!(progress.close_failing(Some("b")), [closed("a", Some(false))]);
        assert_eq!(progress.close_all(), [closed("b", None)]);
    }

    #[test]
    fn a_step_that_is_tried_on_another_worker_goes_on() {
        let mut progress = Progress::default();
        progress.start("a");
        progress.fail("a", "worker w2 disappeared");
        progress.fail("a", "worker w2 disappeared, will retry ...");
        assert_eq!(progress.close_failing(None), []);
        progress.prepare("a");
        assert!(!progress.touch("a"), "it has not started again");
        progress.finish("a");
        assert_eq!(progress.close_all(), []);
    }

    #[test]
    fn an_error_of_a_step_that_never_began_ends_nothing() {
        let mut progress = Progress::default();
        progress.fail("a", "undefined vars");
        assert_eq!(progress.close_all(), []);
    }
}
