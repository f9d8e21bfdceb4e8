//! The end of a process, written and read.

use super::decode::{Decoder, need, read_id};
use super::wire::{Fields, Message, small};
use super::{CodecError, ancestor, entry_leader, host, leader, rule_match};
use crate::event::{Exit, Membership, WaitStatus, WallTime};

pub(super) fn encode(message: &mut Message<'_>, exit: &Exit) {
    message.bytes(1, exit.id.0);
    message.fixed(2, exit.time.0);
    message.fixed(3, exit.boot_ns);
    message.fixed(4, exit.read.0);
    message.uint(5, exit.cpu);
    message.uint(6, exit.sequence);
    message.message(7, |message| host(message, &exit.host));
    message.message(8, |message| ancestor(message, &exit.process));
    message.uint(9, exit.status.0);
    message.uint(10, exit.duration_ns);
    for each in &exit.ancestry {
        message.message(11, |message| ancestor(message, each));
    }
    message.flag(12, exit.ancestry_cut);
    message.message(13, |message| membership(message, &exit.member));
    rule_match::encode(message, &exit.matches);
}

fn membership(message: &mut Message<'_>, member: &Membership) {
    message.message(1, |message| leader(message, &member.group_leader));
    message.message(2, |message| leader(message, &member.session_leader));
    if let Some(entry) = &member.entry_leader {
        message.message(3, |message| entry_leader(message, entry));
    }
    if let Some((major, minor)) = member.tty {
        message.numbers(4, &[major.into(), minor.into()]);
    }
    if let Some(euid) = member.euid {
        message.uint(5, euid);
    }
}

impl Decoder {
    pub(super) fn exit(&mut self, bytes: &[u8]) -> Result<Exit, CodecError> {
        let (mut id, mut time, mut boot_ns, mut read) = (None, None, None, None);
        let (mut cpu, mut sequence, mut host, mut process) = (None, None, None, None);
        let (mut status, mut duration_ns) = (None, None);
        let (mut ancestry, mut matches) = (Vec::new(), Vec::new());
        let (mut ancestry_cut, mut member) = (false, Membership::default());
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                1 => id = Some(read_id(&field)?),
                2 => time = Some(WallTime(field.uint()?)),
                3 => boot_ns = Some(field.uint()?),
                4 => read = Some(WallTime(field.uint()?)),
                5 => cpu = Some(field.small()?),
                6 => sequence = Some(field.uint()?),
                7 => host = Some(self.host(field.bytes()?)?),
                8 => process = Some(self.ancestor(field.bytes()?)?),
                9 => status = Some(wait_status(field.uint()?)?),
                10 => duration_ns = Some(field.uint()?),
                11 => ancestry.push(self.ancestor(field.bytes()?)?),
                12 => ancestry_cut = field.flag()?,
                13 => member = self.membership(field.bytes()?)?,
                rule_match::NUMBER => matches.push(rule_match::decode(field.bytes()?)?),
                _ => {}
            }
        }
        Ok(Exit {
            id: need(id, "exit.id")?,
            time: need(time, "exit.time")?,
            boot_ns: need(boot_ns, "exit.boot_ns")?,
            read: need(read, "exit.read")?,
            cpu: need(cpu, "exit.cpu")?,
            sequence: need(sequence, "exit.sequence")?,
            host: need(host, "exit.host")?,
            process: need(process, "exit.process")?,
            member,
            status: need(status, "exit.status")?,
            duration_ns: need(duration_ns, "exit.duration_ns")?,
            ancestry,
            ancestry_cut,
            matches,
        })
    }

    fn membership(&mut self, bytes: &[u8]) -> Result<Membership, CodecError> {
        let mut member = Membership::default();
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                1 => member.group_leader = self.leader(field.bytes()?)?,
                2 => member.session_leader = self.leader(field.bytes()?)?,
                3 => member.entry_leader = Some(self.entry_leader(field.bytes()?)?),
                4 => {
                    let [major, minor] = field.numbers()?;
                    member.tty = Some((small(major)?, small(minor)?));
                }
                5 => member.euid = Some(field.small()?),
                _ => {}
            }
        }
        Ok(member)
    }
}

fn wait_status(value: u64) -> Result<WaitStatus, CodecError> {
    u16::try_from(value).map(WaitStatus).map_err(|_| CodecError::TooLarge { value })
}
