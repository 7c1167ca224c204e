//! The one table of boot arguments: group, name, value's form, default, help, and what each sets.

use super::argument::{Argument, Group, flag, many, one, secret};
use crate::config::{Config, Network, Output};
use client::features;
use client::options::{Data, GitAction, HttpVersion, Secret};
use core::str::FromStr;
use core::time::Duration;
use happy_eyeballs::Family;
use log::LevelFilter;
use proto::credential::{self, PrivateKey};
use proto::dns::{Kind, Question, Server, Transport};
use proto::quantity;
use proto::target::{Scheme, Target};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Every argument, grouped in the order of the groups.
pub const ARGUMENTS: &[Argument] = &[
    one(
        Group::Network,
        "ipv4",
        "ADDRESS/PREFIX",
        "from DHCP",
        "the machine's IPv4 address",
        |c, v| {
            c.network.ipv4 = Some(interface(v, 32)?);
            Ok(())
        },
    ),
    one(Group::Network, "ipv4-gateway", "IP", "", "the default router beside --ipv4", |c, v| {
        store(&mut c.network.ipv4_gateway, v, parsed::<Ipv4Addr>)
    }),
    one(
        Group::Network,
        "dhcp",
        "BOOL",
        "true without --ipv4",
        "ask a DHCP server for an address",
        |c, v| store(&mut c.network.dhcp, v, parsed::<bool>),
    ),
    one(
        Group::Network,
        "ipv6",
        "ADDRESS/PREFIX",
        "from routers",
        "the machine's IPv6 address",
        |c, v| {
            c.network.ipv6 = Some(interface(v, 128)?);
            Ok(())
        },
    ),
    one(Group::Network, "ipv6-gateway", "IP", "", "the default router beside --ipv6", |c, v| {
        store(&mut c.network.ipv6_gateway, v, parsed::<Ipv6Addr>)
    }),
    one(
        Group::Network,
        "accept-router-advertisements",
        "BOOL",
        "true",
        "believe what IPv6 routers say of addresses, routers and name servers",
        |c, v| {
            c.network.accept_router_advertisements = parsed(v)?;
            Ok(())
        },
    ),
    one(Group::Network, "mac", "MAC", "the device's", "the Ethernet address to use", |c, v| {
        store(&mut c.network.mac, v, mac)
    }),
    one(
        Group::Network,
        "mtu",
        "N",
        "the device's",
        "the largest IP packet in octets, 576 to 65535",
        |c, v| {
            let mtu = parsed::<u16>(v)?;
            if mtu < 576 {
                return Err("every IPv4 host takes 576 octets".into());
            }
            c.network.mtu = Some(mtu);
            Ok(())
        },
    ),
    one(Group::Network, "interface", "N", "0", "which network device serves", |c, v| {
        c.network.interface = parsed(v)?;
        Ok(())
    }),
    many(
        Group::Network,
        "networks",
        "NAME,…",
        "further networks on the next devices; each has these arguments too, as --NAME-ipv4=…, behind this one",
        networks,
    ),
    one(Group::Network, "hostname", "NAME", "", "the name told to the DHCP server", |c, v| {
        match v.len() {
            1..=63 => c.network.hostname = Some(v.into()),
            _ => return Err("a name has 1 to 63 characters".into()),
        }
        Ok(())
    }),
    flag(Group::Network, "ipv4-only", "use IPv4 alone", |c| c.network.only = Some(Family::V4)),
    flag(Group::Network, "ipv6-only", "use IPv6 alone", |c| c.network.only = Some(Family::V6)),
    one(
        Group::Dns,
        "dns-servers",
        "udp:IP[:PORT]|tcp:IP[:PORT]|tls:IP[:PORT][!NAME][!AUTHENTICATOR],…",
        "from the network",
        "servers to ask, in order; a name to check and an authenticator as of --tls-authenticator",
        |c, v| {
            c.dns.servers = v.split(',').map(parsed).collect::<Result<Vec<Server>, _>>()?;
            let tls = |server: &Server| matches!(server.transport, Transport::Tls { .. });
            match !features::TLS.included && c.dns.servers.iter().any(tls) {
                true => Err("this image was built without the feature tls".into()),
                false => Ok(()),
            }
        },
    ),
    one(
        Group::Dns,
        "dns-timeout",
        "TIME",
        "5s",
        "how long a question may take, all servers together",
        |c, v| {
            c.dns.timeout = time(v)?;
            Ok(())
        },
    ),
    one(
        Group::Dns,
        "dns-cache-size",
        "N",
        "256",
        "how many answers are kept, 0 to 65535",
        |c, v| {
            c.dns.cache_size = usize::from(parsed::<u16>(v)?);
            Ok(())
        },
    ),
    many(Group::Dns, "host", "NAME=IP", "a name with a fixed address, asked of nobody", |c, v| {
        let (name, address) = v.split_once('=').ok_or("no `=`")?;
        c.dns.hosts.push((name.to_ascii_lowercase(), parsed(address)?));
        Ok(())
    }),
    many(
        Group::Dns,
        "search",
        "DOMAIN",
        "completes names without a dot, in place of the network's domains",
        |c, v| {
            let domain = Question::new(v, Kind::A).map_err(|error| error.to_string())?;
            c.dns.search.push(domain.name().into());
            Ok(())
        },
    ),
    one(
        Group::Dns,
        "https-records",
        "BOOL",
        "true",
        "let HTTPS records say where https: targets are (RFC 9460)",
        |c, v| {
            c.dns.https_records = parsed(v)?;
            Ok(())
        },
    ),
    one(Group::Limits, "timeout", "TIME", "none", "end the whole run after this", |c, v| {
        store(&mut c.limits.whole, v, time)
    }),
    one(
        Group::Race,
        "he-aaaa-timeout",
        "TIME",
        "50ms",
        "how long an answer of IPv4 waits for IPv6's",
        |c, v| {
            c.race.resolution_delay = time(v)?;
            Ok(())
        },
    ),
    one(Group::Race, "he-connect-delay", "TIME", "250ms", "between two attempts", |c, v| {
        c.race.connection_attempt_delay = time(v)?;
        Ok(())
    }),
    one(Group::Race, "he-connect-timeout", "TIME", "10s", "for all attempts together", |c, v| {
        c.race.connect_timeout = time(v)?;
        Ok(())
    }),
    one(Group::Race, "he-resolve-timeout", "TIME", "1s", "for one try of a query", |c, v| {
        c.race.resolve_timeout = time(v)?;
        Ok(())
    }),
    one(Group::Race, "he-resolve-retries", "N", "3", "how often a query is tried", |c, v| {
        c.race.resolve_tries = parsed(v)?;
        Ok(())
    }),
    one(
        Group::Limits,
        "connect-timeout",
        "TIME",
        "30s",
        "from the start to a connection",
        |c, v| {
            c.limits.connect = time(v)?;
            Ok(())
        },
    ),
    one(
        Group::Limits,
        "handshake-timeout",
        "TIME",
        "10s",
        "for a handshake above the connection",
        |c, v| {
            c.limits.handshake = time(v)?;
            Ok(())
        },
    ),
    one(
        Group::Limits,
        "idle-timeout",
        "TIME",
        "none",
        "between two octets from the peer",
        |c, v| store(&mut c.limits.idle, v, time),
    ),
    many(
        Group::Tls,
        "tls-authenticator",
        "none|key-fp:[HASH:]B64|cert-fp:[HASH:]B64|trust-anchor:B64DER[:…]",
        "how the peer is known, in place of the bundled roots",
        |c, v| {
            c.tls.authenticators.push(parsed(v)?);
            Ok(())
        },
    ),
    one(
        Group::Tls,
        "tls-name",
        "NAME",
        "the target's host",
        "the name to ask for and to check",
        |c, v| {
            c.tls.name = Some(v.into());
            Ok(())
        },
    ),
    one(Group::Tls, "tls-min", "1.2|1.3", "1.2", "the oldest version of TLS to speak", |c, v| {
        c.tls.only_1_3 = match v {
            "1.2" => false,
            "1.3" => true,
            _ => return Err("neither 1.2 nor 1.3".into()),
        };
        Ok(())
    }),
    one(
        Group::Tls,
        "alpn",
        "PROTOCOL,…",
        "what the client speaks",
        "application protocols to offer",
        |c, v| {
            c.tls.alpn = v.split(',').map(Into::into).collect();
            match c.tls.alpn.iter().all(|name| (1..=255).contains(&name.len())) {
                true => Ok(()),
                false => Err("a protocol's name has 1 to 255 octets".into()),
            }
        },
    ),
    one(
        Group::Tls,
        "client-cert",
        "B64DER[:B64DER…]|PEM",
        "",
        "what we show a server that asks who we are: our certificate, then those that lead to its authority",
        |c, v| {
            c.tls.certificates = credential::certificates(v).map_err(|error| error.to_string())?;
            Ok(())
        },
    ),
    Argument {
        secret: true,
        ..one(
            Group::Tls,
            "client-key",
            "B64DER|PEM, not encrypted",
            "",
            "the certificate's private key: PKCS #8, SEC 1 or PKCS #1",
            |c, v| {
                store(&mut c.tls.key, v, |text| {
                    PrivateKey::parse(text).map_err(|error| error.to_string())
                })
            },
        )
    },
    Argument {
        short: Some('X'),
        ..one(
            Group::Http,
            "request",
            "METHOD",
            "GET, with -d POST",
            "the request's method",
            |c, v| {
                c.http.method = Some(method(v)?);
                Ok(())
            },
        )
    },
    Argument {
        short: Some('H'),
        secret: true,
        ..many(Group::Http, "header", "NAME:VALUE", "a field of the request", |c, v| {
            let (name, value) = v.split_once(':').ok_or("no `:`")?;
            c.http.headers.push(field(name.trim(), value.trim())?);
            Ok(())
        })
    },
    Argument {
        short: Some('d'),
        secret: true,
        ..one(
            Group::Http,
            "data",
            "DATA|@-",
            "",
            "the request's content; @-: standard input, as it comes",
            |c, v| {
                c.http.data = Some(match v.strip_prefix('@') {
                    Some("-") => Data::Input,
                    Some(_) => return Err("@- alone names a source".into()),
                    None => Data::Text(v.into()),
                });
                Ok(())
            },
        )
    },
    flag(
        Group::Http,
        "fail",
        "a status of 400 or more ends with exit code 22 and prints nothing",
        |c| {
            c.http.fail = true;
        },
    ),
    Argument {
        short: Some('i'),
        ..flag(Group::Http, "include", "print the status line and the fields too", |c| {
            c.http.include = true
        })
    },
    one(
        Group::Http,
        "http",
        "1.1|2",
        "what the server prefers; 1.1 without TLS",
        "the version to speak",
        |c, v| {
            c.http.version = Some(match v {
                "1.1" => HttpVersion::Http1,
                "2" => HttpVersion::Http2,
                _ => return Err("neither 1.1 nor 2".into()),
            });
            Ok(())
        },
    ),
    Argument {
        secret: true,
        ..one(
            Group::Http,
            "proxy",
            "http[s]://[USER:PASSWORD@]HOST:PORT",
            "",
            "tunnel everything over TCP through this HTTP proxy",
            |c, v| {
                let target: Target = parsed(v)?;
                if !matches!(target.scheme, Scheme::Http | Scheme::Https) {
                    return Err("a proxy is http:// or https://".into());
                }
                c.proxy = Some(target);
                Ok(())
            },
        )
    },
    many(
        Group::Http,
        "proxy-authenticator",
        "none|key-fp:…|cert-fp:…|trust-anchor:…",
        "as --tls-authenticator, which is the target's alone: how an https:// proxy is known",
        |c, v| {
            c.proxy_authenticators.push(parsed(v)?);
            Ok(())
        },
    ),
    one(
        Group::Http,
        "max-redirects",
        "N",
        "5",
        "how many redirects to follow; 0: the redirect is the answer",
        |c, v| {
            c.http.redirects.most = parsed(v)?;
            Ok(())
        },
    ),
    flag(Group::Http, "allow-downgrade", "follow redirects from https to http", |c| {
        c.http.redirects.downgrade = true
    }),
    Argument {
        needs: Some(features::COMPRESSION),
        ..flag(
            Group::Http,
            "compressed",
            "ask for a compressed content (gzip, deflate, br, zstd), print it as it was",
            |c| c.http.compressed = true,
        )
    },
    one(
        Group::Http,
        "max-size",
        "SIZE",
        "none",
        "the most octets of content to take, such as 64K or 16M",
        |c, v| {
            store(&mut c.http.max_size, v, |v| quantity::size(v).map_err(|error| error.to_string()))
        },
    ),
    many(
        Group::Ssh,
        "ssh-authenticator",
        "SHA256:B64|ed25519:B64|ecdsa:B64|rsa:B64|KNOWN_HOSTS_LINE|none",
        "how the host key is known; without one no server is believed, with none every one",
        |c, v| {
            c.ssh.authenticators.push(v.into());
            Ok(())
        },
    ),
    secret(
        "ssh-key",
        "FILE_TEXT|ed25519:B64|rsa:B64DER",
        "the user's private key: the text of an OpenSSH key file (by --secret), a seed or DER",
        |c, v| {
            c.ssh.key = Some(Secret(v.into()));
            Ok(())
        },
    ),
    secret("ssh-passphrase", "TEXT", "what --ssh-key is encrypted with", |c, v| {
        c.ssh.passphrase = Some(Secret(v.into()));
        Ok(())
    }),
    secret(
        "ssh-password",
        "TEXT",
        "the user's password, also the answer to a hidden question of the server",
        |c, v| {
            c.ssh.password = Some(Secret(v.into()));
            Ok(())
        },
    ),
    one(Group::Ssh, "exec", "COMMAND", "", "what to run at the server", |c, v| {
        c.ssh.exec = Some(v.into());
        Ok(())
    }),
    one(Group::Bytes, "send", "TEXT", "standard input", "what to send", |c, v| {
        c.bytes.send = Some(v.as_bytes().to_vec());
        Ok(())
    }),
    one(Group::Bytes, "send-hex", "HEX", "", "what to send, in hexadecimal", |c, v| {
        c.bytes.send = Some(quantity::hex(v).map_err(|error| error.to_string())?);
        Ok(())
    }),
    one(
        Group::Git,
        "git",
        "ls-remote|clone|archive|cat",
        "ls-remote for git:// and USER@HOST:PATH",
        "what is done at the repository: list its references, fetch it into memory, print a tree as tar, print a file",
        |c, v| {
            c.git.action = Some(match v {
                "archive" => GitAction::Archive,
                "cat" => GitAction::Cat,
                "clone" => GitAction::Clone,
                "ls-remote" => GitAction::LsRemote,
                _ => return Err("not known".into()),
            });
            Ok(())
        },
    ),
    one(
        Group::Git,
        "ref",
        "NAME",
        "all, or HEAD where one is meant",
        "a branch, a tag, any reference, or an object",
        |c, v| match v.is_empty() || v.contains(|c: char| c.is_control() || c == ' ') {
            true => Err("no name of a reference".into()),
            false => {
                c.git.reference = Some(v.into());
                Ok(())
            }
        },
    ),
    one(
        Group::Git,
        "depth",
        "N",
        "all for a clone, else 1",
        "how many commits to fetch, counted from the tip",
        |c, v| {
            c.git.depth = Some(parsed::<core::num::NonZeroU32>(v)?.get());
            Ok(())
        },
    ),
    one(
        Group::Git,
        "path",
        "PATH",
        "",
        "the file to print, or the part of the tree to archive",
        |c, v| {
            c.git.path = Some(v.into());
            Ok(())
        },
    ),
    one(
        Group::Bytes,
        "wait",
        "TIME",
        "2s",
        "how long to wait for answers that nothing ends",
        |c, v| {
            c.bytes.wait = time(v)?;
            Ok(())
        },
    ),
    one(
        Group::Bytes,
        "count",
        "N",
        "4",
        "how many echo requests, 1 to 65535",
        |c, v| match parsed(v)? {
            0 => Err("at least one".into()),
            count => {
                c.bytes.count = count;
                Ok(())
            }
        },
    ),
    Argument {
        short: Some('l'),
        ..one(
            Group::Run,
            "logs",
            "LEVEL|*:LEVEL,SOURCE:LEVEL",
            "warn",
            "what is logged: off, error, warn, info, debug, trace",
            logs,
        )
    },
    one(Group::Run, "delay", "TIME", "0", "wait before the start", |c, v| {
        c.run.delay = time(v)?;
        Ok(())
    }),
    one(
        Group::Run,
        "time",
        "SECONDS",
        "the machine's clock",
        "the time of day at the start, since 1970 (date +%s), for a machine without a clock",
        |c, v| {
            c.run.time = Some(Duration::from_secs(parsed(v)?));
            Ok(())
        },
    ),
    flag(Group::Run, "explain", "print how the flow was found", |c| c.run.explain = true),
    flag(Group::Run, "check", "parse, plan and print; connect to nothing", |c| c.run.check = true),
    one(
        Group::Run,
        "report",
        "json",
        "",
        "print the whole run as one JSON object at the end",
        |c, v| match v {
            "json" => {
                c.run.report_json = true;
                Ok(())
            }
            _ => Err("json is the one form".into()),
        },
    ),
    one(
        Group::Run,
        "progress",
        "BOOL",
        "true",
        "how far it is, on standard error: a bar on a terminal, what a repository's server says",
        |c, v| {
            c.run.progress = parsed(v)?;
            Ok(())
        },
    ),
    one(
        Group::Run,
        "output",
        "stdout|discard",
        "stdout",
        "where the payload goes; discard prints its size and SHA-256",
        |c, v| {
            c.run.output = match v {
                "stdout" => Output::Stdout,
                "discard" => Output::Discard,
                _ => return Err("neither stdout nor discard".into()),
            };
            Ok(())
        },
    ),
    Argument { short: Some('h'), ..flag(Group::Run, "help", "print this", |c| c.run.help = true) },
    flag(Group::Run, "version", "print the version", |c| c.run.version = true),
];

