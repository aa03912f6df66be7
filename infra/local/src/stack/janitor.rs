//! The janitor of this process, on a timer.

use std::{sync::Arc, time::Duration};

use gatehouse_providers::Directory;
use janitor::Janitor;
use lambda_runtime::LambdaEvent;
use serde_json::Value;
use tokio::sync::watch;

use super::{parts::Parts, stop::stopped};
use crate::gateway::LambdaFunction;

/// How often it sweeps. On AWS that is every five minutes.
const INTERVAL: Duration = Duration::from_mins(1);

/// The janitor, as its own `main` wires it.
pub(super) fn janitor(parts: &Parts, providers: Arc<Directory>) -> Janitor {
    Janitor {
        table: parts.table.clone(),
        start: parts.executions.clone(),
        answer: parts.answers.clone(),
        oversee: parts.executions.clone(),
        publish: Arc::new(parts.bus.clone()),
        flush: Arc::new(parts.memory.clone()),
        providers,
        system: parts.system.clone(),
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

/// Sweeps again and again. A sweep that the stop falls into is left where it is; the next one continues it.
pub(super) async fn keep_sweeping(janitor: Janitor, stop: watch::Receiver<bool>) {
    let sweeping = async {
        loop {
            janitor.system.sleep(INTERVAL).await;
            // What went wrong is in the log.
            let _report = janitor.sweep(janitor.system.now() + INTERVAL).await;
        }
    };
    tokio::select! {
        () = stopped(stop) => {}
        () = sweeping => {}
    }
}
