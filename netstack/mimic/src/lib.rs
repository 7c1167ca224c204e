//! Hot-connect of a transmission protocol from dynamic values: typed keys, contexts, derivations and a registry
