//! A repository at a server: its references, its objects, and changes of them.

use super::pace::Pace;
use super::packets::{Context, Packets, Transport};
use crate::error::{Cause, Error};
use proto::git::advertisement::{Advertisement, Greeting, Version};
use proto::git::fetch::{self, Answer};
use proto::git::pack::{self, Receiver};
use proto::git::pkt::{self, Packet};
use proto::git::push::{self, Command, Report, Status};
use proto::git::refs::{self, Ref, Refs};
use proto::git::sideband::{self, Band, Lines};
use proto::git::store::Store;
use proto::git::{Format, ObjectId};

/// Takes the server's text for people, line by line. Where there is none, the server is asked for no progress.
pub type Progress<'a> = Option<&'a mut dyn FnMut(&str)>;

/// A repository that answered.
pub struct Remote<'t> {
    packets: Packets<'t>,
    said: Advertisement,
    /// Whether the server waits for a message of ours.
    is_asked: bool,
}

/// What to fetch.
#[derive(Debug, Clone, Default)]
pub struct Want {
    /// A reference, by its whole or its short name, or an object by its name; by default every branch and tag.
    pub reference: Option<String>,
    /// How many commits deep, if not all. Without a reference it is then `HEAD` alone that is fetched.
    pub depth: Option<u32>,
}

/// What was fetched.
#[derive(Debug, Clone, Default)]
pub struct Fetched {
    /// The references that were wanted; none for an object's name.
    pub refs: Vec<Ref>,
    /// What was asked for: the wanted reference, the object, or `HEAD`. `None` in an empty repository.
    pub tip: Option<ObjectId>,
    /// Whether the repository has no reference at all; known where there is no tip.
    pub is_empty: bool,
}

/// `HEAD`, branches and tags.
const EVERYTHING: [&str; 3] = ["HEAD", "refs/heads/", "refs/tags/"];
/// What a delta is in octets of work, beside those of its object.
const DELTA: u64 = 16 * 1024;

impl<'t> Remote<'t> {
    /// Reads the server's first words.
    ///
    /// # Errors
    /// The server refuses, speaks something else, or does not go on.
    pub async fn greet(transport: impl Transport + 't, context: Context) -> Result<Self, Error> {
        let mut packets = Packets::new(transport, context);
        let mut greeting = Greeting::within(packets.context.limits.refs());
        loop {
            let packet = packets.next("before its first words were complete").await?;
            let taken = greeting.take(packet);
            if taken.map_err(|error| packets.context.wrong(&error))? {
                break;
            }
        }
        let said = greeting.finish().map_err(|error| packets.context.wrong(&error))?;
        log::debug!("git: protocol {:?}, {}", said.version, said.format.name());
        Ok(Self { packets, said, is_asked: true })
    }

    /// The hash that the repository names its objects by.
    pub fn format(&self) -> Format {
        self.said.format
    }

    /// What the server said first.
    pub fn advertisement(&self) -> &Advertisement {
        &self.said
    }

    /// References, sorted by name: those whose names begin with one of `prefixes`, all where there are none.
    ///
    /// # Errors
    /// The answer makes no sense, has too many, or does not come.
    pub async fn ls_refs(&mut self, prefixes: &[String]) -> Result<Vec<Ref>, Error> {
        let request = refs::request(&self.said, prefixes);
        if request.is_empty() {
            let begins = |it: &&Ref| {
                prefixes.is_empty()
                    || prefixes.iter().any(|prefix| it.name.starts_with(prefix.as_bytes()))
            };
            return Ok(self.said.refs.iter().filter(begins).cloned().collect());
        }
        self.packets.send(&request).await?;
        let mut refs = Refs::within(self.packets.context.limits.refs());
        loop {
            let packet = self.packets.next("in the list of references").await?;
            let taken = refs.take(self.said.format, packet);
            if taken.map_err(|error| self.packets.context.wrong(&error))? {
                return Ok(refs.into_vec());
            }
        }
    }

