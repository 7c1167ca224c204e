//! Our changes to the kernel, each small and with its reason.
//!
//! An anchor has to occur exactly once in its file; where a later kernel moves it, the build fails
//! and names the edit.

/// One change: `anchor`, which occurs exactly once in `file`, becomes `replacement`.
pub struct Edit {
    pub file: &'static str,
    pub anchor: &'static str,
    pub replacement: &'static str,
    pub reason: &'static str,
}

/// New files, ours, that the edits refer to.
pub const ADDITIONS: &[(&str, &str)] = &[];

/// Applied in order.
pub const EDITS: &[Edit] = &[
    Edit {
        file: "Cargo.toml",
        anchor: "[package]\n",
        replacement: "[workspace]\n\n[package]\n",
        reason: "the unpacked package lies under our workspace but is no part of it",
    },
    Edit {
        file: "src/arch/x86_64/kernel/start.rs",
        anchor: "#[naked]",
        replacement: "#[unsafe(naked)]",
        reason: "naked is an unsafe attribute since Rust 1.88",
    },
    Edit {
        file: "src/arch/x86_64/kernel/scheduler.rs",
        anchor: "#[naked]",
        replacement: "#[unsafe(naked)]",
        reason: "naked is an unsafe attribute since Rust 1.88",
    },
    Edit {
        file: "src/arch/x86_64/kernel/switch.rs",
        anchor: "#[naked]\npub(crate) unsafe extern \"C\" fn switch_to_task(",
        replacement: "#[unsafe(naked)]\npub(crate) unsafe extern \"C\" fn switch_to_task(",
        reason: "naked is an unsafe attribute since Rust 1.88",
    },
    Edit {
        file: "src/arch/x86_64/kernel/switch.rs",
        anchor: "#[naked]\npub(crate) unsafe extern \"C\" fn switch_to_fpu_owner(",
        replacement: "#[unsafe(naked)]\npub(crate) unsafe extern \"C\" fn switch_to_fpu_owner(",
        reason: "naked is an unsafe attribute since Rust 1.88",
    },
];
