//! One suite for every adapter to a CI system: what Gatehouse relies on, whichever system it is.
//!
//! A [`Bench`] brings the adapter and what it speaks with, such as a twin. What a system cannot do is no
//! exception from a case: the case then asserts how the adapter says so.
//!
//! ```ignore
//! mod suite {
//!     gatehouse_testkit::ci_provider_suite!(super::bench());
//! }
//! ```

mod bench;
pub mod cases;
mod drive;

pub use self::bench::{Bench, Job, Trouble};

/// Writes a test for each case of the suite. The argument is evaluated, and awaited, in each: a future of a
/// [`Bench`].
#[macro_export]
macro_rules! ci_provider_suite {
    ($bench:expr) => {
        $crate::ci_provider_suite! {
            @each $bench,
            a_run_that_succeeds,
            a_run_that_fails,
            events_tell_a_run_from_its_start_to_its_end,
            every_position_resumes_with_exactly_the_rest,
            output_arrives_while_a_run_is_active,
            a_position_of_nowhere_is_refused,
            a_graceful_cancel_ends_a_run,
            a_forced_cancel_ends_a_run_or_is_unsupported,
            a_finished_run_is_left_alone,
            a_rerun_is_a_run_of_its_own,
            a_start_is_found_by_what_was_noted_before_it,
            a_start_whose_answer_was_lost_is_found_once,
            a_rerun_whose_answer_was_lost_is_found_once,
            what_may_not_be_done_is_forbidden_and_starts_nothing,
            a_system_that_is_down_is_unavailable_and_starts_nothing,
            unknown_runs_are_not_found,
            a_job_that_does_not_exist_starts_no_run_that_works,
            a_job_of_another_system_is_refused,
            jobs_are_discovered_or_that_is_unsupported,
            a_check_finds_nothing_wrong,
        }
    };
    (@each $bench:expr, $($case:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::ci_provider::cases::$case(&$bench.await).await;
            }
        )+
    };
}
