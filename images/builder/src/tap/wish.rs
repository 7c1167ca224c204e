//! What `scripts/tap` is asked for.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};

use crate::failure::Failure;
use crate::manifest::Net;

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Whether it is to be made.
    pub up: bool,
    /// The interface.
    pub name: String,
    /// This host's addresses on it.
    pub addresses: Vec<Cidr>,
    /// The bridge that it is a port of.
    pub bridge: Option<String>,
    /// Whether machines reach what this host reaches.
    pub nat: bool,
    /// Whether dnsmasq gives addresses.
    pub dhcp: bool,
    /// Whether dnsmasq advertises prefixes.
    pub ra: bool,
    owner: Option<String>,
}

impl Wish {
    /// Reads the command line; none where help is asked for.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        use lexopt::{Arg, ValueExt};
        let mut wish = Self::default();
        let mut words = Vec::new();
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next().map_err(Failure::usage)? {
            match argument {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long("nat") => wish.nat = true,
                Arg::Long("dhcp") => wish.dhcp = true,
                Arg::Long("ra") => wish.ra = true,
                Arg::Long(option @ ("address" | "bridge" | "owner")) => {
                    let option = option.to_owned();
                    let value = parser.value().and_then(ValueExt::string);
                    let value = value.map_err(Failure::usage)?;
                    match option.as_str() {
                        "address" => wish.addresses.push(Cidr::parse(&value)?),
                        "bridge" => wish.bridge = Some(value),
                        _ => wish.owner = Some(value),
                    }
                }
                Arg::Value(word) => words.push(word.to_string_lossy().into_owned()),
                other => return Err(Failure::usage(other.unexpected())),
            }
        }
        let [verb, name] = &words[..] else {
            return Err(Failure::usage("scripts/tap up|down NAME; --help lists the options"));
        };
        wish.up = match verb.as_str() {
            "up" => true,
            "down" => false,
            _ => return Err(Failure::usage(format!("`{verb}` is neither up nor down"))),
        };
        // the same names as for `--net`
        Net::parse(&format!("tap={name}")).map_err(Failure::usage)?;
        wish.name = name.clone();
        wish.checked().map(Some)
    }

    fn checked(self) -> Result<Self, Failure> {
        if !self.up && self != (Self { name: self.name.clone(), ..Self::default() }) {
            return Err(Failure::usage("down takes no options"));
        }
        let has = |v4: bool| self.addresses.iter().any(|cidr| cidr.address.is_ipv4() == v4);
        for (given, v4, option) in [(self.dhcp, true, "--dhcp"), (self.ra, false, "--ra")] {
            if given && !has(v4) {
                let family = if v4 { "IPv4" } else { "IPv6" };
                return Err(Failure::usage(format!("{option} needs an {family} --address")));
            }
        }
        if self.nat && self.addresses.is_empty() {
            return Err(Failure::usage("--nat needs an --address"));
        }
        Ok(self)
    }

    /// Whose it is to be, if that is said: by the option, or by sudo.
    pub fn owner(&self) -> Option<String> {
        let caller = std::env::var("SUDO_UID").ok().filter(|user| user != "0");
        self.owner.clone().or(caller)
    }
}

/// An address with the length of its network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    /// The address.
    pub address: IpAddr,
    /// Bits of its network.
    pub prefix: u8,
}

impl Cidr {
    fn parse(text: &str) -> Result<Self, Failure> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let cidr = Self { address: address.parse().ok()?, prefix: prefix.parse().ok()? };
            let longest = if cidr.address.is_ipv4() { 30 } else { 127 };
            ((1..=longest).contains(&cidr.prefix) && cidr.is_of_a_host()).then_some(cidr)
        };
        parse().ok_or_else(|| {
            Failure::usage(format!(
                "`{text}` is no address of a host with its network's prefix, such as 10.10.0.1/24"
            ))
        })
    }

    /// Whether it is one of those that hosts have: not the network itself (in IPv6 all its routers, RFC 4291
    /// §2.6.1), nor all its hosts (RFC 919 §7).
    fn is_of_a_host(self) -> bool {
        match self.address {
            IpAddr::V4(address) => {
                let hosts = u32::MAX >> self.prefix;
                let own = address.to_bits() & hosts;
                own != 0 && own != hosts
            }
            IpAddr::V6(address) => address.to_bits() & u128::MAX >> self.prefix != 0,
        }
    }

    /// The first and the last address to give away: all hosts of the network but this one, up to 200.
    pub fn range(self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        let IpAddr::V4(address) = self.address else { return None };
        let own = address.to_bits();
        let network = own & u32::MAX << (32 - self.prefix);
        let last = network + (u32::MAX >> self.prefix) - 1;
        // what is below us or above us, whichever is more
        let (first, last) =
            if own - network > last - own { (network + 1, own - 1) } else { (own + 1, last) };
        Some((first.into(), last.min(first + 199).into()))
    }

    /// As `ip` and `nft` take it.
    pub fn text(self) -> String {
        format!("{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Wish, Failure> {
        Ok(Wish::parse(words.split(' ').map(OsString::from))?.expect("no help was asked for"))
    }

    #[test]
    fn wishes_are_read() {
        let wish = parse("up t0 --address 10.10.0.1/24 --dhcp --nat --owner=me").unwrap();
        let address = Cidr { address: IpAddr::from([10, 10, 0, 1]), prefix: 24 };
        assert_eq!(
            (wish.up, wish.name.as_str(), wish.addresses.clone()),
            (true, "t0", vec![address])
        );
        assert!(wish.dhcp && wish.nat && !wish.ra && wish.owner().as_deref() == Some("me"));
        assert!(!parse("down t0").unwrap().up);
    }

    #[test]
    fn wrong_wishes_are_explained() {
        for (words, cause) in [
            ("up", "up|down NAME"),
            ("make t0", "neither"),
            ("up t/0", "tap=IFNAME"),
            ("down t0 --nat", "no options"),
            ("up t0 --dhcp", "IPv4"),
            ("up t0 --ra --address 10.0.0.1/24", "IPv6"),
            ("up t0 --nat", "--address"),
            ("up t0 --address 10.0.0.1", "10.10.0.1/24"),
            ("up t0 --address 10.0.0.1/31", "10.10.0.1/24"),
            ("up t0 --address 10.0.0.255/24", "no address of a host"),
            ("up t0 --address 10.0.0.0/24", "no address of a host"),
            ("up t0 --address 10.0.0.3/30", "no address of a host"),
            ("up t0 --address fd00::/64", "no address of a host"),
        ] {
            let failure = parse(words).unwrap_err();
            assert!(failure.to_string().contains(cause), "{words}: {failure}");
        }
    }

    #[test]
    fn the_larger_side_of_a_network_is_given_away() {
        let range = |text| Cidr::parse(text).unwrap().range().unwrap();
        let addresses = |first: [u8; 4], last: [u8; 4]| (first.into(), last.into());
        assert_eq!(range("10.0.0.1/24"), addresses([10, 0, 0, 2], [10, 0, 0, 201]));
        assert_eq!(range("10.0.0.254/24"), addresses([10, 0, 0, 1], [10, 0, 0, 200]));
        assert_eq!(range("10.0.0.1/30"), addresses([10, 0, 0, 2], [10, 0, 0, 2]));
        assert_eq!(Cidr::parse("fd00::1/64").unwrap().range(), None);
    }
}
