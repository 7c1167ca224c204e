//! The program that the image `default` is: the target's scheme says what is spoken.

use crate::application::{Application, Call};
use client::error::no_entropy;
use client::messages::{self, Messages};
use client::{Cause, Error, Stage, bytes, http, ping};
use futures_lite::io::Cursor;
use proto::target::Scheme;

/// HTTP, echo requests, messages or plain octets, as the scheme says.
pub struct Program;

impl Application for Program {
    async fn speak(&self, call: Call<'_>) -> Result<(), Error> {
        let Call { flow, target, config, net, flows, trace, stdin, stdout } = call;
        let failed = |cause| Error { stage: Stage::Exchange, target: target.to_string(), cause };
        let (said, limits) = (&config.bytes, &config.limits);
        match (&target.scheme, &said.send) {
            (Scheme::Http | Scheme::Https, _) => {
                let request = http::Request {
                    target: target.clone(),
                    options: config.http.clone(),
                    idle: limits.idle,
                };
                http::exchange(net, flow, &request, stdout, trace).await
            }
            (Scheme::Icmp, _) => {
                let mut identifier = [0; 2];
                getrandom::fill(&mut identifier)
                    .map_err(|_| failed(Cause::Unable(no_entropy())))?;
                let options = ping::Options {
                    count: said.count,
                    wait: said.wait,
                    identifier: u16::from_ne_bytes(identifier),
                };
                let flow = flows.raw.downcast(flow).map_err(|flow| {
                    failed(Cause::NoFlow(format!("{flow} carries no echo requests")))
                })?;
                ping::ping(net, flow, &options, stdout, trace).await
            }
            (Scheme::Udp | Scheme::Raw, Some(octets)) => {
                let message = Messages::One(octets.clone());
                messages::exchange(net, flow, message, stdout, said.wait, trace).await
            }
            (Scheme::Udp | Scheme::Raw, None) => {
                messages::exchange(net, flow, Messages::Lines(stdin), stdout, said.wait, trace)
                    .await
            }
            (_, Some(octets)) => {
                let input = Box::new(Cursor::new(octets.clone()));
                bytes::exchange(net, flow, input, stdout, limits.idle, trace).await
            }
            (_, None) => bytes::exchange(net, flow, stdin, stdout, limits.idle, trace).await,
        }
    }
}
