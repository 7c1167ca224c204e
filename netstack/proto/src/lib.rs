//! Codecs without I/O: the target URI, boot words, authenticator strings, DNS queries
