//! Tells how far the payload is, to whoever shows it: lines of the crate `progress`.

use client::deadline::within;
use client::sink::Output;
use client::trace::Trace;
use core::pin::Pin;
use core::task::{Context, Waker};
use core::time::Duration;
use futures_io::AsyncWrite as _;
use futures_lite::AsyncWriteExt as _;
use progress::{Event, Pace};
use spin::Mutex;
use stack::{Instant, Net};
use std::sync::Arc;

/// How long the last event may wait for who takes it.
const PATIENCE: Duration = Duration::from_millis(500);

/// Hands events out while the payload flows. None of them is waited for but the last one.
pub struct Teller(Arc<Mutex<Telling>>);

struct Telling {
    pace: Pace,
    /// Where the lines go; none where nobody looks, and after the end.
    output: Option<Output>,
}

impl Teller {
    /// Tells `output`, if there is one.
    pub fn new(output: Option<Output>) -> Self {
        Self(Arc::new(Mutex::new(Telling { pace: Pace::default(), output })))
    }

    /// Tells of every payload that `trace` sees.
    pub fn watch(&self, trace: &Trace) {
        if self.0.lock().output.is_none() {
            return;
        }
        let telling = self.0.clone();
        trace.watch(Box::new(move |now, payload| {
            let Telling { pace, output } = &mut *telling.lock();
            let event = pace.handle_octets(now - Instant::ZERO, payload.octets, payload.total);
            if let (Some(event), Some(output)) = (event, output) {
                let mut context = Context::from_waker(Waker::noop());
                // what finds no room, or nobody there, is left out
                let _ = Pin::new(output).poll_write(&mut context, &line(event));
            }
        }));
    }

    /// Tells that nothing more comes; later calls do nothing.
    pub async fn end(&self, net: &dyn Net) {
        let (event, output) = {
            let mut telling = self.0.lock();
            (telling.pace.end(), telling.output.take())
        };
        let (Some(event), Some(mut output)) = (event, output) else { return };
        let told = async {
            output.write_all(&line(event)).await?;
            output.flush().await
        };
        match within(net, PATIENCE, told).await {
            Some(Ok(())) => {}
            Some(Err(error)) => log::debug!("nobody shows the progress: {error}"),
            None => log::debug!("nobody shows the progress within {PATIENCE:?}"),
        }
    }
}

fn line(event: Event) -> Vec<u8> {
    format!("{event}\n").into_bytes()
}
