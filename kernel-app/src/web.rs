//! HTTP as the program speaks it: a client over the run's own registry.

use crate::application::{Call, Connector};
use crate::config::Config;
use client::flows::Flows;
use client::http::{self, Client, Connected, Opening};
use client::trace::Trace;
use client::{Cause, Error, Stage};
use mimic::BoxFlow;
use proto::target::Target;
use stack::Net;
use std::sync::Arc;

/// Asks what the boot arguments say, and prints the answer.
pub async fn speak(call: Call<'_>) -> Result<(), Error> {
    let Call { flow, target, config, net, connector, flows, trace, stdin, stdout, .. } = call;
    let refuse = |text: String| Error {
        stage: Stage::Exchange,
        target: target.to_string(),
        cause: Cause::Argument(text),
    };
    let registry = Registry::new(connector, flows);
    let request =
        http::prepare(target, &config.http, stdin).map_err(|error| refuse(error.to_string()))?;
    let client = registry.client(net, flow, target, config, trace);
    http::exchange(net, client, request, &config.http, stdout, trace).await
}

/// Flows of the run's registry for an HTTP client, with what their handshakes agreed on.
pub struct Registry<'a> {
    connector: &'a dyn Connector,
    flows: &'a Flows,
}

impl<'a> Registry<'a> {
    /// Of a [`Call`]'s parts.
    pub fn new(connector: &'a dyn Connector, flows: &'a Flows) -> Self {
        Self { connector, flows }
    }

    /// A client as the boot arguments want it, with a flow to `target` that is there already.
    pub fn client(
        &self,
        net: &Arc<dyn Net>,
        flow: BoxFlow,
        target: &Target,
        config: &Config,
        trace: &Trace,
    ) -> Client<'_> {
        Client::new(net, self, trace)
            .with_idle_limit(config.limits.idle)
            .with_version(config.http.version)
            .with_flow(target, self.connected(flow))
    }

    /// A flow that is there already, for [`Client::with_flow`].
    #[cfg(feature = "tls")]
    pub fn connected(&self, flow: BoxFlow) -> Connected {
        let tls = self.flows.tls.handle.downcast_ref(&flow);
        let alpn = tls.and_then(|tls| tls.alpn()).map(<[u8]>::to_vec);
        Connected { flow, alpn }
    }

    /// A flow that is there already, for [`Client::with_flow`].
    #[cfg(not(feature = "tls"))]
    pub fn connected(&self, flow: BoxFlow) -> Connected {
        let _ = self.flows;
        Connected { flow, alpn: None }
    }
}

impl http::Connector for Registry<'_> {
    fn connect<'a>(&'a self, target: &'a Target, protocols: &'a [&'a str]) -> Opening<'a> {
        Box::pin(async move {
            let flow = self.connector.open(target, protocols).await?;
            Ok(self.connected(flow))
        })
    }
}
