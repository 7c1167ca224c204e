//! Nothing: this package only pins a source, see its manifest.
