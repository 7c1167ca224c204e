//! What the machine must have before anything is encrypted: graviola's instructions, and randomness.

use crate::error::{Cause, no_entropy};

/// Nothing of `what` starts where this fails.
pub(crate) fn check(what: &str) -> Result<(), Cause> {
    let missing = missing_instructions();
    if !missing.is_empty() {
        let text = format!(
            "this CPU lacks {} that {what} needs (run with a CPU model that has them, e.g. `-cpu host` or `-cpu max`)",
            missing.join(", ")
        );
        return Err(Cause::Unable(text));
    }
    getrandom::fill(&mut [0; 32]).map_err(|_| Cause::Unable(no_entropy()))
}

/// The instruction sets that graviola's primitives need and this CPU lacks.
fn missing_instructions() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! missing {
            ($($feature:tt)*) => {
                [$((std::arch::is_x86_feature_detected!($feature), $feature)),*]
                    .into_iter()
                    .filter_map(|(present, feature)| (!present).then_some(feature))
                    .collect()
            };
        }
        missing!("adx" "aes" "avx" "avx2" "bmi1" "bmi2" "pclmulqdq" "ssse3")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        Vec::new()
    }
}
