//! Boot loader (skeleton).
