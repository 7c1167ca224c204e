//! Manifests: one `images/NAME.toml` says what is in an image and what machine it boots on.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::secret;
use crate::vsock::Vsock;
use crate::workspace::Workspace;

/// One `images/NAME.toml`, checked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// Where it boots when the command line does not say.
    #[serde(default)]
    pub target: Target,
    /// The workspace package of the program.
    pub package: String,
    /// The package's program; the package's name if absent.
    program: Option<String>,
    /// The package's features to build with.
    #[serde(default)]
    pub features: Vec<String>,
    /// Whether to build with the package's default features, too.
    #[serde(default = "yes")]
    pub default_features: bool,
    /// Boot arguments that come before those of the command line.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Files whose contents are the values of boot arguments that must stand on no command line; their paths
    /// are relative to the manifest.
    #[serde(default)]
    pub secrets: BTreeMap<secret::Name, PathBuf>,
    /// The virtual machine.
    #[serde(default)]
    pub machine: Machine,
    /// Further networks by name: a device each, behind those of the machine.
    #[serde(default)]
    pub networks: BTreeMap<NetworkName, Net>,
}

/// The machine of a [`Manifest`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Machine {
    /// Main memory.
    pub memory: Memory,
    /// QEMU's `-cpu` under TCG.
    pub cpu: String,
    /// Network devices, in the order in which the program finds them.
    pub net: Vec<Net>,
    /// The socket device, if there is to be one.
    pub vsock: Option<Vsock>,
    /// The source of entropy.
    pub rng: Rng,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            memory: Memory(64 << 20),
            cpu: "max".into(),
            net: vec![Net::User],
            vsock: None,
            rng: Rng::Virtio,
        }
    }
}

impl Manifest {
    /// Reads `images/NAME.toml`.
    pub fn read(workspace: &Workspace, name: &str) -> Result<Self> {
        if !is_name(name) {
            bail!("`{name}` is no image's name: letters, digits and dashes are");
        }
        let path = workspace.manifest(name);
        let text = fs::read_to_string(&path).with_context(|| {
            format!("there is no image `{name}`: cannot read {}", path.display())
        })?;
        let mut manifest = Self::parse(&text).with_context(|| format!("in {}", path.display()))?;
        let directory = path.parent().unwrap_or(&path);
        manifest.secrets.values_mut().for_each(|file| *file = directory.join(&*file));
        Ok(manifest)
    }

    /// Reads a manifest's text; paths in it stay as they are.
    pub fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| anyhow::anyhow!("{}", error.to_string().trim_end()))
    }

    /// The boot words that come before those of the command line: the names of the further networks,
    /// as their arguments come behind them, and the manifest's own.
    pub fn words(&self) -> Vec<String> {
        let names: Vec<_> = self.networks.keys().map(|name| name.0.as_str()).collect();
        let networks = (!names.is_empty()).then(|| format!("--networks={}", names.join(",")));
        networks.into_iter().chain(self.arguments.iter().cloned()).collect()
    }

    /// The name of the program that is booted.
    pub fn program(&self) -> &str {
        self.program.as_deref().unwrap_or(&self.package)
    }
}

fn yes() -> bool {
    true
}

/// Whether `text` can name an image: letters, digits and dashes.
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        && text != "toolchain"
}

/// What boots the image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Target {
    /// A PC of QEMU's, `-machine q35`.
    #[default]
    Qemu,
    /// QEMU's `-machine microvm`.
    Microvm,
    /// The uhyve hypervisor.
    Uhyve,
    /// No machine: a Unix process on the host's sockets.
    Unix,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "qemu" => Ok(Self::Qemu),
            "microvm" => Ok(Self::Microvm),
            "uhyve" => Ok(Self::Uhyve),
            "unix" => Ok(Self::Unix),
            _ => Err(format!("`{text}` is not a target: qemu, microvm, uhyve or unix")),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Qemu => "qemu",
            Self::Microvm => "microvm",
            Self::Uhyve => "uhyve",
            Self::Unix => "unix",
        })
    }
}

/// One network device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Net {
    /// QEMU's user networking: the host's loopback is 10.0.2.2.
    User,
    /// A tap interface of the host that exists already.
    Tap(String),
}

impl Net {
    /// Reads a value of `--net`; `none` is `Ok(None)`.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        match (text, text.strip_prefix("tap=")) {
            ("none", _) => Ok(None),
            ("user", _) => Ok(Some(Self::User)),
            // QEMU splits its options at commas, and Linux allows 15 octets
            (_, Some(name))
                if !name.is_empty() && name.len() < 16 && !name.contains([',', '/']) =>
            {
                Ok(Some(Self::Tap(name.into())))
            }
            _ => Err(format!("`{text}` is not a network: user, tap=IFNAME or none")),
        }
    }
}

/// The name of a further network: a letter, then letters, digits and dashes, all small, as the program
/// takes it before the names of its arguments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct NetworkName(String);

impl FromStr for NetworkName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            |octet: u8| !(octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-');
        let begins = text.bytes().next().is_some_and(|octet| octet.is_ascii_lowercase());
        match begins && !text.ends_with('-') && text.len() <= 32 && !text.bytes().any(wrong) {
            true => Ok(Self(text.into())),
            false => Err(format!(
                "`{text}` is no network's name: a small letter, then small letters, digits and dashes"
            )),
        }
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Main memory in octets, at least 1 MiB and a multiple of 4 KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Memory(pub u64);

impl FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a machine's memory: 1M or more, such as 32M or 1G");
        match proto::quantity::size(text) {
            Ok(octets) if octets >= 1 << 20 && octets.is_multiple_of(4096) => Ok(Self(octets)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1 << 20) {
            write!(f, "{}M", self.0 >> 20)
        } else {
            write!(f, "{}K", self.0 >> 10)
        }
    }
}

