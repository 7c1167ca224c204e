//! The machine to compare with: an initial file system with curl.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::linux::{Files, Kernel};
use crate::workspace::Workspace;

/// The kernel, and where its initial file system is made.
#[derive(Debug)]
pub struct Linux {
    kernel: Kernel,
    initrd: PathBuf,
}

/// The kernel's modules that are needed.
const MODULES: [&str; 3] = ["virtio_pci", "virtio_net", "virtio_console"];

/// Applets of busybox that the script uses.
const APPLETS: [&str; 7] = ["sh", "mount", "insmod", "ip", "udhcpc", "poweroff", "cat"];

impl Linux {
    /// With the kernel, which is downloaded once.
    pub fn get(workspace: &Workspace) -> Result<Self> {
        let kernel = Kernel::get(workspace)?;
        Ok(Self { kernel, initrd: workspace.tools().join("linux/initrd") })
    }

    /// The kernel's file.
    pub fn kernel(&self) -> &Path {
        self.kernel.image()
    }

    /// Makes the initial file system whose curl fetches `uri` to the port `mimic.stdout`.
    pub fn initrd_for(&self, uri: &str) -> Result<&Path> {
        let mut files = Files::new(&APPLETS)?;
        files.own("curl")?;
        let insmod = files.modules(&self.kernel, &MODULES)?;
        files.add("/lease", LEASE.as_bytes());
        files.add("/init", script(&insmod, uri).as_bytes());
        fs::write(&self.initrd, files.finish())
            .with_context(|| format!("cannot write {}", self.initrd.display()))?;
        Ok(&self.initrd)
    }
}

fn script(insmod: &str, uri: &str) -> String {
    format!(
        "#!/bin/sh\n\
             export PATH=/bin:/usr/bin\n\
             mount -t devtmpfs dev /dev\n\
             mount -t proc proc /proc\n\
             mount -t sysfs sys /sys\n\
             {insmod}\
             ip link set eth0 up\n\
             udhcpc -i eth0 -n -q -f -s /lease >/dev/null\n\
             for port in /sys/class/virtio-ports/*; do\n\
             \x20   read -r name <$port/name\n\
             \x20   [ \"$name\" = mimic.stdout ] && out=/dev/${{port##*/}}\n\
             done\n\
             curl -s {uri} >$out\n\
             poweroff -f\n"
    )
}

/// What udhcpc calls with the lease in its environment.
const LEASE: &str = "#!/bin/sh
export PATH=/bin
if [ \"$1\" = bound ]; then
    ip addr add $ip/$mask dev $interface
    ip route add default via $router
fi
";
