//! The program of the image `default`.
#![forbid(unsafe_code)]

fn main() {
    kernel_app::boot(&kernel_app::Program);
}
