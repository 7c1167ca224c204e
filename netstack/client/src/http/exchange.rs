//! One request as the boot arguments say it, its redirects followed, its answer written out.

use super::client::Client;
use super::head;
use super::request::{self, Invalid, OF_CONTENT, OF_ORIGIN, Request};
use super::response::Response;
use super::upload::Payload;
use crate::deadline::within;
use crate::error::{Cause, Error, Stage};
use crate::options::{Data, Http};
use crate::sink::{self, Input, Output};
use crate::trace::{Step, Trace};
use core::time::Duration;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use proto::redirect::{Rules, Trail};
use proto::target::Target;
use stack::Net;
use std::sync::Arc;

/// What the server can send encoded, in our order of preference.
const CODINGS: HeaderValue = HeaderValue::from_static("gzip, deflate, br, zstd");
/// Octets of a redirect's own content that are read, so that its connection serves again …
const REDIRECT_CONTENT: u64 = 64 * 1024;
/// … and for how long.
const REDIRECT_PATIENCE: Duration = Duration::from_secs(1);

/// The request that `options` ask of `target`.
///
/// # Errors
/// What cannot stand in a request.
pub fn prepare(target: &Target, options: &Http, stdin: Input) -> Result<Request, Invalid> {
    let method = match &options.method {
        Some(name) => request::method(name)?,
        None if options.data.is_some() => Method::POST,
        None => Method::GET,
    };
    let mut request = Request::new(method, target.clone());
    if let Some(data) = &options.data {
        request.payload = match data {
            Data::Text(text) => Payload::from(text.clone()),
            Data::Input => Payload::Stream(stdin),
        };
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers.insert(header::CONTENT_TYPE, form);
    }
    if options.compressed {
        request.headers.insert(header::ACCEPT_ENCODING, CODINGS);
    }
    let mut given = HeaderMap::new();
    for (name, value) in &options.headers {
        let (name, value) = request::field(name, value)?;
        // as curl does: `Name:` takes away what we would say ourselves
        match value.is_empty() {
            true if name == header::EXPECT => request.expects = false,
            true => drop(request.headers.remove(&name)),
            false => drop(given.append(name, value)),
        }
    }
    request.headers.extend(given);
    request.keeps_head = options.include;
    Ok(request)
}

/// Sends the request, follows where the answer leads, and writes the last answer's content out.
///
/// # Errors
/// No answer, one that makes no sense, or a way that is not gone.
pub async fn exchange(
    net: &Arc<dyn Net>,
    client: Client<'_>,
    mut request: Request,
    options: &Http,
    output: &mut Output,
    trace: &Trace,
) -> Result<(), Error> {
    let heads = options.include.then_some(&mut *output);
    let followed = follow(net, &client, &mut request, &options.redirects, heads, trace).await;
    let response = followed?;
    if options.include && !(options.fail && is_failure(response.status)) {
        sink::write(output, &response.head).await?;
    }
    let written = write(response, &request.target, options, output).await;
    client.close().await;
    written
}

/// Sends the request, and what its answer leads to in its place, until an answer leads nowhere: `request` is then what was asked
/// for last. Heads of redirects are written to `heads`.
///
/// # Errors
/// No answer, or a way that is not gone by the rules.
pub async fn follow(
    net: &Arc<dyn Net>,
    client: &Client<'_>,
    request: &mut Request,
    rules: &Rules,
    mut heads: Option<&mut Output>,
    trace: &Trace,
) -> Result<Response, Error> {
    let home = request.headers.clone();
    let first = request.target.clone();
    let mut trail = Trail::new(request.method.as_str(), &request.target, rules.clone());
    loop {
        let start = net.now();
        let mut response = client.request(request).await?;
        let location = response.headers.get(header::LOCATION).map(HeaderValue::as_bytes);
        let fail = |cause| failed(&request.target, cause);
        let hop = trail
            .follow(response.status.as_u16(), location)
            .map_err(|error| fail(Cause::Protocol(error.to_string())));
        if matches!(hop, Ok(None)) {
            return Ok(response);
        }
        if let Some(output) = &mut heads {
            sink::write(output, &response.head).await?;
        }
        let Some(hop) = hop? else { return Ok(response) };
        if hop.keeps_content && matches!(request.payload, Payload::Spent) {
            let text = format!(
                "the redirect to {} wants the content again, which came from standard input",
                hop.target
            );
            return Err(fail(Cause::Protocol(text)));
        }
        trace.push(Step {
            kind: "redirect",
            subject: response.status.as_u16().to_string(),
            start,
            end: net.now(),
            outcome: Ok(format!("{} → {}", request.target, hop.target)),
        });
        // a large content, or one that does not come, is not worth a connection
        within(&**net, REDIRECT_PATIENCE, response.body.collect(REDIRECT_CONTENT)).await;
        drop(response);
        request.headers = home.clone();
        if !hop.is_at_home {
            OF_ORIGIN.iter().for_each(|name| drop(request.headers.remove(name)));
        }
        if !hop.keeps_content {
            request.payload = Payload::Empty;
        }
        if matches!(request.payload, Payload::Empty) {
            OF_CONTENT.iter().for_each(|name| drop(request.headers.remove(name)));
        }
        request.method = request::method(&hop.method).expect("it came from a request, or is GET");
        request.target = hop.target;
        if hop.is_at_home {
            request.target.user = first.user.clone();
            request.target.password = first.password.clone();
        }
    }
}

async fn write(
    mut response: Response,
    target: &Target,
    options: &Http,
    output: &mut Output,
) -> Result<(), Error> {
    if options.fail && is_failure(response.status) {
        return Err(failed(target, Cause::Status(response.status.as_u16())));
    }
    #[cfg(feature = "compression")]
    if options.compressed {
        response.body.decode(&response.headers)?;
    }
    if let Some(most) = options.max_size {
        response.body.limit(most)?;
    }
    response.body.expect();
    while let Some(octets) = response.body.chunk().await? {
        sink::write(output, &octets).await?;
    }
    if options.include && !response.body.trailers().is_empty() {
        let mut lines = Vec::new();
        head::fields(&mut lines, response.body.trailers());
        sink::write(output, &lines).await?;
    }
    sink::flush(output).await
}

fn is_failure(status: StatusCode) -> bool {
    status.as_u16() >= 400
}

fn failed(target: &Target, cause: Cause) -> Error {
    Error { stage: Stage::Exchange, target: target.to_string(), cause }
}
