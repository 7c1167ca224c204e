//! What scripted servers do wrong, met by machines with less than 32 MiB of heap: each ends as on any other.

use std::fs;

use anyhow::{Result, ensure};

use super::host_tool::Test;
use super::peers::Peers;
use super::runner;
use super::scenario::{self, Scenario};
use crate::manifest::Target;
use crate::workspace::Workspace;

/// All of them, as one; it is about machines only.
pub const TESTS: [(&str, Test); 1] =
    [("faults: each scripted one ends as it should below 32 MiB of heap", all)];

/// Of the whole machine: what the image takes of it is no heap.
const MEMORY: u64 = 36 << 20;
const HEAP: u64 = 32 << 20;

fn all(workspace: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let image = fs::metadata(workspace.image("default"))?.len();
    ensure!(MEMORY - image < HEAP, "an image of {image} octets leaves {HEAP} and more");
    let rows = scenario::read_all(&workspace.root().join("images/builder/scenarios"))?;
    let mut wrong = Vec::new();
    let mut count = 0;
    for mut row in rows.into_iter().filter(|row| is_fault(row) && row.targets.contains(&target)) {
        row.run.push(format!("--memory={}M", MEMORY >> 20));
        count += 1;
        if let Err(cause) = runner::run(peers, &row, target, "tcg")? {
            wrong.push(format!("{}: {cause}", row.name));
        }
    }
    ensure!(count >= 50, "there are {count} rows");
    ensure!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

fn is_fault(row: &Scenario) -> bool {
    let named = [
        "fault: ",
        "answer: what stands behind it",
        "compressed: a bomb",
        "compressed: a window too large",
        "proxy: fields without end",
        "redirect: a loop",
        "redirect: without end",
    ];
    named.iter().any(|begin| row.name.starts_with(begin))
        // each of these scripts does one thing that it should not
        || row.arguments.iter().any(|argument| argument.contains("://{h2-") || argument.contains("@{ssh-"))
        // what takes more memory than there is has rows of its own
        || (row.name.starts_with("git: fault: ") && row.run.is_empty())
}
