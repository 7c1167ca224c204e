//! A unikernel that reads a git repository: `cargo run -p kernel-app --example repository -- git://HOST/REPOSITORY` prints the
//! references and the file README.md of the newest commit. `USER@HOST:PATH`, `ssh://` and `https://` do as well: nothing here
//! says which way it goes.

use client::flows::Flows;
use client::git::{self, Want};
use client::{Error, sink};
use kernel_app::{Application, Call, Repositories};
use mimic::{Ctx, Registry};
use proto::target::Target;

struct Reader;

impl Application for Reader {
    fn configure(&self, _: &mut Registry, flows: &Flows, ctx: Ctx, target: &Target) -> Ctx {
        flows.ask_repository(ctx, target)
    }

    async fn speak(&self, call: Call<'_>) -> Result<(), Error> {
        let context = call.git_context(call.target);
        let Call { flow, target, config, connector, flows, stdout, .. } = call;
        let connector = Repositories::new(connector, flows).with_flow(target, flow);
        let mut repository = git::connect(&connector, target, &config.http, context).await?;
        for reference in repository.ls_refs(&["refs/".into()]).await? {
            sink::write(stdout, &reference.name).await?;
            sink::write(stdout, b"\n").await?;
        }
        let head = Want { reference: Some("HEAD".into()), depth: Some(1) };
        let fetched = repository.fetch(&head, None).await?;
        if let Some(id) = fetched.tip {
            let tree = repository.tip(&id)?.tree;
            sink::write(stdout, &repository.file(tree, "README.md")?).await?;
        }
        repository.close().await;
        Ok(())
    }
}

fn main() {
    kernel_app::boot(&Reader);
}