/// The machine's source of entropy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Rng {
    /// A virtio-rng device.
    Virtio,
    /// No device: the CPU's own instructions, if it has them.
    None,
}

impl FromStr for Rng {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "virtio" => Ok(Self::Virtio),
            "none" => Ok(Self::None),
            _ => Err(format!("`{text}` is not a source of entropy: virtio or none")),
        }
    }
}

/// What serde needs to read the types above from strings.
mod from_string {
    use super::{Memory, Net, NetworkName, Rng, Target};

    macro_rules! by_from_str {
        ($($type:ty),*) => {$(
            impl TryFrom<String> for $type {
                type Error = String;

                fn try_from(text: String) -> Result<Self, String> {
                    text.parse()
                }
            }
        )*};
    }
    by_from_str!(Target, Memory, NetworkName, Rng);

    impl TryFrom<String> for Net {
        type Error = String;

        fn try_from(text: String) -> Result<Self, String> {
            Self::parse(&text)?.ok_or_else(|| "no network is an empty list".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_of_the_workspace_are_right() {
        let workspace = Workspace::find();
        let default = Manifest::read(&workspace, "default").unwrap();
        assert_eq!(default.program(), "kernel-app");
        assert_eq!(default.target, Target::Qemu);
        assert_eq!(default.machine, Machine::default());
        for entry in fs::read_dir(workspace.root().join("images")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if let Some(name) = name.strip_suffix(".toml").filter(|name| is_name(name)) {
                Manifest::read(&workspace, name).unwrap();
            }
        }
    }

    #[test]
    fn absent_keys_have_defaults() {
        let manifest = Manifest::parse("package = 'x'").unwrap();
        assert_eq!(manifest.program(), "x");
        assert_eq!(manifest.machine, Machine::default());
        assert!(manifest.default_features && manifest.secrets.is_empty());
    }

    #[test]
    fn secrets_are_files_beside_the_manifest() {
        let scratch = crate::scratch::Scratch::new("manifest").unwrap();
        let text = "package = 'x'\n[secrets]\nheader = 'token'\ntls-name = '/run/name'";
        fs::write(scratch.path().join("image.toml"), text).unwrap();
        let project = Workspace::find().with_project(scratch.path().into());
        let manifest = Manifest::read(&project, "image").unwrap();
        let files = manifest.secrets.values().collect::<Vec<_>>();
        assert_eq!(files, [&scratch.path().join("token"), &PathBuf::from("/run/name")]);
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_named() {
        for (text, cause) in [
            ("", "package"),
            ("package = 'x'\nprogramm = 'y'", "programm"),
            ("package = 'x'\ntarget = 'xen'", "xen"),
            ("package = 'x'\n[secrets]\n'A b' = 'f'", "`A b`"),
            ("package = 'x'\n[machine]\nmemory = '32'", "32M"),
            ("package = 'x'\n[networks]\n'A' = 'user'", "`A`"),
            ("package = 'x'\n[networks]\na = 'none'", "empty list"),
            ("package = 'x'\n[machine]\nnet = ['none']", "empty list"),
            ("package = 'x'\n[machine]\ndisk = 'y'", "disk"),
        ] {
            let error = format!("{:#}", Manifest::parse(text).unwrap_err());
            assert!(error.contains(cause), "{error}");
        }
    }

    #[test]
    fn further_networks_are_named_before_their_arguments() {
        let text =
            "package = 'x'\narguments = ['--b-mtu=1400']\n[networks]\nb = 'user'\na = 'tap=t0'";
        let manifest = Manifest::parse(text).unwrap();
        assert_eq!(manifest.words(), ["--networks=a,b", "--b-mtu=1400"]);
        assert_eq!(
            manifest.networks.values().cloned().collect::<Vec<_>>(),
            [Net::Tap("t0".into()), Net::User]
        );
        assert!(Manifest::parse("package = 'x'").unwrap().words().is_empty());
    }

    #[test]
    fn names_stay_inside_the_directory() {
        for name in ["", "../x", "a/b", "-x", "a.b", "toolchain"] {
            assert!(!is_name(name), "{name}");
            assert!(Manifest::read(&Workspace::find(), name).is_err());
        }
    }

    #[test]
    fn networks() {
        assert_eq!(Net::parse("none"), Ok(None));
        assert_eq!(Net::parse("tap=tap0"), Ok(Some(Net::Tap("tap0".into()))));
        for text in ["tap=", "tap", "tap=a,b", "tap=aaaaaaaaaaaaaaaa", "bridge"] {
            assert!(Net::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn memory_is_written_as_it_is_typed() {
        assert_eq!("32M".parse::<Memory>().unwrap().to_string(), "32M");
        assert_eq!("1G".parse::<Memory>().unwrap().to_string(), "1024M");
        assert_eq!("2052K".parse::<Memory>().unwrap().to_string(), "2052K");
        for text in ["0", "32", "512K", "1025K1", "32MB", "-1M"] {
            assert!(text.parse::<Memory>().is_err(), "{text}");
        }
    }
}
