//! The messages of channels, and the requests beside them (RFC 4254).

use super::{Connection, MAX_EVENTS, OUT_FULL};
use crate::channel::{Channel, ChannelId, Exec, MAX_DATA_IN, MAX_DATA_OUT, Phase, Stream, WINDOW};
use crate::error::Error;
use crate::event::{Event, Exit};
use crate::message;
use crate::wire::{Fields, Message, one_line};

/// `SSH_EXTENDED_DATA_STDERR` (RFC 4254 §5.2).
const STDERR: u32 = 1;
/// `SSH_OPEN_ADMINISTRATIVELY_PROHIBITED` (RFC 4254 §5.1).
const PROHIBITED: u32 = 1;

impl Connection {
    pub(super) fn open_channel(&mut self, id: ChannelId, exec: Exec) -> Result<(), Error> {
        self.channels.insert(id, Channel::new(exec));
        let open = Message::new(message::CHANNEL_OPEN).string("session");
        self.send(open.uint32(id.0).uint32(WINDOW).uint32(MAX_DATA_IN).done())
    }

    pub(super) fn write_data(&mut self, id: ChannelId, data: &[u8]) -> usize {
        let mut rest = data;
        while self.may_send() && self.poll_output().len() < OUT_FULL && !rest.is_empty() {
            let Some(channel) = self.channels.get_mut(&id) else { break };
            let is_open = channel.phase == Phase::Running
                && !(channel.wants_eof || channel.wants_close || channel.close_received);
            let len = channel
                .send_window
                .min(channel.send_max)
                .min(rest.len().try_into().unwrap_or(u32::MAX));
            if !is_open || len == 0 {
                break;
            }
            channel.send_window -= len;
            let remote = channel.remote.to_be_bytes();
            let (now, later) = rest.split_at(len as usize);
            self.seal(&[&[message::CHANNEL_DATA], &remote, &len.to_be_bytes(), now]);
            rest = later;
        }
        data.len() - rest.len()
    }

    /// Raised windows, ends of files and closings that are due.
    pub(super) fn flush_channels(&mut self) {
        let mut due = Vec::new();
        for channel in self.channels.values_mut() {
            if matches!(channel.phase, Phase::Opening | Phase::Refused) || channel.close_sent {
                continue;
            }
            let mut push = |number| due.push(Message::new(number).uint32(channel.remote).done());
            // an end of file before the command has begun would be for nobody
            let may_end = channel.phase == Phase::Running && !channel.close_received;
            if channel.wants_eof && !channel.eof_sent && may_end {
                channel.eof_sent = true;
                push(message::CHANNEL_EOF);
            }
            if channel.wants_close || channel.close_received {
                channel.close_sent = true;
                push(message::CHANNEL_CLOSE);
            }
            let raise = channel.adjustment();
            if raise > 0 {
                let adjust = Message::new(message::CHANNEL_WINDOW_ADJUST).uint32(channel.remote);
                due.push(adjust.uint32(raise).done());
            }
        }
        for message in due {
            self.seal(&[&message]);
        }
    }

    /// Channels that are closed both ways and whose streams are read are no more.
    pub(super) fn forget_closed(&mut self) {
        self.channels.retain(|_, channel| {
            let is_read = !channel.has(Stream::Stdout) && !channel.has(Stream::Stderr);
            !(channel.wants_close && channel.close_sent && channel.close_received && is_read)
        });
    }

    /// A message with a number of 80 to 127, with the user known.
    pub(super) fn handle_open(
        &mut self,
        mut fields: Fields<'_>,
        sequence: u32,
    ) -> Result<(), Error> {
        match fields.message() {
            message::GLOBAL_REQUEST => {
                let _name = fields.string()?;
                // keepalive@openssh.com wants an answer, whichever; hostkeys-00@openssh.com none
                match fields.boolean()? {
                    true => self.send(vec![message::REQUEST_FAILURE]),
                    false => Ok(()),
                }
            }
            // the answer to our question whether the server is there: that something came is enough
            message::REQUEST_SUCCESS | message::REQUEST_FAILURE => Ok(()),
            message::CHANNEL_OPEN => {
                let _kind = fields.string()?;
                let theirs = fields.uint32()?;
                let failure = Message::new(message::CHANNEL_OPEN_FAILURE).uint32(theirs);
                self.send(
                    failure
                        .uint32(PROHIBITED)
                        .string("this client opens channels itself")
                        .string("")
                        .done(),
                )
            }
            message::CHANNEL_OPEN_CONFIRMATION..=message::CHANNEL_FAILURE => {
                self.handle_channel(fields)
            }
            _ => self.unimplemented(sequence),
        }
    }

