use super::*;
use proptest::prelude::*;

fn parse(text: &str) -> Target {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_uri_is_taken_apart() {
    let target = parse("HTTPS://me:p%40ss@Example.COM:8443/a%20b?c=d#e");
    assert_eq!(target.scheme, Scheme::Https);
    assert_eq!(target.user.as_deref(), Some("me"));
    assert_eq!(target.password.as_deref(), Some("p@ss"));
    assert_eq!(target.host, Host::Name("example.com".into()));
    assert_eq!(target.port_or_default(), Some(8443));
    assert_eq!(target.origin_form(), "/a%20b?c=d");
    assert_eq!(target.authority(), "example.com:8443");
    assert_eq!(target.to_string(), "https://me@example.com:8443/a%20b?c=d");
}

#[test]
fn a_webs_path_has_no_dots() {
    for (path, without) in [
        ("/a/b/../c", "/a/c"),
        ("/../../a", "/a"),
        ("/a/./b/.", "/a/b/"),
        ("/a/..", "/"),
        ("/a//../b", "/a/b"),
        ("/..a/.b/...", "/..a/.b/..."),
        ("", ""),
    ] {
        assert_eq!(parse(&format!("http://h{path}?/../q")).path, without, "{path}");
    }
    assert_eq!(parse("git://h/a/../b").path, "/a/../b");
}

#[test]
fn what_is_no_target_shows_no_password() {
    for (text, masked) in [
        ("http://u:pw@b/", "http://u:***@b/"),
        ("git:hunter2@host:repo", "git:***@host:repo"),
        ("http://u:p/w@x@b/", "http://u:***@b/"),
        ("http://b:80/", "http://b:80/"),
        ("git@host:repo", "git@host:repo"),
        ("nothing", "nothing"),
    ] {
        assert_eq!(super::masked(text), masked);
    }
    let error = "http://u:70000/x@h/".parse::<Target>().unwrap_err().to_string();
    assert!(!error.contains("70000") && error.contains("%2F"), "{error}");
    let error = "http://u:70000/x".parse::<Target>().unwrap_err().to_string();
    assert!(error.contains("`70000`"), "{error}");
    let error = "git:hunter2@host:repo".parse::<Target>().unwrap_err().to_string();
    assert!(!error.contains("hunter2") && error.contains("git:***@host"), "{error}");
}

#[test]
fn defaults_follow_the_scheme() {
    for (text, port, authority, form) in [
        ("http://h", Some(80), "h", "/"),
        ("https://h:443/x", Some(443), "h", "/x"),
        ("git://h/r", Some(9418), "h", "/r"),
        ("icmp://h", None, "h", "/"),
        ("http://[::1]:8080?q", Some(8080), "[::1]:8080", "/?q"),
        ("http://h:/", Some(80), "h", "/"),
        ("vsock://2:4294967295", Some(u32::MAX), "2:4294967295", "/"),
    ] {
        let target = parse(text);
        assert_eq!(target.port_or_default(), port, "{text}");
        assert_eq!(target.authority(), authority, "{text}");
        assert_eq!(target.origin_form(), form, "{text}");
    }
}

#[test]
fn the_scp_form_names_a_repository() {
    for (text, user, host, path) in [
        ("git@github.com:mirage/ocaml.git", "git", "github.com", "mirage/ocaml.git"),
        ("git@10.0.0.0:a", "git", "10.0.0.0", "a"),
        ("git@[10.0.0.0]:a", "git", "10.0.0.0", "a"),
        ("git@[::1]:~/a b", "git", "[::1]", "~/a b"),
        ("git@[IPv6:::1]:a", "git", "[::1]", "a"),
    ] {
        let target = parse(text);
        assert_eq!(target.scheme, Scheme::Scp);
        assert_eq!(target.user.as_deref(), Some(user));
        assert_eq!(target.host.to_string(), host);
        assert_eq!(target.path, path);
        assert_eq!(target.port_or_default(), Some(22));
    }
}

#[test]
fn raw_names_its_protocol() {
    assert_eq!(parse("raw://10.0.2.2?protocol=253").ip_protocol(), Some(253));
    for text in ["raw://h", "raw://h?protocol=256", "raw://h?proto=1"] {
        assert_eq!(text.parse::<Target>(), Err(Error::NoProtocol), "{text}");
    }
}

#[test]
fn a_users_scheme_needs_no_host() {
    let target = parse("fifo:///tmp/pipe");
    assert_eq!(target.scheme, Scheme::Other("fifo".into()));
    assert_eq!((target.host.to_string().as_str(), target.path.as_str()), ("", "/tmp/pipe"));
    assert_eq!(target.to_string(), "fifo:///tmp/pipe");
}

#[test]
fn a_repository_is_a_path_at_its_host() {
    for (text, path) in [
        ("git://h/a%20b.git", Some("/a b.git")),
        ("ssh://me@h:2222/~me/r", Some("~me/r")),
        ("git@h:team/r%20", Some("team/r%20")),
        ("git@h:/srv/r", Some("/srv/r")),
        ("git://h", None),
        ("git://h//", None),
        ("git://h/a%00host=b", None),
        ("git://h/a%0Ab", None),
        ("git://h/%ff", None),
    ] {
        assert_eq!(parse(text).repository().as_deref(), path, "{text}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (text, says) in [
        ("", "is no target"),
        ("example.com", "is no target"),
        ("http://", "names no host"),
        ("http:///x", "names no host"),
        ("tcp://h", "expected tcp://HOST:PORT"),
        ("tls://h/x", "expected tls://HOST:PORT"),
        ("http://h:0", "not a port"),
        ("http://h:65536", "not a port"),
        ("http://h:8o", "not a URI"),
        ("http://a b/", "not a URI"),
        ("http://h/%zz", "not a URI"),
        ("http://-h/", "neither an address nor a host name"),
        ("http://a..b/", "neither an address nor a host name"),
        ("http://1.2.3.456/", "neither an address nor a host name"),
        ("http://[::1/", "not a URI"),
        ("http://%ff@h/", "user information"),
        ("1http://h/", "not a URI"),
        ("git@host", "is no target"),
        ("@host:path", "is no target"),
    ] {
        let error = text.parse::<Target>().map(|t| t.to_string()).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn other_scripts_are_put_in_ascii() {
    for (text, shown) in [
        ("http://münchen.de/", "http://xn--mnchen-3ya.de/"),
        (
            "http://jörg:ö@BÜCHER.example:81/ä?ß#ü",
            "http://j%C3%B6rg@xn--bcher-kva.example:81/%C3%A4?%C3%9F",
        ),
        ("http://h/日本", "http://h/%E6%97%A5%E6%9C%AC"),
    ] {
        assert_eq!(parse(text).to_string(), shown);
    }
    assert!("http://☃/".parse::<Target>().is_err());
}

#[test]
fn references_are_resolved_as_browsers_do() {
    let base = parse("http://me:pw@h:81/a/b?q");
    for (reference, target) in [
        ("c", "http://h:81/a/c"),
        ("/c?d#e", "http://h:81/c?d"),
        ("../../..//x", "http://h:81//x"),
        ("?z", "http://h:81/a/b?z"),
        ("//other/x", "http://other/x"),
        ("https://you:secret@other", "https://other"),
        ("HTTP://OTHER:80/", "http://other:80/"),
        ("/a b|c[]=%zz%41", "http://h:81/a%20b%7Cc%5B%5D=%25zz%41"),
        ("/ä", "http://h:81/%C3%A4"),
        ("//bücher.example/ä", "http://xn--bcher-kva.example/%C3%A4"),
        (" /x ", "http://h:81/x"),
        ("", "http://h:81/a/b?q"),
        ("/x#a#b", "http://h:81/x"),
        ("http://[::1]:8/x", "http://[::1]:8/x"),
    ] {
        let outcome = base.resolve(reference.as_bytes()).map(|target| target.to_string());
        assert_eq!(outcome.as_deref(), Ok(target), "{reference}");
    }
    assert_eq!(base.resolve(b"/\xff\r\n").unwrap().path, "/%FF");
    for reference in
        ["http://", "http://a b/", "http://h:99999/", "mailto:a@b", "http:///x", "//a..b/"]
    {
        assert!(base.resolve(reference.as_bytes()).is_err(), "{reference}");
    }
}

#[test]
fn origins_are_scheme_host_and_port() {
    let same = |one: &str, other: &str| parse(one).is_same_origin(&parse(other));
    assert!(same("http://h/a", "http://me@H:80/b"));
    assert!(!same("http://h", "https://h"));
    assert!(!same("http://h", "http://h:81"));
    assert!(!same("http://h", "http://i"));
}

#[test]
fn a_password_is_never_shown() {
    let target = parse("http://user:hunter2@h/");
    assert!(!format!("{target} {target:?}").contains("hunter2"));
}

#[test]
fn a_user_s_name_is_shown_as_it_can_be_typed() {
    for text in ["http://a%0Ab@h/", "ssh://x%40y%3Az%2F@h/p", "http://%C3%BC.~!@h/"] {
        assert_eq!(parse(text).to_string(), text);
    }
    assert_eq!(parse("http://a%0Ab@h/").user.as_deref(), Some("a\nb"));
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in ".{0,40}") {
        let _ = text.parse::<Target>();
        let _ = format!("http://{text}").parse::<Target>();
        let _ = parse("http://h/a").resolve(text.as_bytes());
    }

    #[test]
    fn display_parses_back(text in "(http|git|udp|x)://([a-z]{1,3}@)?[a-z]{1,5}:[1-9][0-9]{0,3}(/[a-z]{0,4}){0,2}(\\?[a-z]{0,4})?") {
        let target = parse(&text);
        prop_assert_eq!(target.to_string(), text);
    }
}