    /// Fetches what is wanted and not yet in `store`, with everything that it leads to.
    ///
    /// # Errors
    /// The reference is not there ([`Cause::Name`]); the answer makes no sense, is beyond a limit, or does not come.
    /// The store is as it was, then.
    pub async fn fetch(
        &mut self,
        want: &Want,
        store: &mut Store,
        progress: Progress<'_>,
    ) -> Result<Fetched, Error> {
        let fetched = self.find(want).await?;
        let mut wants: Vec<_> =
            fetched.refs.iter().filter_map(|it| it.id).chain(fetched.tip).collect();
        wants.sort_unstable();
        wants.dedup();
        // a different depth changes what is there, even where the objects are
        if want.depth.is_none() && store.shallow().is_empty() {
            wants.retain(|id| !store.contains(id));
        }
        let tips = |store: &mut Store| {
            let of_refs = fetched.refs.iter().filter_map(Ref::target);
            store.add_tips(fetched.tip.into_iter().chain(of_refs));
        };
        if wants.is_empty() {
            tips(store);
            return Ok(fetched);
        }
        let request = fetch::Request {
            wants,
            haves: store.tips().to_vec(),
            shallow: store.shallow().to_vec(),
            depth: want.depth,
            progress: progress.is_some(),
        };
        self.fetch_objects(&request, store, progress).await?;
        tips(store);
        Ok(fetched)
    }

    /// Fetches exactly what `request` says.
    ///
    /// # Errors
    /// Those of [`Self::fetch`].
    pub async fn fetch_objects(
        &mut self,
        request: &fetch::Request,
        store: &mut Store,
        progress: Progress<'_>,
    ) -> Result<(), Error> {
        let message =
            request.message(&self.said).map_err(|error| self.packets.context.wrong(&error))?;
        self.packets.send(&message).await?;
        let Self { packets, said, is_asked } = self;
        *is_asked = said.version == Version::Two;
        let mut answer = Answer::new(said, request);
        loop {
            let packet = packets.next("before the pack").await?;
            let taken = answer.take(packet);
            if taken.map_err(|error| packets.context.wrong(&error))? {
                break;
            }
        }
        // what is a part itself ends where its own history does (protocols 0 and 1 say that first)
        let boundary = answer.boundary([store.shallow(), &said.shallow]);
        let boundary = boundary.map_err(|error| packets.context.wrong(&error))?;
        let limits = packets.context.limits;
        let mut receiver = Receiver::new(said.format, limits, boundary, store.len());
        packets.expect();
        let has_bands = said.version == Version::Two || said.capability("side-band-64k").is_some();
        match has_bands {
            true => receive(packets, &mut receiver, progress).await?,
            false => receive_bare(packets, &mut receiver).await?,
        }
        let context = &packets.context;
        let mut resolver = receiver.finish().map_err(|error| context.wrong(&error))?;
        let mut pace = Pace::default();
        let mut before = resolver.work().done();
        while resolver.step().map_err(|error| context.wrong(&error))? {
            let done = resolver.work().done();
            pace.did(done - before + DELTA).await;
            before = done;
        }
        let pack = resolver.finish(|id| store.contains(id));
        let pack = pack.map_err(|error| context.wrong(&error))?;
        let lacks = request.wants.iter().find(|id| !pack.contains(id) && !store.contains(id));
        if let Some(id) = lacks {
            return Err(context.wrong(&proto::git::Error::Missing { name: id.to_string() }));
        }
        let boundary = answer.boundary([store.shallow(), &said.shallow]);
        let mut boundary = boundary.map_err(|error| context.wrong(&error))?;
        boundary.retain(|id| pack.contains(id) || store.contains(id));
        store.add_pack(pack, boundary);
        Ok(())
    }