fn parsed<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn store<T>(
    slot: &mut Option<T>,
    text: &str,
    read: fn(&str) -> Result<T, String>,
) -> Result<(), String> {
    *slot = Some(read(text)?);
    Ok(())
}

fn networks(config: &mut Config, text: &str) -> Result<(), String> {
    const MAX_LENGTH: usize = 32;
    for name in text.split(',') {
        let octets = || name.bytes();
        if !octets()
            .all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-')
            || !octets().next().is_some_and(|octet| octet.is_ascii_lowercase())
            || name.ends_with('-')
            || name.len() > MAX_LENGTH
        {
            return Err(format!("`{name}` is no name: a letter, then letters, digits and dashes"));
        }
        let known = |name: &str| config.networks.iter().any(|(known, _)| known == name);
        let taken = |new: String| {
            let of_networks = config.networks.iter().any(|(network, _)| {
                of_each_network().any(|argument| argument.name_of(Some(network)) == new)
            });
            of_networks || ARGUMENTS.iter().any(|argument| argument.name == new)
        };
        if known(name) || of_each_network().any(|argument| taken(argument.name_of(Some(name)))) {
            return Err(format!("there are arguments of the name `{name}` already"));
        }
        config.networks.push((name.into(), Network::default()));
    }
    Ok(())
}

