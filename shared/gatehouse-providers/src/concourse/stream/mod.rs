//! What happens in a build, as a stream that survives what happens to connections.

mod connection;
mod place;
mod plan;
mod watch;

use std::sync::Arc;

use futures_util::stream;
use gatehouse_domain::{
    ci::{BuildId, EventStream, Position, RunEventBody, Target},
    clock::Clock,
};

use self::watch::Watch;
use super::client::Client;

/// The events of `build` behind `after`.
pub(super) fn events(
    client: Arc<Client>,
    clock: Arc<dyn Clock>,
    target: Target,
    build: BuildId,
    after: Option<&Position>,
) -> EventStream {
    let watch = Watch::new(client, clock, target, build, after);
    Box::pin(stream::unfold(Some(watch), async |watch| {
        let mut watch = watch?;
        let item = watch.next().await;
        let continues = matches!(&item, Ok(event) if event.body != RunEventBody::End);
        Some((item, continues.then_some(watch)))
    }))
}
