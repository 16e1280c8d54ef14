//! What this kernel does not send, made from what it sent: the shorter tcp_info of older kernels,
//! and dumps that went wrong.

use anyhow::{Context, Result};

use super::dump::{self, Dump, NLMSG_DONE};

/// The sizes that `struct tcp_info` has had, and the kernels that they came with.
const TCP_INFO_LENGTHS: [usize; 5] = [
    104, // 2.6 and 3.x
    136, // 4.1: bytes_acked, bytes_received
    160, // 4.6: data_segs_in, data_segs_out
    192, // 4.10: busy_time, sndbuf_limited
    232, // 5.4: rcv_ooopack, snd_wnd
];
/// `struct nlmsghdr` and `struct inet_diag_msg`.
const HEADER: usize = 16;
const MESSAGE: usize = 72;
/// `struct rtattr`.
const ATTRIBUTE: usize = 4;
const INET_DIAG_INFO: u16 = 2;
const NLM_F_DUMP_INTR: u16 = 0x10;
const ENOMEM: i32 = 12;

/// Every crafted variant of a recorded dump, by name.
pub fn all(recorded: &Dump) -> Result<Vec<(String, Dump)>> {
    let mut crafted = Vec::new();
    for length in TCP_INFO_LENGTHS {
        let older = map_messages(recorded, |message| with_tcp_info_of(message, length))?;
        crafted.push((format!("tcp_info_{length}"), older));
    }
    crafted.push(("interrupted".to_owned(), interrupted(recorded)?));
    crafted.push(("broken_off".to_owned(), broken_off(recorded)?));
    crafted.push(("truncated".to_owned(), truncated(recorded)?));
    Ok(crafted)
}

/// The dump with each message replaced.
fn map_messages(recorded: &Dump, mut change: impl FnMut(&[u8]) -> Vec<u8>) -> Result<Dump> {
    let datagram = |datagram: &Vec<u8>| -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(datagram.len());
        for message in dump::messages(datagram)? {
            out.extend_from_slice(&change(message));
            out.resize(out.len().next_multiple_of(4), 0);
        }
        Ok(out)
    };
    Ok(Dump {
        datagrams: recorded
            .datagrams
            .iter()
            .map(datagram)
            .collect::<Result<_>>()?,
    })
}

/// The message with at most `length` bytes of tcp_info.
fn with_tcp_info_of(message: &[u8], length: usize) -> Vec<u8> {
    let Some(mut attributes) = message
        .get(HEADER + MESSAGE..)
        .filter(|_| dump::kind(message) != NLMSG_DONE)
    else {
        return message.to_vec();
    };
    let mut out = message[..HEADER + MESSAGE].to_vec();
    while attributes.len() >= ATTRIBUTE {
        let size = usize::from(u16::from_ne_bytes([attributes[0], attributes[1]]));
        let kind = u16::from_ne_bytes([attributes[2], attributes[3]]);
        if size < ATTRIBUTE || size > attributes.len() {
            break;
        }
        let kept = match kind {
            INET_DIAG_INFO => size.min(ATTRIBUTE + length),
            _ => size,
        };
        out.extend_from_slice(&(kept as u16).to_ne_bytes());
        out.extend_from_slice(&attributes[2..kept]);
        out.resize(out.len().next_multiple_of(4), 0);
        attributes = attributes
            .get(size.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    let total = out.len() as u32;
    out[..4].copy_from_slice(&total.to_ne_bytes());
    out
}

/// The kernel noticed, from the second half on, that the table changed under the dump.
fn interrupted(recorded: &Dump) -> Result<Dump> {
    let mut left = count(recorded)? / 2;
    map_messages(recorded, |message| {
        let mut message = message.to_vec();
        if left > 0 {
            left -= 1;
        } else {
            let flags = u16::from_ne_bytes([message[6], message[7]]) | NLM_F_DUMP_INTR;
            message[6..8].copy_from_slice(&flags.to_ne_bytes());
        }
        message
    })
}

/// The kernel ran out of memory after the last socket that it sent.
fn broken_off(recorded: &Dump) -> Result<Dump> {
    map_messages(recorded, |message| {
        let mut message = message.to_vec();
        if dump::kind(&message) == NLMSG_DONE
            && let Some(errno) = message.get_mut(HEADER..HEADER + 4)
        {
            errno.copy_from_slice(&(-ENOMEM).to_ne_bytes());
        }
        message
    })
}

/// The first datagram ends in the middle of its last message, and nothing comes after it.
fn truncated(recorded: &Dump) -> Result<Dump> {
    let first = recorded.datagrams.first().context("an empty dump")?;
    let last = *dump::messages(first)?.last().context("an empty datagram")?;
    let kept = first.len() - last.len() / 2;
    Ok(Dump {
        datagrams: vec![first[..kept].to_vec()],
    })
}

fn count(recorded: &Dump) -> Result<usize> {
    let mut count = 0;
    for datagram in &recorded.datagrams {
        count += dump::messages(datagram)?.len();
    }
    Ok(count)
}