/// The arguments that every network has.
pub fn of_each_network() -> impl Iterator<Item = &'static Argument> {
    ARGUMENTS.iter().filter(|argument| argument.is_of_each_network())
}

/// An address and the length of its network's prefix, at most `bits`.
fn interface<T: FromStr<Err: ToString>>(text: &str, bits: u8) -> Result<(T, u8), String> {
    let (address, prefix) = text.split_once('/').ok_or("no prefix length")?;
    let prefix = parsed::<u8>(prefix)?;
    if prefix > bits {
        return Err(format!("a prefix has at most {bits} bits"));
    }
    Ok((parsed(address)?, prefix))
}

fn time(text: &str) -> Result<Duration, String> {
    quantity::duration(text).map_err(|error| error.to_string())
}

/// What can stand in a request; without the client, nothing is asked.
#[cfg(feature = "http")]
fn method(text: &str) -> Result<String, String> {
    client::http::method(text).map(|_| text.into()).map_err(|error| error.to_string())
}

#[cfg(feature = "http")]
fn field(name: &str, value: &str) -> Result<(String, String), String> {
    let checked = client::http::field(name, value);
    checked.map(|_| (name.into(), value.into())).map_err(|error| error.to_string())
}

#[cfg(not(feature = "http"))]
fn method(text: &str) -> Result<String, String> {
    Ok(text.into())
}

#[cfg(not(feature = "http"))]
fn field(name: &str, value: &str) -> Result<(String, String), String> {
    Ok((name.into(), value.into()))
}

fn mac(text: &str) -> Result<[u8; 6], String> {
    let octets = quantity::hex(text).map_err(|error| error.to_string())?;
    let octets: [u8; 6] = octets.try_into().map_err(|_| "a MAC address has 6 octets")?;
    // IEEE 802: the lowest bit of the first octet marks a group
    if octets[0] & 1 == 1 || octets == [0; 6] {
        return Err("not the address of one station".into());
    }
    Ok(octets)
}

fn logs(config: &mut Config, text: &str) -> Result<(), String> {
    for part in text.split(',') {
        let (source, level) = part.split_once(':').unwrap_or(("*", part));
        let level = LevelFilter::from_str(level).map_err(|_| format!("`{level}` is no level"))?;
        match source {
            "*" => config.run.level = level,
            source => config.run.levels.push((source.into(), level)),
        }
    }
    Ok(())
}
