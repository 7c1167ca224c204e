//! The flow that another one runs over, opened when it is needed.

use crate::error::Error;
use crate::flow::tcp;
use mimic::{BoxFlow, Handle, Protocol as _};
use stack::BoxFuture;
use std::sync::Arc;

/// Opens the flow below.
pub type Lower = Arc<dyn Fn() -> BoxFuture<'static, Result<BoxFlow, Error>> + Send + Sync>;

/// TCP to an endpoint.
pub(crate) fn over_tcp(handle: Handle<tcp::Tcp>, endpoint: Arc<tcp::Endpoint>) -> Lower {
    Arc::new(move || {
        let (handle, endpoint) = (handle.clone(), endpoint.clone());
        Box::pin(async move {
            let flow = tcp::Tcp.connect(endpoint).await?;
            Ok::<_, Error>(handle.inject(flow))
        })
    })
}
