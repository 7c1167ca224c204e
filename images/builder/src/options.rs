//! The host's options: what stands before the URI on the command line of `run`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use crate::failure::Failure;
use crate::manifest::{self, Memory, Net, Rng, Target};
use crate::secret::Secret;
use crate::vsock::Vsock;
use crate::workspace::Workspace;

/// What `run --help` prints.
pub const HELP: &str = "\
Boots an image and prints what it fetches.

usage: scripts/run [RUN OPTIONS] URI [BOOT ARGUMENTS]
       scripts/run [RUN OPTIONS]                  the demo: a page of a server on this machine
       scripts/run [RUN OPTIONS] -- --help        the boot arguments, by group

Run options:
  --target qemu|microvm|uhyve|unix   what boots it; unix: a process on the host's sockets (default: qemu)
  --accel auto|kvm|tcg               KVM only where it really works (default: auto)
  --net user|tap=IFNAME|none         a network device, repeatable (default: user; the host is 10.0.2.2)
  --vsock cid=N|socket=PATH          a socket device: of the host's kernel, or of a vhost-user process
  --memory SIZE                      the machine's memory, such as 32M (default: the image's manifest)
  --image NAME                       the manifest images/NAME.toml (default: default)
  --path DIR                         a project of `cargo image new`: the manifest DIR/NAME.toml (default: image)
  --secret NAME=FILE                 a boot argument whose value is in a file, repeatable
  --rng virtio|none                  the machine's source of entropy (default: virtio)
  --pcap FILE                        capture all frames; a second device's go to FILE.1
  --kill-after TIME                  end the machine at this limit, such as 30s, with exit 124
  --qemu-arg=ARGUMENT                one more argument for QEMU, repeatable
  --build-only                       build what is out of date, boot nothing
  --verbose                          print the commands that are run
  --help                             this text

Standard output is the payload and nothing else; logs and reports go to standard error, and a bar
where that is a terminal and standard output is none.
Exit code: the program's, and 124 when --kill-after ended it:
  0 ok · 22 HTTP status with --fail · 64 bad arguments · 65 malformed answer · 68 name not found
  69 could not connect · 70 our fault · 75 timed out · 76 protocol error · 77 authentication refused
";

const KNOWN: [&str; 15] = [
    "target",
    "accel",
    "net",
    "vsock",
    "memory",
    "image",
    "path",
    "secret",
    "rng",
    "pcap",
    "kill-after",
    "qemu-arg",
    "build-only",
    "verbose",
    "help",
];

/// The command line of `run`, parsed; nothing is looked up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `--target`; the manifest's if absent.
    pub target: Option<Target>,
    /// `--accel`.
    pub accel: Accel,
    /// `--net`, in order; the manifest's if absent, empty for `none`.
    pub net: Option<Vec<Net>>,
    /// `--vsock`; the manifest's if absent.
    pub vsock: Option<Vsock>,
    /// `--memory`; the manifest's if absent.
    pub memory: Option<Memory>,
    /// `--image`.
    pub image: String,
    /// `--path`: the directory of a project of one's own.
    pub path: Option<PathBuf>,
    /// `--secret`, in order.
    pub secrets: Vec<Secret>,
    /// `--rng`; the manifest's if absent.
    pub rng: Option<Rng>,
    /// `--pcap`.
    pub pcap: Option<PathBuf>,
    /// `--kill-after`.
    pub kill_after: Option<Duration>,
    /// `--qemu-arg`, in order.
    pub qemu_args: Vec<OsString>,
    /// `--build-only`.
    pub build_only: bool,
    /// `--verbose`.
    pub verbose: bool,
    /// `--help`.
    pub help: bool,
    /// The URI and the boot arguments; empty for the demo.
    pub words: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            target: None,
            accel: Accel::Auto,
            net: None,
            vsock: None,
            memory: None,
            image: "default".into(),
            path: None,
            secrets: Vec::new(),
            rng: None,
            pcap: None,
            kill_after: None,
            qemu_args: Vec::new(),
            build_only: false,
            verbose: false,
            help: false,
            words: Vec::new(),
        }
    }
}

