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

/// Files of ours, new or in the place of the kernel's own, that the edits refer to.
pub const ADDITIONS: &[(&str, &str)] = &[
    ("src/clock.rs", include_str!("../kernel/additions/clock.rs")),
    ("src/entropy.rs", include_str!("../kernel/additions/entropy.rs")),
    ("src/fault.rs", include_str!("../kernel/additions/fault.rs")),
    ("src/interrupt_word.rs", include_str!("../kernel/additions/interrupt_word.rs")),
    ("src/kvm_clock.rs", include_str!("../kernel/additions/kvm_clock.rs")),
];

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
    Edit {
        file: "src/scheduler/task.rs",
        anchor: "let mut cursor = self.list.cursor_front_mut();\n\t\t\tlet set_oneshot_timer = || {\n\t\t\t\t#[cfg(not(any(feature = \"tcp\", feature = \"udp\")))]\n\t\t\t\tarch::set_oneshot_timer(wakeup_time);",
        replacement: "let first = self.list.front().and_then(|node| node.wakeup_time);\n\t\t\tlet mut cursor = self.list.cursor_front_mut();\n\t\t\tlet set_oneshot_timer = || {\n\t\t\t\t#[cfg(not(any(feature = \"tcp\", feature = \"udp\")))]\n\t\t\t\tarch::set_oneshot_timer(Some(first.map_or(wt, |first| first.min(wt))));",
        reason: "a thread that blocks for long must not put off the timer of one that blocks for short",
    },
    Edit {
        file: "src/arch/x86_64/kernel/apic.rs",
        anchor: "let tsc_deadline = wt * (u64::from(processor::get_frequency()));",
        replacement: "let tsc_deadline = wt.saturating_mul(u64::from(processor::get_frequency()));",
        reason: "a wake-up in the far future must not overflow to now",
    },
    Edit {
        file: "src/arch/x86_64/kernel/apic.rs",
        anchor: "CALIBRATED_COUNTER_VALUE.get().unwrap() * ticks,",
        replacement: "CALIBRATED_COUNTER_VALUE.get().unwrap().saturating_mul(ticks),",
        reason: "a wake-up in the far future must not overflow to now",
    },
    Edit {
        file: "src/syscalls/tasks.rs",
        anchor: "let wakeup_time = arch::processor::get_timer_ticks() + usecs;",
        replacement: "let wakeup_time = arch::processor::get_timer_ticks().saturating_add(usecs);",
        reason: "a sleep without end must not overflow to none",
    },
    Edit {
        file: "src/syscalls/futex.rs",
        anchor: "Some(usec) if usec >= 0 => Some(usec as u64),",
        replacement: "None => None,\n\t\t\tSome(usec) if usec >= 0 => Some(usec as u64),",
        reason: "a timeout of more microseconds than there are is none, not an error that lets the caller spin",
    },
    Edit {
        file: "src/scheduler/task.rs",
        anchor: "pub fn custom_wakeup(&mut self, task: TaskHandle) -> Rc<RefCell<Task>> {",
        replacement: "pub fn custom_wakeup(&mut self, task: TaskHandle) -> Option<Rc<RefCell<Task>>> {",
        reason: "the timer may have woken a thread that is woken: that is no error (1 of 4)",
    },
    Edit {
        file: "src/scheduler/task.rs",
        anchor: "return task_ref;",
        replacement: "return Some(task_ref);",
        reason: "the timer may have woken a thread that is woken: that is no error (2 of 4)",
    },
    Edit {
        file: "src/scheduler/task.rs",
        anchor: "unreachable!();",
        replacement: "None",
        reason: "the timer may have woken a thread that is woken: that is no error (3 of 4)",
    },
    Edit {
        file: "src/scheduler/mod.rs",
        anchor: "\t#[cfg(not(feature = \"smp\"))]\n\tpub fn custom_wakeup(&mut self, task: TaskHandle) {\n\t\twithout_interrupts(|| {\n\t\t\tlet task = self.blocked_tasks.custom_wakeup(task);\n\t\t\tself.ready_queue.push(task);",
        replacement: "\t#[cfg(not(feature = \"smp\"))]\n\tpub fn custom_wakeup(&mut self, task: TaskHandle) {\n\t\twithout_interrupts(|| {\n\t\t\tif let Some(task) = self.blocked_tasks.custom_wakeup(task) {\n\t\t\t\tself.ready_queue.push(task);\n\t\t\t}",
        reason: "the timer may have woken a thread that is woken: that is no error (4 of 4)",
    },
    Edit {
        file: "src/syscalls/entropy.rs",
        anchor: "\tif ret < 0 {\n\t\twarn!(\"Unable to read entropy! Fallback to a naive implementation!\");\n\t\tfor i in &mut *buf {\n\t\t\t*i = (generate_park_miller_lehmer_random_number() & 0xff)\n\t\t\t\t.try_into()\n\t\t\t\t.unwrap();\n\t\t}\n\t\tbuf.len().try_into().unwrap()\n\t} else {\n\t\tret\n\t}\n",
        replacement: "\tret\n",
        reason: "no entropy is an error, never the output of a weak generator",
    },
    Edit {
        file: "src/syscalls/entropy.rs",
        anchor: "/// The function computes a sequence of pseudo-random integers\n/// in the range of 0 to RAND_MAX\n",
        replacement: "/// Mixes `len` octets at `seed` into the pool.\n#[unsafe(no_mangle)]\npub unsafe extern \"C\" fn sys_add_entropy(seed: *const u8, len: usize) {\n\tentropy::add(unsafe { slice::from_raw_parts(seed, len) });\n}\n\n/// Whether `sys_read_entropy` gives random octets.\n#[unsafe(no_mangle)]\npub extern \"C\" fn sys_entropy_ready() -> bool {\n\tentropy::is_ready()\n}\n\n/// The function computes a sequence of pseudo-random integers\n/// in the range of 0 to RAND_MAX\n",
        reason: "the program can add the seed of a device",
    },
    Edit {
        file: "src/arch/x86_64/kernel/interrupts.rs",
        anchor: "\tIRQ_NAMES.lock().insert(7, \"FPU\");",
        replacement: "\tcrate::fault::install(&mut idt);\n\n\tIRQ_NAMES.lock().insert(7, \"FPU\");",
        reason: "an exception ends the machine, not only the thread",
    },
    Edit {
        file: "src/arch/x86_64/kernel/interrupts.rs",
        anchor: "\tapic::eoi();\n\tincrement_irq_counter(index);",
        replacement: "\tcrate::interrupt_word::bump(index);\n\tapic::eoi();\n\tincrement_irq_counter(index);",
        reason: "the program can wait for a device's interrupt",
    },
    Edit {
        file: "src/scheduler/mod.rs",
        anchor: "\tcore_scheduler().exit(-1)\n",
        replacement: "\tpanic_println!(\"fault: given up by the kernel\");\n\tshutdown(crate::fault::EXIT_CODE)\n",
        reason: "what the kernel aborts ends the machine, not only the thread",
    },
    Edit {
        file: "src/syscalls/tasks.rs",
        anchor: "\texit(-1)\n",
        replacement: "\texit(crate::fault::EXIT_CODE)\n",
        reason: "an abort, which a panic is too, has the exit code of a fault",
    },
    Edit {
        file: "src/lib.rs",
        anchor: "mod env;\n",
        replacement: "mod clock;\nmod env;\nmod fault;\nmod interrupt_word;\nmod kvm_clock;\n",
        reason: "our modules",
    },
    Edit {
        file: "src/lib.rs",
        anchor: "\tlet core_id = crate::arch::core_local::core_id();\n\tpanic_println!(\"[{core_id}][PANIC] {info}\\n\");\n\n\tcrate::scheduler::shutdown(1);",
        replacement: "\tmatch info.location() {\n\t\tSome(at) => panic_println!(\"fault: kernel panic at {at}: {}\", info.message()),\n\t\tNone => panic_println!(\"fault: kernel panic: {}\", info.message()),\n\t}\n\tcrate::scheduler::shutdown(fault::EXIT_CODE);",
        reason: "a panic of the kernel is one line and has the exit code of a fault",
    },
    Edit {
        file: "src/arch/x86_64/kernel/processor.rs",
        anchor: "fn qemu_exit(success: bool) {\n\tlet code = if success { 3 >> 1 } else { 0 };\n\tunsafe {\n\t\tPort::<u32>::new(0xf4).write(code);\n\t}\n}",
        replacement: "fn qemu_exit(code: i32) {\n\tunsafe {\n\t\tPort::<u32>::new(0xf4).write(u32::try_from(code).unwrap_or(0x7f).min(0x7f));\n\t}\n}",
        reason: "QEMU's debug exit reports the program's exit code (1 of 2)",
    },
    Edit {
        file: "src/arch/x86_64/kernel/processor.rs",
        anchor: "qemu_exit(error_code == 0);",
        replacement: "qemu_exit(error_code);",
        reason: "QEMU's debug exit reports the program's exit code (2 of 2)",
    },
    Edit {
        file: "src/syscalls/mod.rs",
        anchor: "\t// print some performance statistics\n\tcrate::arch::kernel::print_statistics();\n",
        replacement: "",
        reason: "the console is the program's, also at its end (1 of 2)",
    },
    Edit {
        file: "src/syscalls/interfaces/mod.rs",
        anchor: "panic_println!(\"exit status {error_code}\");",
        replacement: "crate::console::flush();",
        reason: "the console is the program's, also at its end (2 of 2)",
    },
    Edit {
        file: "src/console.rs",
        anchor: "#[doc(hidden)]\npub fn _panic_print(",
        replacement: "/// Writes what has no line's end yet. Only at the machine's end, for nobody else's lock is respected.\npub(crate) fn flush() {\n\tlet mut console = unsafe { CONSOLE.make_guard_unchecked() };\n\tlet Console { inner, buffer } = &mut *console;\n\tinner.write(buffer);\n\tbuffer.clear();\n\tmem::forget(console);\n}\n\n#[doc(hidden)]\npub fn _panic_print(",
        reason: "a last line without an end is a line too",
    },
    Edit {
        file: "src/arch/x86_64/kernel/processor.rs",
        anchor: "\t\t\t\t.or_else(|_e| self.detect_from_cpuid(&cpuid))\n",
        replacement: "",
        reason: "the measurement of the clock takes 3 ms of the start, not 40 (1 of 4)",
    },
    Edit {
        file: "src/arch/x86_64/kernel/processor.rs",
        anchor: "\t\t\t\t.or_else(|_e| self.detect_from_cpuid_brand_string(&cpuid))\n\t\t\t\t.or_else(|_e| self.measure_frequency())\n",
        replacement: "\t\t\t\t.or_else(|_e| {\n\t\t\t\t\tlet mhz = crate::kvm_clock::megahertz().or_else(crate::clock::megahertz).ok_or(())?;\n\t\t\t\t\tself.set_detected_cpu_frequency(mhz, CpuFrequencySources::Measurement)\n\t\t\t\t})\n\t\t\t\t.or_else(|_e| self.detect_from_cpuid(&cpuid))\n\t\t\t\t.or_else(|_e| self.detect_from_cpuid_brand_string(&cpuid))\n",
        reason: "the measurement of the clock takes 3 ms of the start, not 40 (2 of 4)",
    },
    Edit {
        file: "src/arch/x86_64/kernel/mod.rs",
        anchor: "pub fn boot_processor_init() {\n",
        replacement: "pub fn boot_processor_init() {\n\tif !env::is_uhyve() {\n\t\tcrate::clock::start();\n\t}\n",
        reason: "the measurement of the clock takes 3 ms of the start, not 40 (3 of 4)",
    },
    Edit {
        file: "src/arch/x86_64/kernel/apic.rs",
        anchor: "let microseconds = 30_000;",
        replacement: "let microseconds = 1_000;",
        reason: "the measurement of the clock takes 3 ms of the start, not 40 (4 of 4)",
    },
    Edit {
        file: "src/arch/x86_64/kernel/apic.rs",
        anchor: "\tprocessor::udelay(microseconds);\n",
        replacement: "\tlet start = processor::get_timestamp();\n\tprocessor::udelay(microseconds);\n",
        reason: "the timer's calibration counts by the clock, for the first run of code may take long (1 of 2)",
    },
    Edit {
        file: "src/arch/x86_64/kernel/apic.rs",
        anchor: "(u64::from(u32::MAX - local_apic_read(IA32_X2APIC_CUR_COUNT))) / microseconds;",
        replacement: "u64::from(u32::MAX - local_apic_read(IA32_X2APIC_CUR_COUNT))\n\t\t\t* u64::from(processor::get_frequency())\n\t\t\t/ (processor::get_timestamp() - start);",
        reason: "the timer's calibration counts by the clock, for the first run of code may take long (2 of 2)",
    },
    Edit {
        file: "src/fs/mod.rs",
        anchor: "\tconst UTC_BUILT_TIME: &str = build_time::build_time_utc!();\n",
        replacement: "",
        reason: "a file nobody reads costs start time, and the time of the build in it makes builds differ (1 of 2)",
    },
    Edit {
        file: "src/fs/mod.rs",
        anchor: "\tif let Ok(mut file) = File::create(\"/proc/version\") {\n\t\tif write!(file, \"HermitOS version {VERSION} # UTC {UTC_BUILT_TIME}\").is_err() {\n\t\t\terror!(\"Unable to write in /proc/version\");\n\t\t}\n\t} else {\n\t\terror!(\"Unable to create /proc/version\");\n\t}\n\n",
        replacement: "",
        reason: "a file nobody reads costs start time, and the time of the build in it makes builds differ (2 of 2)",
    },
    Edit {
        file: "src/arch/x86_64/kernel/apic.rs",
        anchor: "\t\t\t\tinit_ioapic_address(PhysAddr::new(ioapic_record.address.into()));",
        replacement: "\t\t\t\tif IOAPIC_ADDRESS.get().is_none() {\n\t\t\t\t\tinit_ioapic_address(PhysAddr::new(ioapic_record.address.into()));\n\t\t\t\t}",
        reason: "a machine may have two interrupt controllers, as QEMU's microvm; the kernel takes one",
    },
    Edit {
        file: "src/fd/stdio.rs",
        anchor: "\t\tlet write_params = WriteParams {\n\t\t\tfd: STDOUT_FILENO,",
        replacement: "\t\tlet buf = &buf[..buf.len().min(4096 - buf.as_ptr().addr() % 4096)];\n\t\tlet write_params = WriteParams {\n\t\t\tfd: STDOUT_FILENO,",
        reason: "uhyve takes the memory behind a buffer for contiguous, which it is inside a page only (1 of 4)",
    },
    Edit {
        file: "src/fd/stdio.rs",
        anchor: "\t\tlet write_params = WriteParams {\n\t\t\tfd: STDERR_FILENO,",
        replacement: "\t\tlet buf = &buf[..buf.len().min(4096 - buf.as_ptr().addr() % 4096)];\n\t\tlet write_params = WriteParams {\n\t\t\tfd: STDERR_FILENO,",
        reason: "uhyve takes the memory behind a buffer for contiguous, which it is inside a page only (2 of 4)",
    },
    Edit {
        file: "src/fs/uhyve.rs",
        anchor: "\t\tlet write_params = WriteParams {\n\t\t\tfd: self.0,",
        replacement: "\t\tlet buf = &buf[..buf.len().min(4096 - buf.as_ptr().addr() % 4096)];\n\t\tlet write_params = WriteParams {\n\t\t\tfd: self.0,",
        reason: "uhyve takes the memory behind a buffer for contiguous, which it is inside a page only (3 of 4)",
    },
    Edit {
        file: "src/fs/uhyve.rs",
        anchor: "\t\tlet mut read_params = ReadParams {",
        replacement: "\t\tlet len = buf.len().min(4096 - buf.as_ptr().addr() % 4096);\n\t\tlet buf = &mut buf[..len];\n\t\tlet mut read_params = ReadParams {",
        reason: "uhyve takes the memory behind a buffer for contiguous, which it is inside a page only (4 of 4)",
    },
    Edit {
        file: "src/arch/x86_64/kernel/apic.rs",
        anchor: "\twarn!(\"Try to use default APIC address\");\n",
        replacement: "",
        reason: "uhyve has no tables that name the controller, which is no news",
    },
    Edit {
        file: "src/arch/x86_64/kernel/apic.rs",
        anchor: "\tif !env::is_uhyve() {\n\t\tinit_ioapic_address(default_address);\n",
        replacement: "\tif !env::is_uhyve() {\n\t\tinit_ioapic_address(PhysAddr::new(0xfec0_0000));\n",
        reason: "a machine without tables has its interrupt controller where all have it, not in the processor's place",
    },
    Edit {
        file: "src/arch/x86_64/kernel/acpi.rs",
        anchor: "let rsdp = detect_acpi().expect(\"Hermit requires an ACPI-compliant system\");",
        replacement: "let Ok(rsdp) = detect_acpi() else { return };",
        reason: "microvms have no ACPI (1 of 2)",
    },
    Edit {
        file: "src/arch/x86_64/kernel/acpi.rs",
        anchor: "\t\twarn!(\"ACPI Power Off is not available\");\n",
        replacement: "",
        reason: "microvms have no ACPI (2 of 2)",
    },
    Edit {
        file: "src/arch/x86_64/kernel/acpi.rs",
        anchor: "\tlet ebda_address = PhysAddr::new(u64::from(*ebda_ptr_location) << 4);\n",
        replacement: "\tlet ebda_address = PhysAddr::new(u64::from(*ebda_ptr_location) << 4);\n\tpaging::unmap::<BasePageSize>(VirtAddr::new(0), 1);\n",
        reason: "a null pointer is a fault again once the BIOS's page has been read",
    },
    Edit {
        file: "src/arch/x86_64/kernel/apic.rs",
        anchor: "\t\twarn!(\"No MP table entries! Guess IO-APIC!\");\n",
        replacement: "",
        reason: "microvms' tables have no entries, which is no news",
    },
    Edit {
        file: "src/arch/x86_64/kernel/processor.rs",
        anchor: "\tqemu_exit(error_code);\n",
        replacement: "\tqemu_exit(error_code);\n\tif error_code != 0 {\n\t\tpanic_println!(\"exit code {error_code}\");\n\t}\n",
        reason: "where no device takes the exit code, the console tells a failure's",
    },
    Edit {
        file: "src/arch/x86_64/kernel/systemtime.rs",
        anchor: "use hermit_sync::{OnceCell, without_interrupts};",
        replacement: "use core::sync::atomic::{AtomicU64, Ordering};\n\nuse hermit_sync::without_interrupts;",
        reason: "the time of day comes from a PC's clock, from KVM or from the program, or is not known (1 of 5)",
    },
    Edit {
        file: "src/arch/x86_64/kernel/systemtime.rs",
        anchor: "static BOOT_TIME: OnceCell<u64> = OnceCell::new();",
        replacement: "static BOOT_TIME: AtomicU64 = AtomicU64::new(0);\n\n/// Sets the time of day, in microseconds since 1970.\n#[unsafe(no_mangle)]\npub extern \"C\" fn sys_set_time_of_day(micros: u64) {\n\tBOOT_TIME.store(micros.saturating_sub(processor::get_timer_ticks()), Ordering::Relaxed);\n}",
        reason: "the time of day comes from a PC's clock, from KVM or from the program, or is not known (2 of 5)",
    },
    Edit {
        file: "src/arch/x86_64/kernel/systemtime.rs",
        anchor: "let current_time = without_interrupts(|| Rtc::new().get_microseconds_since_epoch());\n\t\t\tlet boot_time = current_time - processor::get_timer_ticks();",
        replacement: "// the lower bits of register D are 0 wherever there is such a clock\n\t\t\tlet has_rtc = Rtc::read_cmos_register(0x0d) & 0x7f == 0;\n\t\t\tlet rtc = || has_rtc.then(|| without_interrupts(|| Rtc::new().get_microseconds_since_epoch()));\n\t\t\tlet current_time = crate::kvm_clock::time_of_day().or_else(rtc).unwrap_or(0);\n\t\t\tlet boot_time = current_time.saturating_sub(processor::get_timer_ticks());",
        reason: "the time of day comes from a PC's clock, from KVM or from the program, or is not known (3 of 5)",
    },
    Edit {
        file: "src/arch/x86_64/kernel/systemtime.rs",
        anchor: "BOOT_TIME.set(micros).unwrap();",
        replacement: "BOOT_TIME.store(micros, Ordering::Relaxed);",
        reason: "the time of day comes from a PC's clock, from KVM or from the program, or is not known (4 of 5)",
    },
    Edit {
        file: "src/arch/x86_64/kernel/systemtime.rs",
        anchor: "*BOOT_TIME.get().unwrap() + super::processor",
        replacement: "BOOT_TIME.load(Ordering::Relaxed) + super::processor",
        reason: "the time of day comes from a PC's clock, from KVM or from the program, or is not known (5 of 5)",
    },
    Edit {
        file: "src/arch/x86_64/kernel/systemtime.rs",
        anchor: "let year = u16::from(self.read_datetime_register(CMOS_YEAR_REGISTER)) + 2000;",
        replacement: "let century = if self.read_datetime_register(0x32) == 19 { 1900 } else { 2000 };\n\t\tlet year = u16::from(self.read_datetime_register(CMOS_YEAR_REGISTER)) + century;",
        reason: "a clock that was never set says 1970, which is not 2070: certificates would have expired",
    },
    Edit {
        file: "src/mm/allocator.rs",
        anchor: "\t\tlet align = layout\n\t\t\t.align()\n\t\t\t.max(core::mem::align_of::<crossbeam_utils::CachePadded<u8>>());\n\t\tLayout::from_size_align(layout.size(), align).unwrap()\n",
        replacement: "\t\tlayout\n",
        reason: "one processor shares no cache lines: places of 128 octets cost memory, and searches for gaps that hold them",
    },
];
