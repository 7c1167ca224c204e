//! The times and counts of RFC 8305 §8, and the limits that keep them sane.

use core::fmt;
use core::time::Duration;

/// No attempt starts sooner than this after the one before it, whatever is configured: 10 ms,
/// the MUST NOT of [RFC 8305 §5](https://www.rfc-editor.org/rfc/rfc8305#section-5).
pub const ATTEMPT_FLOOR: Duration = Duration::from_millis(10);

/// The most ports that one request may name.
pub const MAX_PORTS: usize = 8;

/// Times and counts of one call; the defaults are those of
/// [RFC 8305 §8](https://www.rfc-editor.org/rfc/rfc8305#section-8) where it names one.
///
/// ```
/// # use happy_eyeballs::Config;
/// # use core::time::Duration;
/// let patient = Config { connect_timeout: Duration::from_secs(30), ..Config::default() };
/// assert!(patient.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long the first address waits for the preferred family's answer and for service records
    /// ("Resolution Delay", §3). Default 50 ms; 0 (do not wait) to 10 s.
    pub resolution_delay: Duration,
    /// From the start of one attempt to the start of the next while none has ended and no round
    /// trip time is remembered for its address ("Connection Attempt Delay", §5). Default 250 ms;
    /// 10 ms to 2 s.
    pub connection_attempt_delay: Duration,
    /// The least delay that is derived from a remembered round trip time ("Minimum Connection
    /// Attempt Delay", §5). Default 100 ms; 10 ms to the maximum below.
    pub minimum_connection_attempt_delay: Duration,
    /// The greatest delay that is derived from a remembered round trip time ("Maximum Connection
    /// Attempt Delay", §5). Default 2 s; up to 10 s.
    pub maximum_connection_attempt_delay: Duration,
    /// How many addresses of the first family are tried before the other's first ("First Address
    /// Family Count", §4). With several ports each port counts. Default 1; 1 to 16.
    pub first_family_count: u8,
    /// In an IPv6-only network with NAT64: from the start of the last attempt to the question for A
    /// records ("Last Resort Local Synthesis Delay", §7.2). Default 2 s; 0 to 60 s.
    pub last_resort_delay: Duration,
    /// How long a query may stay without an answer before it is asked again or given up. Default 1
    /// s; 10 ms to 60 s.
    pub resolve_timeout: Duration,
    /// How often a query is asked in all, the first time included: 3 times 1 s of silence are a
    /// failure after 3 s. Default 3; 1 to 16.
    pub resolve_tries: u8,
    /// From the start of the call, name resolution included, to its failure. Default 10 s; 10 ms to
    /// 1 h.
    pub connect_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            resolution_delay: Duration::from_millis(50),
            connection_attempt_delay: Duration::from_millis(250),
            minimum_connection_attempt_delay: Duration::from_millis(100),
            maximum_connection_attempt_delay: Duration::from_secs(2),
            first_family_count: 1,
            last_resort_delay: Duration::from_secs(2),
            resolve_timeout: Duration::from_secs(1),
            resolve_tries: 3,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// Checks every value against its range; [`HappyEyeballs::new`](crate::HappyEyeballs::new) does
    /// it too.
    pub fn check(&self) -> Result<(), Invalid> {
        const SECOND: Duration = Duration::from_secs(1);
        let most = self.maximum_connection_attempt_delay;
        time("resolution delay", self.resolution_delay, Duration::ZERO, 10 * SECOND)?;
        time("maximum connection attempt delay", most, ATTEMPT_FLOOR, 10 * SECOND)?;
        let least = self.minimum_connection_attempt_delay;
        time("minimum connection attempt delay", least, ATTEMPT_FLOOR, most)?;
        let delay = self.connection_attempt_delay;
        time("connection attempt delay", delay, ATTEMPT_FLOOR, 2 * SECOND)?;
        time("last resort delay", self.last_resort_delay, Duration::ZERO, 60 * SECOND)?;
        time("resolve timeout", self.resolve_timeout, ATTEMPT_FLOOR, 60 * SECOND)?;
        time("connect timeout", self.connect_timeout, ATTEMPT_FLOOR, 3600 * SECOND)?;
        count("first family count", self.first_family_count)?;
        count("resolve tries", self.resolve_tries)
    }

    /// How long to wait after an attempt to an address with this round trip time: about when its
    /// second SYN is sent (RFC 8305 §5). RFC 6298 §2.2 makes the timeout after one measurement
    /// R + 4 · R/2.
    pub(crate) fn delay_after(&self, round_trip: Option<Duration>) -> Duration {
        round_trip.map_or(self.connection_attempt_delay, |time| {
            time.saturating_mul(3)
                .clamp(self.minimum_connection_attempt_delay, self.maximum_connection_attempt_delay)
        })
    }
}

fn time(
    what: &'static str,
    value: Duration,
    least: Duration,
    most: Duration,
) -> Result<(), Invalid> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(Invalid::Time { what, value, least, most })
    }
}

