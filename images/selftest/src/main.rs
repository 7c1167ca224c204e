//! A small Hermit program for the boot tests: its first boot word chooses the test, the rest are
//! the test's. What a test finds it prints; the host's test asserts on that and on the exit code.
//!
//! It has unsafe code for one purpose: to fault.

#[cfg(target_os = "hermit")]
mod tests;

#[cfg(target_os = "hermit")]
fn main() {
    tests::run();
}

#[cfg(not(target_os = "hermit"))]
fn main() {
    eprintln!("this program is for x86_64-unknown-hermit");
    std::process::exit(64);
}