    fn handle_channel(&mut self, mut fields: Fields<'_>) -> Result<(), Error> {
        let message = fields.message();
        let id = ChannelId(fields.uint32()?);
        let unexpected = Error::Unexpected { message };
        let Some(channel) = self.channels.get_mut(&id).filter(|it| !it.close_received) else {
            return Err(unexpected);
        };
        if channel.phase == Phase::Opening
            && !matches!(
                message,
                message::CHANNEL_OPEN_CONFIRMATION | message::CHANNEL_OPEN_FAILURE
            )
        {
            return Err(unexpected);
        }
        match message {
            message::CHANNEL_OPEN_CONFIRMATION if channel.phase == Phase::Opening => {
                channel.remote = fields.uint32()?;
                channel.send_window = fields.uint32()?;
                channel.send_max = fields.uint32()?.min(MAX_DATA_OUT);
                channel.phase = Phase::Starting;
                let exec = core::mem::take(&mut channel.exec);
                let request = |name: &str, wants_reply| {
                    let message = Message::new(message::CHANNEL_REQUEST).uint32(channel.remote);
                    message.string(name).boolean(wants_reply)
                };
                let mut requests: Vec<_> = exec
                    .environment
                    .iter()
                    .map(|(name, value)| request("env", false).string(name).string(value).done())
                    .collect();
                requests.push(request("exec", true).string(&exec.command).done());
                requests.into_iter().try_for_each(|request| self.send(request))
            }
            message::CHANNEL_OPEN_FAILURE if channel.phase == Phase::Opening => {
                let code = fields.uint32()?;
                let text = one_line(fields.string()?);
                channel.phase = Phase::Refused;
                // it never was: there is nothing to close
                (channel.close_sent, channel.close_received) = (true, true);
                self.events.push_back(Event::Refused {
                    channel: id,
                    reason: format!("no channel (code {code}): {text}"),
                });
                Ok(())
            }
            message::CHANNEL_SUCCESS if channel.phase == Phase::Starting => {
                channel.phase = Phase::Running;
                self.events.push_back(Event::Started(id));
                Ok(())
            }
            message::CHANNEL_FAILURE if channel.phase == Phase::Starting => {
                channel.phase = Phase::Refused;
                let close = Message::new(message::CHANNEL_CLOSE).uint32(channel.remote).done();
                channel.close_sent = true;
                self.events.push_back(Event::Refused {
                    channel: id,
                    reason: "the server runs no such command".into(),
                });
                self.send(close)
            }
            message::CHANNEL_WINDOW_ADJUST => {
                let raise = fields.uint32()?;
                // RFC 4254 §5.2: no more than 2^32 - 1
                channel.send_window =
                    channel.send_window.checked_add(raise).ok_or(Error::Window)?;
                Ok(())
            }
            message::CHANNEL_DATA | message::CHANNEL_EXTENDED_DATA if !channel.eof_received => {
                let stream = match message {
                    message::CHANNEL_DATA => Some(Stream::Stdout),
                    _ => (fields.uint32()? == STDERR).then_some(Stream::Stderr),
                };
                match channel.receive(stream, fields.string()?) {
                    true => Ok(()),
                    false => Err(Error::Window),
                }
            }
            message::CHANNEL_EOF if !channel.eof_received => {
                channel.eof_received = true;
                Ok(())
            }
            message::CHANNEL_CLOSE => {
                channel.close_received = true;
                if channel.phase == Phase::Starting {
                    channel.phase = Phase::Refused;
                    channel.close_sent = true;
                    let close = Message::new(message::CHANNEL_CLOSE).uint32(channel.remote).done();
                    let reason = "the server closed the channel at once".into();
                    self.events.push_back(Event::Refused { channel: id, reason });
                    return self.send(close);
                }
                self.events.push_back(Event::Closed(id));
                self.forget_closed();
                Ok(())
            }
            message::CHANNEL_REQUEST => {
                let name = fields.string()?;
                let wants_reply = fields.boolean()?;
                let exit = match name {
                    b"exit-status" => Some(Exit::Status(fields.uint32()?)),
                    b"exit-signal" => Some(Exit::Signal {
                        name: one_line(fields.string()?),
                        core_dumped: fields.boolean()?,
                        message: one_line(fields.string()?),
                    }),
                    _ => None,
                };
                let answer = match (exit, &channel.exit) {
                    (Some(exit), None) => {
                        channel.exit = Some(exit.clone());
                        self.events.push_back(Event::Exited(id, exit));
                        message::CHANNEL_SUCCESS
                    }
                    _ => message::CHANNEL_FAILURE,
                };
                debug_assert!(
                    self.events.len() <= MAX_EVENTS + 2,
                    "a packet makes two events at most"
                );
                let Some(channel) =
                    self.channels.get(&id).filter(|it| wants_reply && !it.close_sent)
                else {
                    return Ok(());
                };
                self.send(Message::new(answer).uint32(channel.remote).done())
            }
            _ => Err(unexpected),
        }
    }
}
