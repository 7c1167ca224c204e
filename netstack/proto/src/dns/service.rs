//! HTTPS records: where a service is, and what is spoken there (RFC 9460).

use super::answer::text;
use simple_dns::rdata::{SVCB, SVCParam};
use std::net::{Ipv4Addr, Ipv6Addr};

/// So many service bindings of an answer are kept, the ones of the lowest priority number.
pub const MAX_SERVICES: usize = 8;
/// So many hints of a family, and so many protocols, of one binding are kept.
const MAX_PARTS: usize = 8;
/// What HTTPS speaks unless `no-default-alpn` is set (RFC 9460 §9.5).
const DEFAULT_ALPN: &[u8] = b"http/1.1";
/// `mandatory` to `ipv4hint`, and `ipv6hint`: the keys that are understood. `ech` is not.
const UNDERSTOOD: [u16; 6] = [0, 1, 2, 3, 4, 6];

/// One usable record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// SvcPriority, lower first; 0 is AliasMode.
    pub priority: u16,
    /// TargetName; `None`: the name asked for itself.
    pub target: Option<String>,
    /// The port in place of the target's.
    pub port: Option<u16>,
    /// The protocols spoken there, the default one included unless it is excluded; empty in AliasMode.
    pub alpn: Vec<Vec<u8>>,
    /// `ipv4hint`.
    pub ipv4_hints: Vec<Ipv4Addr>,
    /// `ipv6hint`.
    pub ipv6_hints: Vec<Ipv6Addr>,
}

/// `None` where the record must not be used: a key is mandatory and not understood (§8), or it contradicts itself.
pub(super) fn read(binding: &SVCB<'_>) -> Option<Service> {
    let target = match binding.target.get_labels() {
        [] => None,
        _ => Some(text(&binding.target)?),
    };
    let mut service = Service {
        priority: binding.priority,
        target,
        port: None,
        alpn: Vec::new(),
        ipv4_hints: Vec::new(),
        ipv6_hints: Vec::new(),
    };
    if service.priority == 0 {
        // "." says that there is no such service (§2.5.1), parameters mean nothing
        return service.target.is_some().then_some(service);
    }
    let present: Vec<u16> = binding.iter_params().map(SVCParam::key_code).collect();
    let mut has_default = true;
    for parameter in binding.iter_params() {
        match parameter {
            SVCParam::Mandatory(keys) => {
                let fits =
                    |key: &u16| UNDERSTOOD.contains(key) && present.contains(key) && *key != 0;
                if keys.is_empty() || !keys.iter().all(fits) {
                    return None;
                }
            }
            SVCParam::Alpn(names) => {
                let names: Result<Vec<String>, _> =
                    names.iter().take(MAX_PARTS).cloned().map(String::try_from).collect();
                // no protocol that we could speak has octets that are no text
                let names = names.ok()?;
                if names.is_empty() || names.iter().any(String::is_empty) {
                    return None;
                }
                service.alpn = names.into_iter().map(String::into_bytes).collect();
            }
            SVCParam::NoDefaultAlpn => has_default = false,
            SVCParam::Port(0) => return None,
            SVCParam::Port(port) => service.port = Some(*port),
            SVCParam::Ipv4Hint(hints) => {
                let hints = hints.iter().take(MAX_PARTS);
                service.ipv4_hints = hints.map(|&hint| hint.into()).collect();
            }
            SVCParam::Ipv6Hint(hints) => {
                let hints = hints.iter().take(MAX_PARTS);
                service.ipv6_hints = hints.map(|&hint| hint.into()).collect();
            }
            _ => {}
        }
    }
    match has_default {
        true if !service.alpn.iter().any(|name| name == DEFAULT_ALPN) => {
            service.alpn.push(DEFAULT_ALPN.to_vec());
        }
        // §7.1.1: excluding the default and naming no other is a contradiction
        false if service.alpn.is_empty() => return None,
        _ => {}
    }
    Some(service)
}