fn count(what: &'static str, value: u8) -> Result<(), Invalid> {
    if (1..=16).contains(&value) {
        Ok(())
    } else {
        Err(Invalid::Count { what, value, least: 1, most: 16 })
    }
}

/// What is wrong with a configuration or a request; the caller's fault, found before anything is
/// sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid {
    /// A count out of its range.
    Count {
        /// Which one.
        what: &'static str,
        /// What was given.
        value: u8,
        /// The least allowed.
        least: u8,
        /// The greatest allowed.
        most: u8,
    },
    /// An empty host name.
    EmptyName,
    /// A NAT64 prefix of another length than 32, 40, 48, 56, 64 or 96 (RFC 6052 §2.2), or with bits
    /// set where the IPv4 address and its reserved octet go.
    Nat64Prefix,
    /// An empty list of addresses to connect to.
    NoAddress,
    /// An empty list of ports.
    NoPort,
    /// Port 0 names no service.
    PortZero,
    /// A time out of its range.
    Time {
        /// Which one.
        what: &'static str,
        /// What was given.
        value: Duration,
        /// The least allowed.
        least: Duration,
        /// The greatest allowed.
        most: Duration,
    },
    /// More than [`MAX_PORTS`] ports.
    TooManyPorts(usize),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { what, value, least, most } => {
                write!(f, "{what} is {value}, expected {least} to {most}")
            }
            Self::EmptyName => f.write_str("the host name is empty"),
            Self::Nat64Prefix => f.write_str("no NAT64 prefix as of RFC 6052 section 2.2"),
            Self::NoAddress => f.write_str("no address to connect to"),
            Self::NoPort => f.write_str("no port to connect to"),
            Self::PortZero => f.write_str("port 0 cannot be connected to"),
            Self::Time { what, value, least, most } => {
                write!(f, "{what} is {value:?}, expected {least:?} to {most:?}")
            }
            Self::TooManyPorts(ports) => {
                write!(f, "{ports} ports, expected at most {MAX_PORTS}")
            }
        }
    }
}

impl core::error::Error for Invalid {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn defaults_are_those_of_the_rfc() {
        let config = Config::default();
        assert_eq!(config.check(), Ok(()));
        assert_eq!(config.resolution_delay, 50 * MS);
        assert_eq!(config.connection_attempt_delay, 250 * MS);
        assert_eq!(config.minimum_connection_attempt_delay, 100 * MS);
        assert_eq!(config.maximum_connection_attempt_delay, 2000 * MS);
        assert_eq!(config.first_family_count, 1);
        assert_eq!(config.last_resort_delay, 2000 * MS);
    }

    #[test]
    fn every_range_has_two_ends() {
        type Set = fn(&mut Config, Duration);
        let times: [(Set, Duration, Duration); 7] = [
            (|c, t| c.resolution_delay = t, Duration::ZERO, 10_000 * MS),
            (|c, t| c.connection_attempt_delay = t, 10 * MS, 2000 * MS),
            (|c, t| c.minimum_connection_attempt_delay = t, 10 * MS, 2000 * MS),
            (|c, t| c.maximum_connection_attempt_delay = t, 100 * MS, 10_000 * MS),
            (|c, t| c.last_resort_delay = t, Duration::ZERO, 60_000 * MS),
            (|c, t| c.resolve_timeout = t, 10 * MS, 60_000 * MS),
            (|c, t| c.connect_timeout = t, 10 * MS, 3_600_000 * MS),
        ];
        for (index, (set, least, most)) in times.into_iter().enumerate() {
            let check = |time| {
                let mut config = Config::default();
                set(&mut config, time);
                config.check()
            };
            assert_eq!(check(least), Ok(()), "time {index}");
            assert_eq!(check(most), Ok(()), "time {index}");
            assert!(check(most + MS).is_err(), "time {index}");
            assert!(least.is_zero() || check(least - MS).is_err(), "time {index}");
        }
        for tries in [0, 17] {
            assert!(Config { resolve_tries: tries, ..Config::default() }.check().is_err());
            assert!(Config { first_family_count: tries, ..Config::default() }.check().is_err());
        }
    }

    #[test]
    fn errors_name_the_range() {
        let error = Config { resolve_tries: 0, ..Config::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "resolve tries is 0, expected 1 to 16");
        let delay = Config { connection_attempt_delay: MS, ..Config::default() };
        let text = delay.check().unwrap_err().to_string();
        assert_eq!(text, "connection attempt delay is 1ms, expected 10ms to 2s");
    }

    #[test]
    fn a_remembered_round_trip_moves_the_delay_within_its_bounds() {
        let config = Config::default();
        assert_eq!(config.delay_after(None), 250 * MS);
        assert_eq!(config.delay_after(Some(MS)), 100 * MS);
        assert_eq!(config.delay_after(Some(200 * MS)), 600 * MS);
        assert_eq!(config.delay_after(Some(Duration::MAX)), 2000 * MS);
    }
}
