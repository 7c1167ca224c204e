//! Smart HTTP (gitprotocol-http(5)): each message of ours is a request, and its answer's content is read until the next.

use super::packets::{Context, Step, Transport};
use crate::error::{Cause, Error};
use crate::http::{self, Body, Client, Payload, Request, Response};
use crate::options::Http as Options;
use ::http::header::{self, HeaderName, HeaderValue};
use ::http::{Method, StatusCode};
use bytes::Bytes;
use proto::git::advertisement::{Service, version_parameter};
use proto::target::Target;

/// A repository behind a web server.
pub struct Http<'c> {
    client: Client<'c>,
    /// Where the repository is, and what every request says besides its own: the user's fields, and credentials where they belong.
    pattern: Request,
    service: Service,
    /// The answer that is being read, and what of it was not taken yet.
    body: Body,
    rest: Bytes,
    /// What was said since then, to be sent when an answer is asked for.
    said: Vec<u8>,
}

/// What the URI of a repository's first words ends with.
const INFO: &str = "/info/refs";
/// Octets that are read of an answer that refuses.
const SHOWN: u64 = 4096;
/// Octets behind what was wanted of an answer that are read, so that its connection serves again.
const REST: u64 = 64 * 1024;
const GIT_PROTOCOL: HeaderName = HeaderName::from_static("git-protocol");

impl<'c> Http<'c> {
    /// Asks for the repository's first words. Redirects are followed here, and where they lead the repository is.
    ///
    /// # Errors
    /// The server refuses ([`Cause::Refused`]), has no such repository, or none of this protocol.
    pub async fn open(
        client: Client<'c>,
        target: &Target,
        options: &Options,
        service: Service,
        context: &Context,
    ) -> Result<Self, Error> {
        let fail = |cause| context.fail(cause);
        let mut first = target.clone();
        first.path = format!("{}{INFO}", target.path.trim_end_matches('/'));
        first.query = Some(format!("service={}", service.name()));
        let bare = Options {
            method: None,
            data: None,
            include: false,
            compressed: false,
            ..options.clone()
        };
        let request = http::prepare(&first, &bare, Box::new(futures_lite::io::empty()));
        let mut pattern = request.map_err(|error| fail(Cause::Argument(error.to_string())))?;
        if let Some(version) = version_parameter(service) {
            pattern.headers.insert(GIT_PROTOCOL, HeaderValue::from_static(version));
        }
        let (net, rules, trace) = (&context.net, &options.redirects, &context.trace);
        let followed = http::follow(net, &client, &mut pattern, rules, None, trace);
        let body = checked(followed.await?, service, "advertisement").await.map_err(fail)?;
        let place = pattern.target.path.strip_suffix(INFO).map(str::to_owned);
        pattern.target.path = place.ok_or_else(|| {
            let text = format!("the redirect to {} leads to no repository", pattern.target);
            fail(Cause::Protocol(text))
        })?;
        pattern.target.query = None;
        Ok(Self { client, pattern, service, body, rest: Bytes::new(), said: Vec::new() })
    }

    /// Sends what was said.
    async fn post(&mut self) -> Result<(), Cause> {
        drop(self.body.collect(REST).await);
        let mut target = self.pattern.target.clone();
        target.path = format!("{}/{}", target.path, self.service.name());
        let mut request = Request::new(Method::POST, target);
        request.headers = self.pattern.headers.clone();
        let kind = format!("application/x-{}-", self.service.name());
        let value = |kind: String| HeaderValue::try_from(kind).expect("letters and hyphens");
        request.headers.insert(header::CONTENT_TYPE, value(format!("{kind}request")));
        request.headers.insert(header::ACCEPT, value(format!("{kind}result")));
        request.payload = Payload::Memory(core::mem::take(&mut self.said).into());
        let response = self.client.request(&mut request).await.map_err(|error| error.cause)?;
        self.body = checked(response, self.service, "result").await?;
        self.rest = Bytes::new();
        Ok(())
    }
}

/// The content of an answer that has what was asked for.
async fn checked(mut response: Response, service: Service, what: &str) -> Result<Body, Cause> {
    let kind = response.headers.get(header::CONTENT_TYPE).cloned();
    let kind = kind.as_ref().and_then(|kind| kind.to_str().ok()).unwrap_or("nothing");
    let status = response.status;
    if status != StatusCode::OK {
        let text = match response.body.collect(SHOWN).await {
            Ok(text) if kind.starts_with("text/plain") => {
                String::from_utf8_lossy(&text).into_owned()
            }
            _ => String::new(),
        };
        let said = text.lines().next().unwrap_or_default().replace(char::is_control, " ");
        let said = if said.is_empty() { said } else { format!(": {said}") };
        return Err(match status {
            StatusCode::UNAUTHORIZED => Cause::Refused(format!(
                "the server wants other credentials (401; USER:PASSWORD@ in the URI, or -H 'Authorization: …'){said}"
            )),
            StatusCode::FORBIDDEN => Cause::Refused(format!("the server refuses (403){said}")),
            status => Cause::Protocol(format!("the server answered {}{said}", status.as_u16())),
        });
    }
    let expected = format!("application/x-{}-{what}", service.name());
    match kind == expected {
        true => Ok(response.body),
        false => Err(Cause::Malformed(format!(
            "no git repository is there: expected the content type {expected}, got {kind}"
        ))),
    }
}

impl Transport for Http<'_> {
    fn send<'a>(&'a mut self, octets: &'a [u8]) -> Step<'a, ()> {
        self.said.extend_from_slice(octets);
        Box::pin(async { Ok(()) })
    }

    fn receive<'a>(&'a mut self, buf: &'a mut [u8]) -> Step<'a, usize> {
        Box::pin(async move {
            if !self.said.is_empty() {
                self.post().await?;
            }
            while self.rest.is_empty() {
                match self.body.chunk().await.map_err(|error| error.cause)? {
                    Some(octets) => self.rest = octets,
                    None => return Ok(0),
                }
            }
            let len = self.rest.len().min(buf.len());
            buf[..len].copy_from_slice(&self.rest.split_to(len));
            Ok(len)
        })
    }

    fn close(&mut self) -> Step<'_, ()> {
        // what was said last, a flush, is for those who wait for it
        Box::pin(async { Ok(()) })
    }

    fn counts(&self) -> bool {
        true
    }
}
