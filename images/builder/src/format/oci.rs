//! Container images: an OCI image layout (OCI Image Format Specification 1.1) as one tar archive, which `skopeo copy
//! oci-archive:FILE`, `podman load` and `ctr image import` take.
//!
//! Two kinds: the packed file for urunc, which runs it as a machine in a container's place, and for KubeVirt's
//! kernel boot; and a disk as KubeVirt's containerDisk. What urunc reads stands where each of its ways leads: in annotations,
//! in the same labels, and in `/urunc.json`, for containerd passes annotations on only when told so and Docker never.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use crate::words;

/// One file of a container image's only layer.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Without the leading slash, in a directory that needs no entry, or in none.
    pub path: &'a str,
    /// Permissions.
    pub mode: u32,
    /// Owner and group.
    pub owner: u64,
    /// What is in it.
    pub content: &'a [u8],
}

/// Where the packed file is in a container image, and in urunc's annotation.
pub const KERNEL: &str = "unikernel/kernel";

/// KubeVirt's user, who has to read a containerDisk.
const QEMU_USER: u64 = 107;

/// Writes the container image of a packed file for urunc and for KubeVirt's kernel boot. `words` are what it is run with where
/// nobody says otherwise.
pub fn unikernel(packed: &[u8], words: &[String], file: &Path) -> Result<()> {
    let annotations = urunc(words);
    let encoded = annotations.iter().map(|(name, value)| {
        (name.clone(), STANDARD.encode(value.as_str().unwrap_or_default()).into())
    });
    let settings = serde_json::to_vec(&Value::Object(encoded.collect()))?;
    let entries = [
        Entry { path: KERNEL, mode: 0o555, owner: 0, content: packed },
        Entry { path: "urunc.json", mode: 0o444, owner: 0, content: &settings },
    ];
    write(&entries, words, annotations, file)
}

/// Writes a disk as KubeVirt's containerDisk.
pub fn container_disk(disk: &[u8], file: &Path) -> Result<()> {
    let entry = Entry { path: "disk/disk.qcow2", mode: 0o444, owner: QEMU_USER, content: disk };
    write(&[entry], &[], Map::new(), file)
}

/// What urunc has to know: what kind of unikernel it is, what runs it, where it is and with which words.
fn urunc(words: &[String]) -> Map<String, Value> {
    let mut all = Map::new();
    let mut put = |name: &str, value: String| {
        all.insert(format!("com.urunc.unikernel.{name}"), value.into());
    };
    put("unikernelType", "hermit".into());
    put("hypervisor", "qemu".into());
    put("binary", format!("/{KERNEL}"));
    put("mountRootfs", "false".into());
    if !words.is_empty() {
        put("cmdline", words::join(words));
    }
    all
}

fn write(
    entries: &[Entry<'_>],
    words: &[String],
    annotations: Map<String, Value>,
    file: &Path,
) -> Result<()> {
    let plain = layer(entries)?;
    // no name and no time in the head: the same content is the same image
    let mut layer = GzBuilder::new().write(Vec::new(), Compression::default());
    layer.write_all(&plain)?;
    let layer = layer.finish()?;
    // urunc joins them by spaces and nothing else, so that each has its backslashes already
    let command = words.iter().map(|word| words::join([word])).collect::<Vec<_>>();
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Cmd": command, "Labels": annotations, "WorkingDir": "/" },
        "rootfs": { "type": "layers", "diff_ids": [digest(&plain)] },
        "history": [{ "created_by": "cargo image build" }],
    });
    let config = serde_json::to_vec(&config)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &layer)],
        "annotations": annotations,
    });
    let manifest = serde_json::to_vec(&manifest)?;
    let mut listed = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    listed["platform"] = json!({ "architecture": "amd64", "os": "linux" });
    listed["annotations"] = json!({ "org.opencontainers.image.ref.name": "latest" });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [listed],
    });

    let output = File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    let mut archive = tar::Builder::new(output);
    let mut add = |path: &str, content: &[u8]| {
        append(&mut archive, &Entry { path, mode: 0o644, owner: 0, content })
    };
    add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    add("index.json", &serde_json::to_vec(&index)?)?;
    for blob in [&manifest, &config, &layer] {
        add(&format!("blobs/{}", digest(blob).replace(':', "/")), blob)?;
    }
    archive.into_inner()?.flush()?;
    Ok(())
}

