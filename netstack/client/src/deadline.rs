//! Limits of time around futures.

use core::future::Future;
use core::time::Duration;
use futures_lite::future;
use stack::Net;

/// The future's output, or `None` when `limit` runs out first; the future is then dropped.
pub async fn within<F: Future>(net: &dyn Net, limit: Duration, future: F) -> Option<F::Output> {
    let clock = async {
        net.sleep(limit).await;
        None
    };
    // the future first: an answer that is there when the limit runs out is an answer
    future::or(async { Some(future.await) }, clock).await
}

/// As [`within`]; without a limit the future has all the time that it wants.
pub async fn within_some<F: Future>(
    net: &dyn Net,
    limit: Option<Duration>,
    future: F,
) -> Option<F::Output> {
    match limit {
        Some(limit) => within(net, limit, future).await,
        None => Some(future.await),
    }
}
