//! Polls tasks in an order that follows from the seed.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::world::World;

/// How many turns a history may take before it is said to hang.
const TURNS: usize = 400_000;

pub(super) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Runs what `people` do to its end, and `background` beside them until the world is at rest.
pub(super) fn run(world: &World, people: Vec<Task>, background: Task) {
    let count = people.len();
    let mut tasks: Vec<Task> = people.into_iter().chain([background]).collect();
    let mut alive = vec![true; tasks.len()];
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..TURNS {
        if alive[..count].iter().all(|alive| !alive) && world.is_at_rest() {
            return;
        }
        let awake: Vec<_> = (0..tasks.len()).filter(|task| alive[*task] && world.is_awake(*task)).collect();
        if awake.is_empty() {
            world.skip_sleep();
            continue;
        }
        let task = awake[world.below(awake.len())];
        world.turn_of(task);
        if tasks[task].as_mut().poll(&mut context).is_ready() {
            alive[task] = false;
        }
        world.pass(Duration::from_millis(world.below(150) as u64));
    }
    panic!("it does not come to an end");
}

/// Polls `future` at most so often: a function that dies is not told so.
pub(super) async fn dying<F: Future>(future: F, turns: Option<usize>) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut left = turns;
    std::future::poll_fn(move |context| {
        if let Some(turns) = &mut left {
            if *turns == 0 {
                return Poll::Ready(None);
            }
            *turns -= 1;
        }
        future.as_mut().poll(context).map(Some)
    })
    .await
}
