//! Where things are: the workspace's root and what is made under `target/`.

use std::env;
use std::path::{Path, PathBuf};

/// The workspace on this machine.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds the workspace: `IMAGES_WORKSPACE` (set by the scripts), else the one this program was built in.
    pub fn find() -> Self {
        let exe = env::current_exe().unwrap_or_default();
        let root = env::var_os("IMAGES_WORKSPACE")
            .map(PathBuf::from)
            .filter(|root| is_root(root))
            .or_else(|| exe.ancestors().find(|dir| is_root(dir)).map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")));
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) if !dir.is_empty() => root.join(dir),
            _ => root.join("target"),
        };
        Self { root, target }
    }

    /// The directory of the workspace's `Cargo.toml`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target directory of the host's programs.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Cargo's target directory of kernel, loader and Hermit program: another compiler works there, so that
    /// the two never throw away each other's cache.
    pub fn guest_target(&self) -> PathBuf {
        self.target.join("guest")
    }

    /// The manifest of the image `name`.
    pub fn manifest(&self, name: &str) -> PathBuf {
        self.root.join("images").join(format!("{name}.toml"))
    }

    /// The finished image `name`.
    pub fn image(&self, name: &str) -> PathBuf {
        self.target.join("images").join(name)
    }

    /// The record of what the image `name` was made from.
    pub fn stamp(&self, name: &str) -> PathBuf {
        self.target.join("images").join(format!("{name}.stamp"))
    }
}

fn is_root(dir: &Path) -> bool {
    dir.join("images/toolchain.toml").is_file() && dir.join("Cargo.toml").is_file()
}
