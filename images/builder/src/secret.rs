//! Values of boot arguments that stand on no command line: each is a file, and the program finds it by name.
//!
//! A machine reads the file through QEMU's fw_cfg; a process finds its content in the environment.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

use crate::failure::Failure;
use crate::manifest::Manifest;

/// One value and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// The boot argument.
    pub name: Name,
    /// The file that holds its value.
    pub file: PathBuf,
}

/// The name of a boot argument, without its dashes: lower-case letters, digits and dashes, 45 at most.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(String);

/// QEMU's names of fw_cfg items have at most 55 octets, and ours begin with `opt/mimic/`.
const LONGEST: usize = 45;

impl Secret {
    /// Those of the manifest and those of the command line, which win; every file can be read.
    pub fn all(manifest: &Manifest, given: &[Self]) -> Result<Vec<Self>, Failure> {
        let of_manifest = manifest.secrets.iter();
        let all = of_manifest
            .map(|(name, file)| Self { name: name.clone(), file: file.clone() })
            .filter(|secret| given.iter().all(|it| it.name != secret.name))
            .chain(given.iter().cloned())
            .collect::<Vec<_>>();
        for (index, secret) in all.iter().enumerate() {
            if all[..index].iter().any(|it| it.name == secret.name) {
                return Err(Failure::usage(format!("the secret {} is given twice", secret.name)));
            }
            secret.read()?;
        }
        Ok(all)
    }

    /// The variable of the environment in which the program of the host finds the value.
    pub fn variable(&self) -> Result<(String, OsString), Failure> {
        let value = self.read()?;
        if value.contains(&0) {
            let file = self.file.display();
            return Err(Failure::usage(format!(
                "the secret {} in {file} holds a NUL, which no variable can",
                self.name
            )));
        }
        let name = self.name.0.to_ascii_uppercase().replace('-', "_");
        Ok((format!("MIMIC_ARG_{name}"), OsString::from_vec(value)))
    }

    fn read(&self) -> Result<Vec<u8>, Failure> {
        fs::read(&self.file).map_err(|error| {
            let file = self.file.display();
            Failure::usage(format!("cannot read the secret {} from {file}: {error}", self.name))
        })
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, file)) if !file.is_empty() => {
                Ok(Self { name: name.parse()?, file: file.into() })
            }
            _ => Err(format!("`{text}` is not of the form NAME=FILE")),
        }
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = |octet: u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-');
        match (1..=LONGEST).contains(&text.len()) && text.bytes().all(known) {
            true => Ok(Self(text.into())),
            false => Err(format!(
                "`{text}` is not a boot argument's name: up to {LONGEST} lower-case letters, digits and dashes"
            )),
        }
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::path::Path;

    fn secret(name: &str, file: &Path) -> Secret {
        Secret { name: name.parse().unwrap(), file: file.into() }
    }

    #[test]
    fn a_process_finds_them_in_its_environment() {
        let scratch = Scratch::new("secret").unwrap();
        let file = scratch.path().join("file");
        fs::write(&file, "ä\n").unwrap();
        let (name, value) = secret("tls-name", &file).variable().unwrap();
        assert_eq!((name.as_str(), value), ("MIMIC_ARG_TLS_NAME", "ä\n".into()));
        fs::write(&file, "a\0b").unwrap();
        assert!(secret("a", &file).variable().unwrap_err().to_string().contains("NUL"));
    }

    #[test]
    fn the_command_line_wins_and_every_file_is_there() {
        let scratch = Scratch::new("secret").unwrap();
        let (first, second) = (scratch.path().join("1"), scratch.path().join("2"));
        fs::write(&first, "1").unwrap();
        let mut manifest = Manifest::parse("package = 'x'").unwrap();
        manifest.secrets.insert("data".parse().unwrap(), second.clone());
        manifest.secrets.insert("header".parse().unwrap(), first.clone());
        let failure = Secret::all(&manifest, &[]).unwrap_err();
        assert_eq!(failure.code, 64);
        assert!(failure.to_string().contains(&format!("data from {}", second.display())));
        let given = secret("data", &first);
        let all = Secret::all(&manifest, std::slice::from_ref(&given)).unwrap();
        assert_eq!(all, [secret("header", &first), given.clone()]);
        let twice = Secret::all(&manifest, &[given.clone(), given]).unwrap_err();
        assert!(twice.to_string().contains("twice"));
    }

    #[test]
    fn names_are_those_of_arguments() {
        for text in ["", "A", "a b", "a,b", "a/b", &"a".repeat(46)] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
        assert!("a".repeat(45).parse::<Name>().is_ok());
    }
}
