//! Interfaces as `ip` tells and changes them: those of the network that this process is in, which sysfs need not show.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::failure::Failure;

/// What is known of a tap interface.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The user whose machines it is for; none where everybody's are.
    pub user: Option<String>,
    /// The group whose machines it is for.
    pub group: Option<String>,
    /// Whether a machine has its other end.
    pub is_busy: bool,
    /// The bridge that it is a port of.
    pub bridge: Option<String>,
    /// The addresses on it, `ADDRESS/PREFIX`.
    pub addresses: Vec<String>,
}

impl Link {
    /// The interface of that name, if there is one; a failure where it is no tap interface, which is nothing of ours.
    pub fn of(name: &str) -> Result<Option<Self>> {
        if !exists(name) {
            return Ok(None);
        }
        let text = run(Command::new("ip").args(["-j", "-d", "address", "show", "dev", name]))?;
        Ok(Some(Self::parse(name, &text)?))
    }

    fn parse(name: &str, text: &str) -> Result<Self> {
        let all: Vec<Said> =
            serde_json::from_str(text).context("what ip says is not understood")?;
        // it prints an empty object for each that was not asked for
        let said = all.into_iter().find(|said| said.ifname == name);
        let said = said.with_context(|| format!("ip does not tell of {name}"))?;
        let info = said.linkinfo;
        if info.info_kind != "tun" || info.info_data["type"] != "tap" {
            let cause = format!("{name} is no tap interface: scripts/tap leaves it as it is");
            return Err(Failure::usage(cause).into());
        }
        // a name where there is one, else the number
        let who = |key: &str| match &info.info_data[key] {
            Value::Null => None,
            Value::String(name) => Some(name.clone()),
            number => Some(number.to_string()),
        };
        Ok(Self {
            user: who("user"),
            group: who("group"),
            is_busy: said.flags.iter().any(|flag| flag == "LOWER_UP"),
            bridge: said.master,
            addresses: said.addr_info.iter().map(Address::text).collect(),
        })
    }
}

/// What `ip -j -d address` prints, as far as it is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    ifname: String,
    flags: Vec<String>,
    master: Option<String>,
    linkinfo: Info,
    addr_info: Vec<Address>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Info {
    info_kind: String,
    info_data: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Address {
    local: String,
    prefixlen: u8,
}

impl Address {
    fn text(&self) -> String {
        format!("{}/{}", self.local, self.prefixlen)
    }
}

/// Whether there is an interface of that name. Sysfs shows the network of whoever mounted it, procfs that of
/// this process.
pub fn exists(name: &str) -> bool {
    let known = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    known.lines().any(|line| line.trim_start().starts_with(&format!("{name}:")))
}

/// What a command prints; a failure says what it said.
pub fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output =
        output.with_context(|| format!("there is no {program}: install {}", of(&program)))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let words = command.get_args().map(|word| word.to_string_lossy()).collect::<Vec<_>>();
    ensure!(output.status.success(), "{program} {}: {}", words.join(" "), said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The package of Debian's that a program is in.
fn of(program: &str) -> &str {
    match program {
        "dnsmasq" => "dnsmasq-base",
        "ip" => "iproute2",
        "nft" => "nftables",
        "id" => "coreutils",
        other => other,
    }
}

/// `ip` with these words.
pub fn ip(words: &[&str]) -> Result<()> {
    run(Command::new("ip").args(words)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ip_says_of_a_tap_is_read() {
        let text = r#"[{},{"ifname":"t0","flags":["BROADCAST","UP","LOWER_UP"],"master":"b0","group":"default",
            "linkinfo":{"info_kind":"tun","info_data":{"type":"tap","persist":true,"user":"me","group":5}},
            "addr_info":[{"family":"inet","local":"10.0.0.1","prefixlen":24,"scope":"global"}]}]"#;
        let expected = Link {
            user: Some("me".into()),
            group: Some("5".into()),
            is_busy: true,
            bridge: Some("b0".into()),
            addresses: vec!["10.0.0.1/24".into()],
        };
        assert_eq!(Link::parse("t0", text).unwrap(), expected);
        let text = r#"[{"ifname":"t0","flags":["NO-CARRIER","UP"],
            "linkinfo":{"info_kind":"tun","info_data":{"type":"tap"}},"addr_info":[]}]"#;
        assert_eq!(Link::parse("t0", text).unwrap(), Link::default());
    }

    #[test]
    fn what_is_no_tap_is_nothing_of_ours() {
        for info in [
            "",
            r#","linkinfo":{"info_kind":"bridge","info_data":{"forward_delay":1500}}"#,
            r#","linkinfo":{"info_kind":"veth"}"#,
            r#","linkinfo":{"info_kind":"tun","info_data":{"type":"tun"}}"#,
        ] {
            let text = format!(r#"[{{"ifname":"eth0","flags":["UP"]{info}}}]"#);
            let failure = Link::parse("eth0", &text).unwrap_err();
            assert!(failure.to_string().contains("eth0 is no tap interface"), "{info}: {failure}");
            assert!(failure.is::<Failure>());
        }
        assert!(Link::of("nosuchif0").unwrap().is_none());
    }
}
