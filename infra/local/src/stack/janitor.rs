//! The janitor of this process: on a timer, and publishing to the log and to whoever listens.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use anyhow::Context;
use async_trait::async_trait;
use gatehouse_domain::janitor::{Announcement, Publish, PublishError};
use gatehouse_template::{Setting, Template};
use janitor::Janitor;
use lambda_runtime::LambdaEvent;
use serde_json::Value;
use tokio::sync::{broadcast, watch};
use tracing::info;

use super::{functions::Parts, stopped};
use crate::gateway::LambdaFunction;

/// How often it sweeps. On AWS that is every five minutes.
const INTERVAL: Duration = Duration::from_mins(1);

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

/// The janitor, as its own `main` wires it.
pub(super) fn janitor(parts: &Parts) -> Janitor {
    let table = &parts.table;
    Janitor {
        open: table.clone(),
        find: table.clone(),
        save: table.clone(),
        services: table.clone(),
        start: parts.executions.clone(),
        answer: parts.answers.clone(),
        oversee: parts.executions.clone(),
        watch: table.clone(),
        announce: table.clone(),
        outbox: table.clone(),
        publish: Arc::new(parts.bus.clone()),
        flush: Arc::new(parts.memory.clone()),
        pending_flush: table.clone(),
        clock: parts.clock.clone(),
        ids: parts.ids.clone(),
        unused_days: parts.unused_days,
    }
}

/// The function, for those who call it on demand.
pub(super) fn function(janitor: Janitor) -> LambdaFunction {
    LambdaFunction::json(move |event: LambdaEvent<Value>| {
        let janitor = janitor.clone();
        async move { janitor.handle(event).await }
    })
}

/// Sweeps again and again. A sweep that the stop falls into is left where it is; the next one goes on.
pub(super) async fn keep_sweeping(janitor: Janitor, stop: watch::Receiver<bool>) {
    let sweeping = async {
        loop {
            janitor.clock.sleep(INTERVAL).await;
            // What went wrong is in the log.
            let _report = janitor.sweep(janitor.clock.now() + INTERVAL).await;
        }
    };
    tokio::select! {
        () = stopped(stop) => {}
        () = sweeping => {}
    }
}

/// After how many days without use a token is announced, as the template says.
pub(super) fn unused_days(template: &Template) -> anyhow::Result<NonZeroU16> {
    let janitor = template.function("janitor").context("template.yaml has no janitor")?;
    match janitor.environment.get("GATEHOUSE_UNUSED_DAYS") {
        Some(Setting::Text(days)) => days.parse().context("UnusedTokenDays of template.yaml"),
        _ => anyhow::bail!("the janitor of template.yaml has no GATEHOUSE_UNUSED_DAYS"),
    }
}
