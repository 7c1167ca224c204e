//! Whether a machine of this user can be put on an interface, before anything is started for it.

use std::fs::{self, File};
use std::path::Path;

use rustix::process::{getegid, geteuid, getgroups};

use super::link::exists;
use crate::failure::{Failure, code};

/// Whether a machine of this user can be put on the interface `name`; the error says what to do.
pub fn check(name: &str) -> Result<(), Failure> {
    if !exists(name) {
        return Err(Failure::usage(format!(
            "there is no interface {name}: as root, `scripts/tap up {name} --address 10.10.0.1/24 --dhcp` makes one"
        )));
    }
    // none of them where sysfs shows another network: what is wrong is then told by who opens the interface
    let entry = Path::new("/sys/class/net").join(name);
    let read = |attribute: &str| fs::read_to_string(entry.join(attribute)).ok();
    if entry.exists() && !read("tun_flags").is_some_and(|flags| is_tap(&flags)) {
        return Err(Failure::usage(format!("{name} is no tap interface")));
    }
    if let Err(error) = File::options().read(true).write(true).open("/dev/net/tun") {
        return Err(Failure::usage(format!("/dev/net/tun does not open: {error}")));
    }
    let id = |attribute: &str| read(attribute)?.trim().parse().ok();
    let whose = Whose { user: id("owner"), group: id("group") };
    if !whose.admits(geteuid().as_raw(), &groups()) && !is_administrator() {
        return Err(Failure::usage(format!(
            "{name} is not for this user, {}, but for {whose}: `sudo scripts/tap up {name}`, with its other options, \
             makes it this user's",
            geteuid().as_raw()
        )));
    }
    // a tap interface has a carrier while somebody has its other end
    if read("carrier").is_some_and(|carrier| carrier.trim() == "1") {
        let cause = format!(
            "{name} is in use, and carries one machine at a time: end that one, or make another interface by \
             `sudo scripts/tap up NAME`"
        );
        return Err(Failure::new(code::UNAVAILABLE, cause));
    }
    Ok(())
}

/// Whether the flags in sysfs, such as `0x1002`, are those of a tap interface (IFF_TAP of linux/if_tun.h), not of
/// one without Ethernet.
fn is_tap(flags: &str) -> bool {
    let flags =
        flags.trim().strip_prefix("0x").and_then(|flags| u32::from_str_radix(flags, 16).ok());
    flags.is_some_and(|flags| flags & 2 != 0)
}

/// Whom the kernel lets open the interface (drivers/net/tun.c, tun_not_capable), beside who may administer networks.
#[derive(Debug, Clone, Copy)]
struct Whose {
    user: Option<u32>,
    group: Option<u32>,
}

impl Whose {
    fn admits(self, user: u32, groups: &[u32]) -> bool {
        self.user.is_none_or(|owner| owner == user)
            && self.group.is_none_or(|group| groups.contains(&group))
    }
}

impl std::fmt::Display for Whose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.user, self.group) {
            (Some(user), None) => write!(f, "user {user}"),
            (None, Some(group)) => write!(f, "group {group}"),
            (Some(user), Some(group)) => write!(f, "user {user} in group {group}"),
            (None, None) => f.write_str("all"),
        }
    }
}

/// The groups that this process is in.
fn groups() -> Vec<u32> {
    let mut groups = getgroups().unwrap_or_default();
    groups.push(getegid());
    groups.into_iter().map(|group| group.as_raw()).collect()
}

/// Whether this process has CAP_NET_ADMIN, which root in a container need not have.
fn is_administrator() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    set.is_some_and(|set| set & 1 << NET_ADMIN != 0)
}

/// CAP_NET_ADMIN of linux/capability.h.
const NET_ADMIN: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_or_no_tap_is_refused() {
        assert!(check("nosuchif0").unwrap_err().to_string().contains("scripts/tap up nosuchif0"));
        assert!(check("lo").unwrap_err().to_string().contains("no tap"));
        assert!(is_tap("0x1802\n") && is_tap("0x5102"));
        assert!(!is_tap("0x1801\n") && !is_tap(""));
    }

    #[test]
    fn who_is_admitted_is_what_the_kernel_says() {
        let admits = |user, group| Whose { user, group }.admits(1000, &[100, 27]);
        for (user, group, is_admitted) in [
            (None, None, true),
            (Some(1000), None, true),
            (Some(0), None, false),
            (None, Some(27), true),
            (None, Some(5), false),
            (Some(1000), Some(27), true),
            (Some(1000), Some(5), false),
            (Some(0), Some(27), false),
        ] {
            assert_eq!(admits(user, group), is_admitted, "{user:?} {group:?}");
        }
        // as sysfs writes what is not set
        assert_eq!("-1".parse::<u32>().ok(), None);
    }
}
