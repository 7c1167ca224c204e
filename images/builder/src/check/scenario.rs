//! The table of scenarios: what is typed, and what must come back.
//!
//! One list drives every backend: the same row runs against the image in QEMU and against the unix program
//! (and can be run over a simulated wire: the file format is all that is shared). `images/builder/scenarios/`
//! holds it; its README says what the keys and the names in braces mean.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::manifest::Target;

/// One row.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows; unique.
    pub name: String,
    /// The backends it runs on.
    #[serde(default = "both")]
    pub targets: Vec<Target>,
    /// The image's manifest.
    #[serde(default = "default_image")]
    pub image: String,
    /// Options of `run`; they mean something to machines only.
    #[serde(default)]
    pub run: Vec<String>,
    /// Boot arguments that are given as secrets, and their values.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// URI and boot arguments, with names in braces.
    pub arguments: Vec<String>,
    /// Standard input.
    #[serde(default)]
    pub stdin: Stdin,
    /// The exit code.
    #[serde(default)]
    pub exit: i32,
    /// Standard output.
    #[serde(default)]
    pub stdout: Stdout,
    /// Texts that the start of standard output must not hold.
    #[serde(default)]
    pub absent: Vec<String>,
    /// Texts that standard error must hold, with names in braces.
    #[serde(default)]
    pub stderr: Vec<String>,
    /// How many lines standard error has; by default one for a failure, any number otherwise.
    pub lines: Option<usize>,
    /// It needs to be root, such as for raw sockets of the host.
    #[serde(default)]
    pub root: bool,
}

/// What a scenario feeds to standard input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stdin {
    /// Nothing: /dev/null.
    #[default]
    Null,
    /// This text.
    Text(String),
    /// The file of this name, see [`super::files`].
    File(String),
    /// A pipe that stays open and stays silent.
    Open,
}

/// What standard output must be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stdout {
    /// This text exactly.
    Text(String),
    /// These octets exactly, in hexadecimal.
    Hex(String),
    /// The file of this name, octet for octet.
    File(String),
    /// Some text with each of these in it.
    Contains(Vec<String>),
    /// What a shell on this host prints for this text, octet for octet.
    Shell(String),
    /// Some text with each line in it that a shell on this host prints for this text.
    LinesOf(String),
    /// The lines that a shell on this host prints for this text, see [`is_like`].
    Like(String),
}

impl Default for Stdout {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// Whether `text` has the lines of `pattern`, word for word; there `*` stands for any word, and `N+` for a number that is not below N.
pub fn is_like(text: &str, pattern: &str) -> Result<(), String> {
    let is_same = |word: &str, wanted: &str| {
        let least = || wanted.strip_suffix('+')?.parse::<u64>().ok();
        let is_enough = |least| word.parse::<u64>().is_ok_and(|number| number >= least);
        wanted == "*" || word == wanted || least().is_some_and(is_enough)
    };
    for (line, wanted) in text.lines().zip(pattern.lines()) {
        let (words, of_pattern) = (line.split(' '), wanted.split(' '));
        let same = words.clone().count() == of_pattern.clone().count()
            && words.zip(of_pattern).all(|(word, wanted)| is_same(word, wanted));
        if !same {
            return Err(format!("expected `{wanted}`, got `{line}`"));
        }
    }
    match (text.lines().count(), pattern.lines().count()) {
        (lines, wanted) if lines == wanted => Ok(()),
        (lines, wanted) => Err(format!("expected {wanted} lines, got {lines}")),
    }
}

/// Exit codes whose failure is told in one line.
const FAILURES: [i32; 8] = [64, 65, 68, 69, 75, 76, 77, 22];

impl Scenario {
    /// How many lines of standard error are right, if that is known.
    pub fn expected_lines(&self) -> Option<usize> {
        self.lines.or_else(|| FAILURES.contains(&self.exit).then_some(1))
    }

    /// When it is ended at the latest; generous, since only a hang reaches it.
    pub fn limit(&self) -> Duration {
        Duration::from_secs(240)
    }
}

/// Reads all rows of the directory, file by file in order of name.
pub fn read_all(directory: &Path) -> Result<Vec<Scenario>> {
    let mut files = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>())
        .with_context(|| format!("cannot read {}", directory.display()))?;
    files.retain(|file| file.extension().is_some_and(|ext| ext == "toml"));
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        all.extend(parse(&text).with_context(|| format!("in {}", file.display()))?);
    }
    let mut names = all.iter().map(|scenario: &Scenario| &scenario.name).collect::<Vec<_>>();
    names.sort();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!("two scenarios are named `{}`", pair[0]);
    }
    Ok(all)
}

fn parse(text: &str) -> Result<Vec<Scenario>> {
    let table: Table = toml::from_str(text)?;
    let rows: Vec<_> = table.scenario.iter().flat_map(|row| table.expand(row)).collect();
    for scenario in &rows {
        if !scenario.run.is_empty() && scenario.targets.contains(&Target::Unix) {
            bail!("`{}` has options for a machine but runs on unix too", scenario.name);
        }
    }
    Ok(rows)
}

/// Replaces every `{name}` in `text` by what `value` gives for it; `{{` is a brace.
pub fn fill(text: &str, value: &mut dyn FnMut(&str) -> Result<String>) -> Result<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        if let Some(after) = after.strip_prefix('{') {
            filled.push('{');
            rest = after;
            continue;
        }
        let (name, after) =
            after.split_once('}').with_context(|| format!("an open brace in `{text}`"))?;
        filled.push_str(&value(name)?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    scenario: Vec<Scenario>,
    #[serde(default)]
    over: Vec<Over>,
}

