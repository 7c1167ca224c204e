//! One boot in a network, and what can be said about it afterwards.

use std::net::IpAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::capture::Capture;
use super::network::Network;
use crate::check::runner::{Feed, Output, without_settings};

/// How a boot went.
#[derive(Debug)]
pub struct Outcome {
    /// Streams and exit code.
    pub output: Output,
    /// The object of `--report=json`; null where none came.
    pub report: Value,
    /// All frames of the machine; none without [`Network::boot`].
    pub capture: Capture,
}

impl Network {
    /// Boots the default image behind `tap0` with these arguments and looks at the wire.
    pub fn boot(&self, arguments: &[&str]) -> Result<Outcome> {
        let pcap = self.directory().join("frames.pcap");
        let mut outcome = self.run(&["--pcap", &pcap.display().to_string()], arguments)?;
        outcome.capture = Capture::read(&pcap)?;
        Ok(outcome)
    }

    /// Boots it behind `tap0` with these run options and arguments: without a capture QEMU hands over whole trains of segments.
    pub fn run(&self, options: &[&str], arguments: &[&str]) -> Result<Outcome> {
        self.run_on("tap0", options, arguments)
    }

    /// The same behind another interface.
    pub fn run_on(&self, tap: &str, options: &[&str], arguments: &[&str]) -> Result<Outcome> {
        let this = std::env::current_exe().context("where this program is")?;
        let mut command = self.command(this);
        without_settings(&mut command);
        command.args([crate::RUN_BUILT, "--target=qemu", "--kill-after=60s"]);
        command
            .arg(format!("--net=tap={tap}"))
            .args(options)
            .arg("--")
            .args(arguments)
            .arg("--report=json");
        command.stdin(Stdio::null());
        let output = Output::of(command, Feed::Nothing)?;
        let report = output.stderr.lines().rev().find(|line| line.starts_with('{'));
        let report = report.map(serde_json::from_str).transpose().context("a malformed report")?;
        Ok(Outcome { output, report: report.unwrap_or_default(), capture: Capture::default() })
    }
}

impl Outcome {
    /// Whether it ended with this exit code.
    pub fn exits(&self, code: i32) -> Result<&Self> {
        let exit = self.output.exit;
        ensure!(exit == Some(code), "expected exit {code}, got {exit:?}{}", self.said());
        Ok(self)
    }

    /// Whether it got the page of [`Network::web`] from the server at `address`.
    pub fn reached(&self, address: &str) -> Result<&Self> {
        self.exits(0)?;
        let page = String::from_utf8_lossy(&self.output.stdout);
        ensure!(page == format!("{address}\n"), "reached {}, not {address}{}", page, self.said());
        Ok(self)
    }

    /// Whether standard error has `text` in it.
    pub fn says(&self, text: &str) -> Result<&Self> {
        let is_said = self.messages().any(|line| line.contains(text));
        ensure!(is_said, "standard error lacks `{text}`{}", self.said());
        Ok(self)
    }

    /// Whether the machine tried exactly these addresses at port 80, in this order.
    pub fn tried(&self, addresses: &[&str]) -> Result<&Self> {
        let tried = self.capture.attempts(80).into_iter().map(|(_, address)| address);
        let tried = tried.map(|address| address.to_string()).collect::<Vec<_>>();
        ensure!(tried == addresses, "tried {tried:?}, not {addresses:?}{}", self.said());
        Ok(self)
    }

    /// From the first SYN to port 80 on, until the connection to `address` was open.
    pub fn connect_time(&self, address: &str) -> Result<Duration> {
        let (first, _) = *self.capture.attempts(80).first().context("nothing was tried")?;
        let address: IpAddr = address.parse()?;
        let open = self.capture.connected(address, 80).context("that one is not connected")?;
        Ok(open.saturating_sub(first))
    }

    /// The reports' steps of one kind: subject, whether it went well, what was said, and milliseconds.
    pub fn steps(&self, kind: &str) -> Vec<Step> {
        let steps = self.report["steps"].as_array().map_or(&[][..], Vec::as_slice);
        let of_kind = steps.iter().filter(|step| step["kind"] == kind);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        of_kind
            .map(|step| Step {
                subject: text(&step["subject"]),
                ok: step["ok"] == true,
                text: text(&step["text"]),
            })
            .collect()
    }

    /// Whether the report tells of `subject` and says `text` about it.
    pub fn reports(&self, kind: &str, subject: &str, ok: bool, text: &str) -> Result<&Self> {
        let steps = self.steps(kind);
        let is_it =
            |step: &Step| step.subject == subject && step.ok == ok && step.text.contains(text);
        if !steps.iter().any(is_it) {
            bail!("no step {kind} {subject} with `{text}`: {steps:?}{}", self.said());
        }
        Ok(self)
    }

    /// A time of the report in milliseconds, such as `dns_ms`.
    pub fn milliseconds(&self, name: &str) -> Result<f64> {
        self.report[name]
            .as_f64()
            .with_context(|| format!("the report has no {name}{}", self.said()))
    }

    /// Standard error without the report, as part of a message.
    pub fn said(&self) -> String {
        self.messages().fold(String::new(), |all, line| all + "\n    | " + line)
    }

    fn messages(&self) -> impl Iterator<Item = &str> {
        self.output.stderr.lines().filter(|line| !line.starts_with('{'))
    }
}

/// A step of the report.
#[derive(Debug)]
pub struct Step {
    /// What it is about.
    pub subject: String,
    /// Whether it went well.
    pub ok: bool,
    /// The result or the cause.
    pub text: String,
}
