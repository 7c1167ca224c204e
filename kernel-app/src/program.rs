//! The program that the image `default` is: the target's scheme, and `--git`, say what is spoken.

use crate::application::{Application, Call};
use client::messages::{self, Messages};
use client::sink::Input;
use client::{Error, bytes};
use futures_lite::io::Cursor;
use proto::target::Scheme;
#[cfg(feature = "http")]
use {crate::config::Config, proto::target::Target};

/// Git, HTTP, commands, echo requests, messages or plain octets, as was asked and as the scheme says.
pub struct Program;

impl Application for Program {
    #[cfg(feature = "http")]
    fn protocols(&self, config: &Config, target: &Target) -> Vec<String> {
        match target.scheme {
            Scheme::Https => {
                client::http::offer(config.http.version).iter().map(ToString::to_string).collect()
            }
            _ => Vec::new(),
        }
    }

    async fn speak(&self, call: Call<'_>) -> Result<(), Error> {
        match &call.target.scheme {
            #[cfg(feature = "git")]
            _ if call.config.git_action().is_some() => repository(call).await,
            #[cfg(feature = "http")]
            Scheme::Http | Scheme::Https => crate::web::speak(call).await,
            #[cfg(feature = "raw")]
            Scheme::Icmp => echo(call).await,
            #[cfg(feature = "ssh")]
            Scheme::Scp | Scheme::Ssh => execute(call).await,
            Scheme::Udp | Scheme::Raw => exchange_messages(call).await,
            _ => exchange_octets(call).await,
        }
    }
}

#[cfg(feature = "git")]
async fn repository(call: Call<'_>) -> Result<(), Error> {
    use client::git::{self, command};
    let context = call.git_context(call.target);
    let Call { flow, target, config, connector, flows, stdout, stderr, .. } = call;
    let mut progress = |line: &str| {
        // as git says it; a reader of it that has gone is no reason to stop
        let _ = stderr.write_all(format!("remote: {line}\n").as_bytes());
    };
    let progress = config.run.progress.then_some(&mut progress as &mut dyn FnMut(&str));
    let connector = crate::Repositories::new(connector, flows).with_flow(target, flow);
    let repository = git::connect(&connector, target, &config.http, context).await?;
    command::run(repository, &config.git, stdout, progress).await
}

#[cfg(feature = "raw")]
async fn echo(call: Call<'_>) -> Result<(), Error> {
    use client::{Cause, Stage, error::no_entropy, ping};
    let failed = |cause| Error { stage: Stage::Exchange, target: call.target.to_string(), cause };
    let mut identifier = [0; 2];
    getrandom::fill(&mut identifier).map_err(|_| failed(Cause::Unable(no_entropy())))?;
    let options = ping::Options {
        count: call.config.bytes.count,
        wait: call.config.bytes.wait,
        identifier: u16::from_ne_bytes(identifier),
    };
    let flow = call
        .flows
        .raw
        .handle
        .downcast(call.flow)
        .map_err(|flow| failed(Cause::NoFlow(format!("{flow} carries no echo requests"))))?;
    ping::ping(call.net, flow, &options, call.stdout, call.trace).await
}

#[cfg(feature = "ssh")]
async fn execute(call: Call<'_>) -> Result<(), Error> {
    use client::{Cause, Stage};
    let input = input(&call.config.bytes.send, call.stdin);
    let idle = call.config.limits.idle;
    let flow = call.flows.ssh.handle.downcast(call.flow).map_err(|flow| Error {
        stage: Stage::Exchange,
        target: call.target.to_string(),
        cause: Cause::NoFlow(format!("{flow} runs no commands")),
    })?;
    client::exec::exchange(call.net, flow, input, (call.stdout, call.stderr), idle, call.trace)
        .await
}

async fn exchange_messages(call: Call<'_>) -> Result<(), Error> {
    let said = &call.config.bytes;
    let messages = match &said.send {
        Some(octets) => Messages::One(octets.clone()),
        None => Messages::Lines(call.stdin),
    };
    messages::exchange(call.net, call.flow, messages, call.stdout, said.wait, call.trace).await
}

async fn exchange_octets(call: Call<'_>) -> Result<(), Error> {
    let input = input(&call.config.bytes.send, call.stdin);
    let idle = call.config.limits.idle;
    bytes::exchange(call.net, call.flow, input, call.stdout, idle, call.trace).await
}

/// What was given to be sent, or standard input.
fn input(send: &Option<Vec<u8>>, stdin: Input) -> Input {
    match send {
        Some(octets) => Box::new(Cursor::new(octets.clone())),
        None => stdin,
    }
}