/// A way to what rows of the file are about: one whose target begins with `{over}` runs over each.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Over {
    name: String,
    /// What `{over}` stands for.
    at: String,
    /// Further arguments and secrets.
    #[serde(default)]
    arguments: Vec<String>,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    /// A part of the names of the rows that it is for; all without.
    #[serde(default)]
    rows: String,
    #[serde(default)]
    root: bool,
}

impl Table {
    fn expand(&self, row: &Scenario) -> Vec<Scenario> {
        let Some(place) = row.arguments.first().and_then(|it| it.strip_prefix("{over}")) else {
            return vec![row.clone()];
        };
        let over = self.over.iter().filter(|over| row.name.contains(&over.rows));
        let one = |over: &Over| {
            let mut one = row.clone();
            one.name = format!("{} over {}", row.name, over.name);
            one.arguments[0] = format!("{}{place}", over.at);
            one.arguments.extend(over.arguments.iter().cloned());
            one.secrets.extend(over.secrets.clone());
            one.root |= over.root;
            one
        };
        over.map(one).collect()
    }
}

fn both() -> Vec<Target> {
    vec![Target::Unix, Target::Qemu]
}

fn default_image() -> String {
    "default".into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;

    #[test]
    fn the_table_is_right() {
        let directory = Workspace::find().root().join("images/builder/scenarios");
        assert!(read_all(&directory).unwrap().len() > 20);
    }

    #[test]
    fn web_servers_of_others_have_their_rows() {
        let directory = Workspace::find().root().join("images/builder/scenarios");
        let rows = read_all(&directory).unwrap();
        let is_real = |argument: &String| {
            let place = argument.split_once("://").map_or("", |(_, place)| place);
            let servers = ["{nginx", "{nghttpd", "{haproxy", "{openssl", "{tinyproxy"];
            servers.iter().any(|server| place.contains(server))
                // those are of git
                && !place.contains("{nginx-git")
        };
        let of_the_web = |row: &&Scenario| {
            let schemes = ["http://", "https://", "tls://"];
            schemes.iter().any(|scheme| row.arguments[0].starts_with(scheme))
                && row.arguments.iter().any(is_real)
        };
        for target in [Target::Unix, Target::Qemu] {
            let on_target = |row: &&Scenario| row.targets.contains(&target);
            let count = rows.iter().filter(of_the_web).filter(on_target).count();
            assert!(count >= 80, "{count} rows on {target}");
        }
    }

    #[test]
    fn rows_have_defaults_and_are_checked() {
        let rows = parse("[[scenario]]\nname = 'a'\narguments = ['u']\nexit = 69").unwrap();
        assert_eq!(rows[0].targets, [Target::Unix, Target::Qemu]);
        assert_eq!(rows[0].stdout, Stdout::Text(String::new()));
        assert_eq!(rows[0].expected_lines(), Some(1));
        for text in [
            "[[scenario]]\nname = 'a'",
            "[[scenario]]\nname = 'a'\narguments = []\nexti = 1",
            "[[scenario]]\nname = 'a'\narguments = []\nrun = ['--net=none']",
            "[[scenario]]\nname = 'a'\narguments = []\nstdout = { fiel = 'x' }",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rows_run_over_each_way() {
        let rows = parse(
            "[[over]]\nname = 'a'\nat = 'x://{p}'\n\
             [[over]]\nname = 'b'\nat = 'y://{p}'\narguments = ['--z']\nroot = true\n\
             [[over]]\nname = 'c'\nat = 'z://{p}'\nrows = 'other'\n\
             [[scenario]]\nname = 'row'\narguments = ['{over}/1', '--w']\n\
             [[scenario]]\nname = 'plain'\narguments = ['u']",
        );
        let rows = rows.unwrap();
        let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["row over a", "row over b", "plain"]);
        assert_eq!(rows[0].arguments, ["x://{p}/1", "--w"]);
        assert_eq!(rows[1].arguments, ["y://{p}/1", "--w", "--z"]);
        assert!(rows[1].root && !rows[0].root);
    }

    #[test]
    fn lines_are_compared_word_for_word() {
        let pattern = "a 1\npack * octets, 3+ deltas\n";
        assert_eq!(is_like("a 1\npack 77 octets, 3 deltas\n", pattern), Ok(()));
        for text in [
            "",
            "a 1\n",
            "a 2\npack 77 octets, 3 deltas\n",
            "a 1\npack 77 octets, 2 deltas\n",
            "a 1\npack 77 octets, x deltas\n",
            "a 1\npack 7 7 octets, 3 deltas\n",
            "a 1\npack 77 octets, 3 deltas\nmore\n",
        ] {
            assert!(is_like(text, pattern).is_err(), "{text}");
        }
    }

    #[test]
    fn names_in_braces_are_filled_in() {
        let mut value = |name: &str| match name {
            "x" => Ok("1".to_owned()),
            _ => bail!("no {name}"),
        };
        assert_eq!(fill("a{x}b{x}", &mut value).unwrap(), "a1b1");
        assert_eq!(fill("{{x}", &mut value).unwrap(), "{x}");
        assert!(fill("{y}", &mut value).is_err());
        assert!(fill("{x", &mut value).is_err());
    }
}