    /// Asks the server to change references; `store` has the new objects, all of which are sent. For a flow to the
    /// service that receives packs.
    ///
    /// # Errors
    /// The pack is refused, or the report makes no sense. What became of each reference is in the answer.
    pub async fn push(
        &mut self,
        commands: &[Command],
        store: &Store,
    ) -> Result<Vec<Status>, Error> {
        let context = self.packets.context.clone();
        let wrong = |error: proto::git::Error| context.wrong(&error);
        let mut message = push::message(&self.said, commands).map_err(wrong)?;
        if push::sends_pack(commands) {
            message.extend(pack::write(self.said.format, store.made()).map_err(wrong)?);
        }
        self.packets.send(&message).await?;
        self.is_asked = false;
        let mut report = Report::default();
        if self.said.capability("side-band-64k").is_none() {
            loop {
                let packet = self.packets.next("in its report").await?;
                if report.take(packet).map_err(wrong)? {
                    return Ok(report.into_statuses());
                }
            }
        }
        let mut octets = Vec::new();
        loop {
            let payload = self.packets.next("in its report").await?.payload("a report");
            let payload = payload.map_err(wrong)?;
            match sideband::split(payload).map_err(wrong)? {
                Band::Data(more) => octets.extend_from_slice(more),
                Band::Progress(_) => {}
            }
            let mut taken = 0;
            while let Some((packet, len)) = pkt::parse(&octets[taken..]).map_err(wrong)? {
                taken += len;
                if report.take(packet).map_err(wrong)? {
                    return Ok(report.into_statuses());
                }
            }
            octets.drain(..taken);
        }
    }

    /// Takes leave.
    pub async fn close(mut self) {
        // a server that waits for a message is told that none comes (gitprotocol-v2(5), gitprotocol-pack(5))
        if self.is_asked
            && let Err(error) = self.packets.send(pkt::FLUSH).await
        {
            log::debug!("git: {error}");
        }
        self.packets.close().await;
    }

    /// The references, and the object, that are wanted.
    async fn find(&mut self, want: &Want) -> Result<Fetched, Error> {
        let Some(name) = &want.reference else {
            let single = want.depth.is_some();
            let prefixes = EVERYTHING.map(str::to_owned);
            let mut refs = self.ls_refs(if single { &prefixes[..1] } else { &prefixes }).await?;
            refs.retain(|it| !single || it.is("HEAD"));
            let tip = refs.iter().find(|it| it.is("HEAD")).and_then(|it| it.id);
            let is_empty = match tip {
                Some(_) => false,
                // a HEAD that leads nowhere says nothing of the others
                None if single => {
                    let all = self.ls_refs(&EVERYTHING.map(str::to_owned)).await?;
                    !all.iter().any(|it| it.id.is_some())
                }
                None => !refs.iter().any(|it| it.id.is_some()),
            };
            return Ok(Fetched { refs, tip, is_empty });
        };
        if let Some(id) =
            ObjectId::from_hex(name.as_bytes()).filter(|id| id.format() == self.format())
        {
            return Ok(Fetched { refs: Vec::new(), tip: Some(id), is_empty: false });
        }
        let listed = self.ls_refs(&refs::meanings(name)).await?;
        match refs::find(&listed, name) {
            Some(it) => Ok(Fetched { refs: vec![it.clone()], tip: it.id, is_empty: false }),
            None => {
                let text = format!("the repository has no reference `{name}`");
                Err(self.packets.context.fail(Cause::Name(text)))
            }
        }
    }
}

async fn receive(
    packets: &mut Packets<'_>,
    receiver: &mut Receiver,
    mut progress: Progress<'_>,
) -> Result<(), Error> {
    let mut lines = Lines::default();
    let context = packets.context.clone();
    loop {
        let packet = packets.next("in the middle of the pack").await?;
        if packet == Packet::Flush {
            break;
        }
        let payload = packet.payload("a part of a pack").map_err(|error| context.wrong(&error))?;
        match sideband::split(payload).map_err(|error| context.wrong(&error))? {
            Band::Data(octets) => receiver.push(octets).map_err(|error| context.wrong(&error))?,
            Band::Progress(text) => {
                if let Some(each) = &mut progress {
                    lines.push(text, each);
                }
            }
        }
    }
    if let Some(each) = progress {
        lines.finish(each);
    }
    Ok(())
}

/// A pack without side bands: it says itself where it ends.
async fn receive_bare(packets: &mut Packets<'_>, receiver: &mut Receiver) -> Result<(), Error> {
    while !receiver.is_complete() {
        let context = packets.context.clone();
        match packets.octets().await? {
            [] => return Err(packets.cut("in the middle of the pack")),
            octets => receiver.push(octets).map_err(|error| context.wrong(&error))?,
        }
    }
    Ok(())
}
