//! A unikernel that changes a git repository: makes a branch with one commit, moves it back, deletes it, and prints what the
//! server has of it after each step. See images/push.toml; the tests run it against real servers.

use client::flows::Flows;
use client::git::{self, Want};
use client::{Cause, Error, sink};
use kernel_app::{Application, Call, Repositories};
use mimic::{Ctx, Registry};
use proto::git::object::Kind;
use proto::git::push::Command;
use proto::target::Target;

const BRANCH: &str = "refs/heads/pushed";
const PERSON: &str = "A <a@example.org> 1700000009 +0000";

struct Pusher;

impl Application for Pusher {
    fn configure(&self, _: &mut Registry, flows: &Flows, ctx: Ctx, target: &Target) -> Ctx {
        flows.ask_repository(ctx, target)
    }

    async fn speak(&self, call: Call<'_>) -> Result<(), Error> {
        let context = call.git_context(call.target);
        let Call { flow, target, config, connector, flows, stdout, .. } = call;
        let connector = Repositories::new(connector, flows).with_flow(target, flow);
        let mut repository =
            git::connect(&connector, target, &config.http, context.clone()).await?;
        let head = Want { reference: Some("HEAD".into()), depth: None };
        let parent = repository.fetch(&head, None).await?.tip;
        let wrong = |error: proto::git::Error| context.fail(Cause::Malformed(error.to_string()));
        let lacks = || context.fail(Cause::Name("the repository is empty".into()));
        let parent = parent.ok_or_else(lacks)?;

        let store = repository.store_mut();
        let blob = store.add(Kind::Blob, b"pushed\n".to_vec()).map_err(wrong)?;
        let entry = [b"100644 file\0", blob.octets()].concat();
        let tree = store.add(Kind::Tree, entry).map_err(wrong)?;
        let text = format!(
            "tree {tree}\nparent {parent}\nauthor {PERSON}\ncommitter {PERSON}\n\npushed\n"
        );
        let commit = store.add(Kind::Commit, text.into_bytes()).map_err(wrong)?;

        for (step, old, new) in [
            ("made", None, Some(commit)),
            ("moved", Some(commit), Some(parent)),
            ("refused", Some(commit), Some(commit)),
            ("deleted", Some(parent), None),
        ] {
            let command = Command { name: BRANCH.into(), old, new };
            let statuses = repository.push(&[command]).await?;
            let is_done = statuses.iter().all(|status| status.outcome.is_ok());
            let found = repository.ls_refs(&[BRANCH.into()]).await?;
            let id = found.first().and_then(|it| it.id);
            let id = id.map_or_else(|| "nothing".to_owned(), |id| id.to_string());
            let line = format!("{step} {is_done} {id}\n");
            sink::write(stdout, line.as_bytes()).await?;
        }
        repository.close().await;
        Ok(())
    }
}

fn main() {
    kernel_app::boot(&Pusher);
}
