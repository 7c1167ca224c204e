//! The boot line's way through the loader, against a model of its rules.

mod model;

use proptest::prelude::*;

#[test]
fn the_model_splits_as_mirage_does() {
    let table: [(&str, &[&str]); 9] = [
        ("foo bar baz", &["foo", "bar", "baz"]),
        (r#"foo "bar" baz"#, &["foo", "bar", "baz"]),
        (r#"f\ oo b\"r baz"#, &["f oo", "b\"r", "baz"]),
        (r#"foo bar"bie"boo baz"#, &["foo", "barbieboo", "baz"]),
        (r#"foo "bar baz""#, &["foo", "bar baz"]),
        (r"foo bar\ baz", &["foo", "bar baz"]),
        ("  ", &[]),
        (r#"a "" b"#, &["a", "", "b"]),
        ("it's", &["it's"]),
    ];
    for (line, words) in table {
        assert_eq!(model::words(line).unwrap(), words, "{line}");
        model::check(line);
    }
    for line in ["\\", "a \"b c", "\"a\\\""] {
        assert_eq!(model::words(line), None, "{line}");
        model::check(line);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_kernel_reads_what_the_rules_say(line in r#"[ab \-"\\'#$\t\n]{0,24}"#) {
        model::check(&line);
    }

    #[test]
    fn so_with_any_characters(line in ".*") {
        model::check(&line);
    }
}