/// The layer, as a tar archive.
fn layer(entries: &[Entry<'_>]) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for entry in entries {
        if let Some((directory, _)) = entry.path.rsplit_once('/') {
            let mut header = header(0o755, 0, 0);
            header.set_entry_type(EntryType::Directory);
            archive.append_data(&mut header, format!("{directory}/"), &[][..])?;
        }
        append(&mut archive, entry)?;
    }
    Ok(archive.into_inner()?)
}

fn append(archive: &mut tar::Builder<impl Write>, entry: &Entry<'_>) -> Result<()> {
    let mut header = header(entry.mode, entry.owner, entry.content.len() as u64);
    archive.append_data(&mut header, entry.path, entry.content)?;
    Ok(())
}

/// Of no time: the same content is the same archive.
fn header(mode: u32, owner: u64, length: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(mode);
    header.set_uid(owner);
    header.set_gid(owner);
    header.set_size(length);
    header.set_mtime(0);
    header
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(content), "size": content.len() })
}

fn digest(content: &[u8]) -> String {
    let hex = Sha256::digest(content).into_iter().map(|octet| format!("{octet:02x}"));
    format!("sha256:{}", hex.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    use crate::scratch::Scratch;

    /// The files of an archive.
    fn files(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().display().to_string(), content)
        });
        entries.collect()
    }

    #[test]
    fn digests_lead_to_the_file() {
        let scratch = Scratch::new("oci").unwrap();
        let file = scratch.path().join("image.tar");
        unikernel(b"packed", &["http://h/".into(), "--send=a b".into()], &file).unwrap();
        let all = files(&std::fs::read(&file).unwrap());
        let find = |name: &str| &all.iter().find(|(it, _)| it == name).unwrap().1;
        let json = |name: &str| serde_json::from_slice::<Value>(find(name)).unwrap();
        let blob = |it: &Value| {
            let digest = it["digest"].as_str().unwrap();
            let name = format!("blobs/{}", digest.replace(':', "/"));
            assert_eq!(find(&name).len() as u64, it["size"].as_u64().unwrap());
            name
        };
        let index = json("index.json");
        let manifest = json(&blob(&index["manifests"][0]));
        let config = json(&blob(&manifest["config"]));
        assert_eq!(config["config"]["Cmd"], json!(["http://h/", r"--send=a\ b"]));
        let annotation =
            |name: &str| &manifest["annotations"][format!("com.urunc.unikernel.{name}")];
        assert_eq!(annotation("unikernelType"), "hermit");
        assert_eq!(annotation("cmdline"), r"http://h/ --send=a\ b");

        let mut plain = Vec::new();
        let layer = find(&blob(&manifest["layers"][0]));
        flate2::read::GzDecoder::new(&layer[..]).read_to_end(&mut plain).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"], json!([digest(&plain)]));
        let layer = files(&plain);
        assert_eq!(layer[1], (KERNEL.into(), b"packed".to_vec()));
        let settings: Value = serde_json::from_slice(&layer[2].1).unwrap();
        let binary = settings["com.urunc.unikernel.binary"].as_str().unwrap();
        assert_eq!(STANDARD.decode(binary).unwrap(), b"/unikernel/kernel");
    }

    #[test]
    fn without_words_whoever_runs_it_gives_them() {
        assert!(!urunc(&[]).contains_key("com.urunc.unikernel.cmdline"));
    }
}
