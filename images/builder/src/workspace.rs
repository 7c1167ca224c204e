//! Where things are: the workspace's root, a project of the user's own, and what is made under `target/`.

use std::env;
use std::path::{Path, PathBuf};

/// The workspace on this machine, and the project in it or outside of it whose images are meant.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
    project: Option<PathBuf>,
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
        Self { root, target, project: None }
    }

    /// The same workspace, for the images of a project of one's own (`cargo image new`) in `directory`.
    pub fn with_project(&self, directory: PathBuf) -> Self {
        Self { project: Some(directory), ..self.clone() }
    }

    /// The project of one's own, if that is what images are made from.
    pub fn project(&self) -> Option<&Path> {
        self.project.as_deref()
    }

    /// Where cargo finds the packages of images: the project, or the workspace itself.
    pub fn packages(&self) -> &Path {
        self.project().unwrap_or(&self.root)
    }

    /// The directory of the workspace's `Cargo.toml`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The target directory: the workspace's or the project's.
    pub fn target(&self) -> PathBuf {
        self.project().map_or_else(|| self.target.clone(), |project| project.join("target"))
    }

    /// Cargo's target directory of the host's programs. All projects share one: what they have in common is
    /// built once.
    pub fn host_target(&self) -> PathBuf {
        match self.project() {
            Some(_) => self.target.join("projects"),
            None => self.target.clone(),
        }
    }

    /// Cargo's target directory of kernel, loader and Hermit program: another compiler works there, so that
    /// the two never throw away each other's cache. Projects share it: what is built for one is there for all.
    pub fn guest_target(&self) -> PathBuf {
        self.target.join("guest")
    }

    /// What was fetched to boot and to test images with: the hypervisor uhyve, a Linux kernel.
    pub fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// The manifest of the image `name`.
    pub fn manifest(&self, name: &str) -> PathBuf {
        let directory = self.project().map_or_else(|| self.root.join("images"), Path::to_path_buf);
        directory.join(format!("{name}.toml"))
    }

    /// The finished image `name`.
    pub fn image(&self, name: &str) -> PathBuf {
        self.target().join("images").join(name)
    }

    /// The same program for uhyve, which is its own boot loader.
    pub fn uhyve_image(&self, name: &str) -> PathBuf {
        self.target().join("images").join(format!("{name}.uhyve"))
    }

    /// The program of the image `name` for the host.
    pub fn unix_program(&self, name: &str) -> PathBuf {
        self.target().join("images").join(format!("{name}.unix"))
    }

    /// The file that whoever builds has locked.
    pub fn lock(&self) -> PathBuf {
        self.target.join("images.lock")
    }

    /// The record of what the image `name` was made from.
    pub fn stamp(&self, name: &str) -> PathBuf {
        self.target().join("images").join(format!("{name}.stamp"))
    }
}

fn is_root(dir: &Path) -> bool {
    dir.join("images/toolchain.toml").is_file() && dir.join("Cargo.toml").is_file()
}
