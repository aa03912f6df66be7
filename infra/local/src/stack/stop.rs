use tokio::sync::watch;

/// Returns when the stack stops.
pub(super) async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the stack is gone, which is a stop too.
    let _stopping = stop.wait_for(|stopping| *stopping).await;
}
