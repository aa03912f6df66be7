//! Announcements in this process: to the log and to whoever listens.

use async_trait::async_trait;
use gatehouse_domain::janitor::{Announcement, Publish, PublishError};
use tokio::sync::broadcast;
use tracing::info;

/// How many announcements a subscriber may lag behind before it misses some.
const BACKLOG: usize = 1_000;

/// What `EventBridge` is on AWS.
#[derive(Debug, Clone)]
pub(super) struct Bus(broadcast::Sender<Announcement>);

impl Bus {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }

    /// Everything that is announced from now on.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Announcement> {
        self.0.subscribe()
    }
}

#[async_trait]
impl Publish for Bus {
    async fn publish(&self, announcements: &[Announcement]) -> Vec<Result<(), PublishError>> {
        let publish = |announcement: &Announcement| {
            let (id, days) = (announcement.id.as_str(), announcement.days);
            info!(announcement = id, days, "{}: {}", announcement.news.title(), announcement.subject);
            // An error means that nobody listens.
            let _listeners = self.0.send(announcement.clone());
            Ok(())
        };
        announcements.iter().map(publish).collect()
    }
}