impl Options {
    /// Parses what follows the command's name. A first word that names a manifest is the image, as in
    /// `cargo image build default`; the first other word and all after it are the program's.
    pub fn parse(
        workspace: &Workspace,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut parser = Parser::from_args(arguments);
        let mut image = None;
        while let Some(argument) = parser.next().map_err(usage)? {
            match argument {
                Arg::Long("target") => options.target = Some(value(&mut parser)?),
                Arg::Long("accel") => options.accel = value(&mut parser)?,
                Arg::Long("net") => {
                    let text = parser.value().and_then(ValueExt::string).map_err(usage)?;
                    let net = Net::parse(&text).map_err(Failure::usage)?;
                    options.net.get_or_insert_default().extend(net);
                }
                Arg::Long("vsock") => options.vsock = Some(value(&mut parser)?),
                Arg::Long("memory") => options.memory = Some(value(&mut parser)?),
                Arg::Long("image") => {
                    image = Some(parser.value().and_then(ValueExt::string).map_err(usage)?);
                }
                Arg::Long("path") => options.path = Some(parser.value().map_err(usage)?.into()),
                Arg::Long("secret") => options.secrets.push(value(&mut parser)?),
                Arg::Long("rng") => options.rng = Some(value(&mut parser)?),
                Arg::Long("pcap") => options.pcap = Some(parser.value().map_err(usage)?.into()),
                Arg::Long("kill-after") => {
                    let text = parser.value().and_then(ValueExt::string).map_err(usage)?;
                    options.kill_after =
                        Some(proto::quantity::duration(&text).map_err(Failure::usage)?);
                }
                Arg::Long("qemu-arg") => {
                    options.qemu_args.push(parser.value().map_err(usage)?);
                }
                Arg::Long("build-only") => options.build_only = true,
                Arg::Short('v') | Arg::Long("verbose") => options.verbose = true,
                Arg::Short('h') | Arg::Long("help") => options.help = true,
                Arg::Value(word) => {
                    let word = utf8(word)?;
                    if image.is_none()
                        && options.path.is_none()
                        && manifest::is_name(&word)
                        && workspace.manifest(&word).is_file()
                    {
                        image = Some(word);
                        continue;
                    }
                    options.words.push(word);
                    for word in parser.raw_args().map_err(usage)? {
                        options.words.push(utf8(word)?);
                    }
                }
                Arg::Long(name) => return Err(unknown(name)),
                Arg::Short(letter) => {
                    return Err(Failure::usage(format!(
                        "`-{letter}` is not a run option; boot arguments come after the URI"
                    )));
                }
            }
        }
        let usual = if options.path.is_none() { "default" } else { "image" };
        options.image = image.unwrap_or_else(|| usual.into());
        Ok(options)
    }
}

/// What runs the machine's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// KVM where it really works, else TCG.
    Auto,
    /// KVM, or an error that says why it cannot be used.
    Kvm,
    /// QEMU's own translator.
    Tcg,
}

impl FromStr for Accel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "kvm" => Ok(Self::Kvm),
            "tcg" => Ok(Self::Tcg),
            _ => Err(format!("`{text}` is not an accelerator: auto, kvm or tcg")),
        }
    }
}

fn value<T: FromStr<Err = String>>(parser: &mut Parser) -> Result<T, Failure> {
    let text = parser.value().and_then(ValueExt::string).map_err(usage)?;
    text.parse().map_err(Failure::usage)
}

fn utf8(word: OsString) -> Result<String, Failure> {
    word.into_string().map_err(|word| {
        Failure::usage(format!("the boot argument {} is not UTF-8", word.to_string_lossy()))
    })
}

