//! One question to several servers: the course of [`super::schedule`], and with each server what its transport needs.

use super::fault::Fault;
use super::schedule::Schedule;
use super::standing::{Manners, Standing};
use super::stream::Link;
use super::udp;
use crate::error::Cause;
use core::future::poll_fn;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::Poll;
use core::time::Duration;
use proto::dns::{Answer, Error, Mismatch, Query, Question, Server, Transport};
use spin::Mutex;
use stack::{BoxFuture, Net};
use std::sync::Arc;

/// An answer, and how it came.
#[derive(Debug, Clone)]
pub struct Told {
    /// What was said.
    pub answer: Answer,
    /// By whom.
    pub server: Server,
    /// What went wrong on the way, in words.
    pub notes: Vec<String>,
}

/// The servers as they are known: shared by all questions.
#[derive(Default)]
pub struct Servers {
    standing: Mutex<Standing>,
    links: Mutex<Vec<Arc<Link>>>,
}

/// So many connections are kept; more come only from a network that changes its mind often.
const MAX_LINKS: usize = 16;
/// How often one server is asked in another way: without EDNS, without spelling, over TCP.
const MAX_WAYS: usize = 4;

impl Servers {
    /// The first answer that one of the servers gives within `limit`, or why there is none.
    pub async fn ask(
        &self,
        net: &Arc<dyn Net>,
        servers: &[Server],
        question: &Question,
        limit: Duration,
    ) -> Result<Told, Cause> {
        let servers = self.standing.lock().order(servers, net.now());
        let mut schedule = Schedule::new(servers.len(), net.now(), limit);
        let strange = AtomicU32::new(0);
        let mut running: Vec<(usize, BoxFuture<'_, Result<Answer, Fault>>)> = Vec::new();
        let mut faults: Vec<(Server, Fault)> = Vec::new();
        loop {
            while let Some(index) = schedule.start(net.now()) {
                let asking = self.ask_one(net, &servers[index], question, &strange);
                running.push((index, Box::pin(asking)));
            }
            if schedule.is_over(net.now()) || running.is_empty() && schedule.is_exhausted() {
                break;
            }
            let mut timer = net.sleep(schedule.timeout() - net.now());
            let first = poll_fn(|cx| {
                for (place, (_, asking)) in running.iter_mut().enumerate() {
                    if let Poll::Ready(outcome) = asking.as_mut().poll(cx) {
                        return Poll::Ready(Some((place, outcome)));
                    }
                }
                timer.as_mut().poll(cx).map(|()| None)
            });
            let Some((place, outcome)) = first.await else { continue };
            let (index, _) = running.swap_remove(place);
            let server = &servers[index];
            match outcome {
                Ok(answer) => {
                    let mut standing = self.standing.lock();
                    standing.answered(server);
                    // those asked before it had more time and did not use it
                    for &(earlier, _) in running.iter().filter(|(earlier, _)| *earlier < index) {
                        standing.failed(&servers[earlier], net.now());
                        faults.push((servers[earlier].clone(), Fault::Silent));
                    }
                    let notes = notes(&faults, &strange);
                    return Ok(Told { answer, server: server.clone(), notes });
                }
                Err(fault) => {
                    // what it says of one name or kind says nothing of others
                    if !matches!(fault, Fault::Answer(_)) {
                        self.standing.lock().failed(server, net.now());
                    }
                    faults.push((server.clone(), fault));
                    schedule.failed(net.now());
                }
            }
        }
        for (index, _) in running {
            self.standing.lock().failed(&servers[index], net.now());
            faults.push((servers[index].clone(), Fault::Silent));
        }
        Err(failure(&faults, &strange))
    }

    /// An answer of one server, asked in every way that it may need.
    async fn ask_one(
        &self,
        net: &Arc<dyn Net>,
        server: &Server,
        question: &Question,
        strange: &AtomicU32,
    ) -> Result<Answer, Fault> {
        let mut over_tcp = server.transport != Transport::Udp;
        for _ in 0..MAX_WAYS {
            let manners = self.standing.lock().manners(server);
            let mut query = query(question, manners, server, over_tcp)?;
            let answer = match over_tcp {
                true => self.link(server).ask(net, &mut query).await,
                false => udp::ask(&**net, server.address, &query, strange).await,
            };
            match answer {
                Err(Fault::Answer(Error::Truncated) | Fault::Forged) if !over_tcp => {
                    over_tcp = true
                }
                Err(Fault::Answer(Error::NoEdns)) if query.edns => {
                    self.standing.lock().learn(server, |manners| manners.lacks_edns = true);
                }
                Err(Fault::Answer(Error::Foreign(Mismatch::Spelling))) if !manners.folds_case => {
                    self.standing.lock().learn(server, |manners| manners.folds_case = true);
                }
                answer => return answer,
            }
        }
        Err(Fault::Answer(Error::Malformed))
    }

    /// The way to a server over a stream.
    fn link(&self, server: &Server) -> Arc<Link> {
        let mut links = self.links.lock();
        if let Some(link) = links.iter().find(|link| link.server() == server) {
            return link.clone();
        }
        if links.len() >= MAX_LINKS {
            links.remove(0);
        }
        links.push(Arc::new(Link::new(server.clone())));
        links[links.len() - 1].clone()
    }
}

/// The question in the form that the server and its transport understand.
fn query(
    question: &Question,
    manners: Manners,
    server: &Server,
    over_tcp: bool,
) -> Result<Query, Fault> {
    // an identifier, and a bit for each letter of a name
    let mut random = [0; 2 + 32];
    getrandom::fill(&mut random).map_err(|_| Fault::NoEntropy)?;
    let (id, bits) = random.split_at(2);
    let mut query = Query::new(question.clone(), u16::from_ne_bytes([id[0], id[1]]));
    if !over_tcp && !manners.folds_case {
        query = query.spelled(bits);
    }
    query.edns = !manners.lacks_edns;
    query.padded = matches!(server.transport, Transport::Tls { .. });
    Ok(query)
}

fn notes(faults: &[(Server, Fault)], strange: &AtomicU32) -> Vec<String> {
    let mut notes: Vec<String> =
        faults.iter().map(|(server, fault)| format!("{server}: {fault}")).collect();
    match strange.load(Ordering::Relaxed) {
        0 => {}
        1 => notes.push("1 datagram that answers another question passed over".into()),
        count => notes.push(format!("{count} datagrams that answer other questions passed over")),
    }
    notes
}

/// A refused certificate is what ends a run, whatever else went wrong beside it.
fn failure(faults: &[(Server, Fault)], strange: &AtomicU32) -> Cause {
    let text = notes(faults, strange).join("; ");
    let refused = |(_, fault): &(Server, Fault)| matches!(fault, Fault::Tls(Cause::Certificate(_)));
    match faults.iter().any(refused) {
        true => Cause::Certificate(text),
        false => Cause::Name(text),
    }
}
