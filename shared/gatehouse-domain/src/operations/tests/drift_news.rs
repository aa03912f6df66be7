//! When drift that was found is announced.

use futures_util::FutureExt;

use super::support::Site;
use crate::{
    announcement::News,
    catalog::PlanSummary,
    json::Object,
    operations::{Operation, StepRefused, change::change, lifecycle::Changed, request::Ask},
};

impl Site {
    /// Asks for something in `dev`, of which a plan finds this.
    fn done(&self, ask: &Ask, found: PlanSummary) {
        let id = self.requested("dev", ask);
        let rule = |operation: &mut Operation| -> Result<Changed, StepRefused> {
            operation.plan = Some(found);
            operation.finish(crate::clock::Clock::now(&self.hand))
        };
        change(&self.memory, &self.hand, &id, None, rule).now_or_never().unwrap().unwrap();
    }

    /// How often drift has been announced.
    fn announced(&self) -> usize {
        let items = self.memory.items();
        items.outbox.iter().filter(|announcement| announcement.news == News::DriftFound).count()
    }
}

#[test]
fn drift_is_announced_where_it_is_new_and_not_each_time_that_it_is_found() {
    let site = Site::default();
    let nothing = PlanSummary::default();
    let some = PlanSummary { change: 1, applyable: Some(true), ..nothing };
    let more = PlanSummary { change: 2, applyable: Some(true), ..nothing };
    let provision = Ask::Provision(Object::new());
    site.done(&provision, nothing);
    let looks = [
        (nothing, 0, "nothing"),
        (some, 1, "some"),
        (some, 1, "the same"),
        (more, 2, "more"),
        (some, 3, "less, which is not what was announced last"),
        (nothing, 3, "nothing any more"),
        (some, 4, "the same as once before"),
    ];
    for (found, announced, what) in looks {
        site.done(&Ask::Drift, found);
        assert_eq!(site.announced(), announced, "{what}");
    }
    site.done(&provision, nothing);
    site.done(&Ask::Drift, some);
    assert_eq!(site.announced(), 5, "it was provisioned anew in between");
}
