//! What runs the machine's instructions: KVM where it really works, else QEMU's translator.

use std::fs::{self, File};

use crate::failure::Failure;
use crate::options::Accel;

/// Whether KVM runs the machine. A `/dev/kvm` that opens is no proof: without hardware virtualisation
/// behind it, it fails at the first unusual instruction.
pub fn uses_kvm(asked: Accel) -> Result<bool, Failure> {
    match asked {
        Accel::Tcg => Ok(false),
        Accel::Auto => Ok(usable().is_ok()),
        Accel::Kvm => usable().map(|()| true).map_err(|cause| {
            Failure::usage(format!("KVM cannot be used here: {cause}; use --accel tcg"))
        }),
    }
}

/// Whether uhyve can run a machine, which it does on KVM alone.
pub fn for_uhyve(asked: Accel) -> Result<(), Failure> {
    let cause = match asked {
        Accel::Tcg => "it has no translator of its own, so that --accel tcg cannot be".into(),
        Accel::Auto | Accel::Kvm => match usable() {
            Ok(()) => return Ok(()),
            Err(cause) => format!("it needs KVM, which cannot be used here: {cause}"),
        },
    };
    Err(Failure::usage(format!("uhyve cannot run the machine: {cause}; use --target qemu")))
}

fn usable() -> Result<(), String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if !has_virtualisation(&cpu) {
        return Err("the CPU shows neither vmx nor svm in /proc/cpuinfo".into());
    }
    match File::options().read(true).write(true).open("/dev/kvm") {
        Ok(_) => Ok(()),
        Err(error) => Err(format!(
            "/dev/kvm does not open: {error} (the group kvm may, or load the module kvm_intel or kvm_amd)"
        )),
    }
}

fn has_virtualisation(cpuinfo: &str) -> bool {
    cpuinfo
        .lines()
        .filter(|line| line.starts_with("flags"))
        .flat_map(str::split_whitespace)
        .any(|flag| flag == "vmx" || flag == "svm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_whole_words() {
        assert!(has_virtualisation("model\t: x\nflags\t\t: fpu svm avx2\n"));
        assert!(has_virtualisation("flags : vmx"));
        assert!(!has_virtualisation("flags : fpu svm_lock avx2\nmodel name : vmx"));
    }

    #[test]
    fn tcg_is_never_kvm() {
        assert!(!uses_kvm(Accel::Tcg).unwrap());
        assert!(for_uhyve(Accel::Tcg).unwrap_err().to_string().contains("--target qemu"));
    }
}
