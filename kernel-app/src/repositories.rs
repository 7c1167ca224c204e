//! Git repositories as the program reaches them: flows of the run's own registry, for a client of git.

use crate::application::{Call, Connector};
use client::Error;
use client::flow::git::Service;
use client::flows::Flows;
use client::git::{self, Context, Opening};
use mimic::BoxFlow;
use proto::git::pack::Limits;
use proto::target::Target;
use spin::Mutex;

/// Opens flows to repositories, for [`client::git::connect`].
pub struct Repositories<'a> {
    connector: &'a dyn Connector,
    #[cfg(feature = "http")]
    web: crate::web::Registry<'a>,
    /// A flow that is there already, and where it leads.
    first: Mutex<Option<(Target, BoxFlow)>>,
}

impl<'a> Repositories<'a> {
    /// Of a [`Call`]'s parts.
    pub fn new(connector: &'a dyn Connector, flows: &'a Flows) -> Self {
        #[cfg(not(feature = "http"))]
        let _ = flows;
        Self {
            connector,
            #[cfg(feature = "http")]
            web: crate::web::Registry::new(connector, flows),
            first: Mutex::new(None),
        }
    }

    /// Uses `flow` for the first connection to `target`, to fetch from it.
    #[must_use]
    pub fn with_flow(self, target: &Target, flow: BoxFlow) -> Self {
        *self.first.lock() = Some((target.clone(), flow));
        self
    }

    fn take(&self, is_it: impl FnOnce(&Target) -> bool) -> Option<BoxFlow> {
        let mut first = self.first.lock();
        first.take_if(|(target, _)| is_it(target)).map(|(_, flow)| flow)
    }
}

impl git::Connector for Repositories<'_> {
    fn open<'a>(&'a self, target: &'a Target, service: Service) -> Opening<'a> {
        match self.take(|known| service == Service::UploadPack && known == target) {
            Some(flow) => Box::pin(async { Ok::<_, Error>(flow) }),
            None => self.connector.repository(target, service),
        }
    }

    #[cfg(feature = "http")]
    fn web(&self) -> &dyn client::http::Connector {
        self
    }
}

#[cfg(feature = "http")]
impl client::http::Connector for Repositories<'_> {
    fn connect<'a>(
        &'a self,
        target: &'a Target,
        protocols: &'a [&'a str],
    ) -> client::http::Opening<'a> {
        match self.take(|known| known.is_same_origin(target)) {
            Some(flow) => Box::pin(async { Ok::<_, Error>(self.web.connected(flow)) }),
            None => client::http::Connector::connect(&self.web, target, protocols),
        }
    }
}

impl Call<'_> {
    /// What an exchange with a repository needs: this run's clock, limits and counters.
    pub fn git_context(&self, target: &Target) -> Context {
        Context {
            net: self.net.clone(),
            idle: self.config.limits.idle,
            trace: self.trace.clone(),
            target: target.to_string(),
            limits: self.memory.map_or_else(Limits::default, Limits::within),
        }
    }
}
