//! What no server is asked for, and which names stand for a short one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is known of a name without asking.
#[derive(Debug, PartialEq, Eq)]
pub enum Local {
    /// Its addresses.
    Addresses(Vec<IpAddr>),
    /// That it does not exist (RFC 6761 §6.4).
    NoName,
    /// Nothing: ask.
    Unknown,
}

/// The table first, then the names that RFC 6761 keeps from DNS: `localhost` and what is below it, `invalid` likewise.
/// The table's names are in lower case.
pub fn local(name: &str, table: &[(String, IpAddr)]) -> Local {
    let name = bare(name).to_ascii_lowercase();
    let fixed = table.iter().filter(|(known, _)| bare(known) == name);
    let fixed: Vec<_> = fixed.map(|(_, address)| *address).collect();
    if !fixed.is_empty() {
        return Local::Addresses(fixed);
    }
    match name.rsplit('.').next() {
        Some("localhost") => {
            Local::Addresses(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
        }
        Some("invalid") => Local::NoName,
        _ => Local::Unknown,
    }
}

/// The absolute names to ask for, in order: a name without a dot is completed by each domain before it is taken as it is
/// (the `ndots:1` of resolv.conf(5)); one that ends with a dot is absolute.
pub fn candidates(name: &str, domains: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    if !name.contains('.') {
        names.extend(domains.iter().map(|domain| format!("{name}.{}", bare(domain))));
    }
    names.push(bare(name).into());
    names
}

fn bare(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_names_are_asked_of_nobody() {
        let table = [
            ("web.test".to_string(), IpAddr::from([10, 0, 0, 1])),
            ("web.test".to_string(), "2001:db8::1".parse().unwrap()),
            ("localhost".to_string(), [127, 0, 0, 2].into()),
        ];
        let addresses = |name: &str| match local(name, &table) {
            Local::Addresses(addresses) => {
                addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
            other => format!("{other:?}"),
        };
        for (name, expected) in [
            ("web.test", "10.0.0.1 2001:db8::1"),
            ("WEB.test.", "10.0.0.1 2001:db8::1"),
            ("web", "Unknown"),
            ("localhost", "127.0.0.2"),
            ("a.localhost", "127.0.0.1 ::1"),
            ("LOCALHOST.a", "Unknown"),
            ("notlocalhost", "Unknown"),
            ("invalid.", "NoName"),
            ("a.Invalid", "NoName"),
        ] {
            assert_eq!(addresses(name), expected, "{name}");
        }
    }

    #[test]
    fn short_names_are_completed() {
        let domains = ["corp.test.".to_string(), "test".to_string()];
        for (name, expected) in [
            ("web", "web.corp.test web.test web"),
            ("web.", "web"),
            ("web.a", "web.a"),
            ("web.a.", "web.a"),
        ] {
            assert_eq!(candidates(name, &domains).join(" "), expected, "{name}");
        }
        assert_eq!(candidates("web", &[]), ["web"]);
    }
}
