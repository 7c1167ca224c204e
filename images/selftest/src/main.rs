//! A small program for the boot tests: its boot words choose what it does.
use hermit as _;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    println!("hello {args:?}");
}
