//! Builds the Hermit kernel from the registry and links it