fn usage(error: lexopt::Error) -> Failure {
    Failure::usage(error)
}

fn unknown(name: &str) -> Failure {
    let (distance, known) = KNOWN
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .min()
        .expect("the table is not empty");
    Failure::usage(if distance <= 2 {
        format!("`--{name}` is not a run option: did you mean `--{known}`?")
    } else {
        format!("`--{name}` is not a run option; boot arguments come after the URI")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, Failure> {
        Options::parse(&Workspace::find(), words.iter().map(OsString::from))
    }

    #[test]
    fn options_before_the_uri_are_the_hosts() {
        let options =
            parse(&["--memory=32M", "--net", "none", "http://h/", "--memory", "x", "--help"])
                .unwrap();
        assert_eq!(options.memory, Some(Memory(32 << 20)));
        assert_eq!(options.net, Some(vec![]));
        assert_eq!(options.words, ["http://h/", "--memory", "x", "--help"]);
        assert!(!options.help);
    }

    #[test]
    fn every_option_is_read() {
        let options = parse(&[
            "--target=unix",
            "--accel=tcg",
            "--net=user",
            "--net",
            "tap=t0",
            "--vsock=cid=3",
            "--image",
            "other",
            "--path=p",
            "--secret=header=f",
            "--rng=none",
            "--pcap=f",
            "--kill-after=30s",
            "--qemu-arg=-cpu",
            "--qemu-arg=qemu64",
            "--build-only",
            "--verbose",
            "u",
        ])
        .unwrap();
        let expected = Options {
            target: Some(Target::Unix),
            accel: Accel::Tcg,
            net: Some(vec![Net::User, Net::Tap("t0".into())]),
            vsock: Some(Vsock::Context(3)),
            memory: None,
            image: "other".into(),
            path: Some("p".into()),
            secrets: vec![Secret { name: "header".parse().unwrap(), file: "f".into() }],
            rng: Some(Rng::None),
            pcap: Some("f".into()),
            kill_after: Some(Duration::from_secs(30)),
            qemu_args: vec!["-cpu".into(), "qemu64".into()],
            build_only: true,
            verbose: true,
            help: false,
            words: vec!["u".into()],
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn a_first_word_may_name_the_image() {
        let options = parse(&["default", "--verbose", "default"]).unwrap();
        assert!(options.verbose);
        assert_eq!((options.image.as_str(), options.words), ("default", vec!["default".into()]));
        let options = parse(&["git@host:team/repo"]).unwrap();
        assert_eq!(options.words, ["git@host:team/repo"]);
    }

    #[test]
    fn a_projects_image_is_its_own() {
        let options = parse(&["--path", "p", "default"]).unwrap();
        assert_eq!((options.image.as_str(), options.words), ("image", vec!["default".into()]));
        assert_eq!(parse(&["--image=x", "--path=p"]).unwrap().image, "x");
    }

    #[test]
    fn nothing_is_the_demo() {
        assert_eq!(parse(&[]).unwrap(), Options::default());
        assert_eq!(parse(&["--"]).unwrap().words, Vec::<String>::new());
        assert_eq!(parse(&["--", "--help"]).unwrap().words, ["--help"]);
    }

    #[test]
    fn wrong_options_are_explained() {
        for (words, cause) in [
            (&["--memroy=1M"][..], "did you mean `--memory`"),
            (&["--explain", "u"], "after the URI"),
            (&["-X", "POST"], "after the URI"),
            (&["--target=xen"], "qemu, microvm, uhyve or unix"),
            (&["--kill-after=5"], "unit"),
            (&["--memory"], "memory"),
            (&["--secret=header"], "NAME=FILE"),
            (&["--secret=A=f"], "`A`"),
            (&["--verbose=yes"], "verbose"),
        ] {
            let failure = parse(words).unwrap_err();
            assert_eq!(failure.code, 64);
            assert!(failure.to_string().contains(cause), "{failure}");
        }
    }
}
