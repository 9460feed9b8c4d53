//! Two receivers in memory, one of which gives parts to the other.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{LazyLock, Mutex};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use toolbox_wire::{DiffId, ErrorKind, Key, Range, Reply, Wanted};

use super::receiver::{error, ours, store};
use super::store::Host;

/// Layer, its size, offset, bytes; nothing is the end.
type Part = Option<(DiffId, u64, u64, Vec<u8>)>;

/// By the port.
type Listeners = HashMap<u16, (Key, UnboundedSender<Part>)>;

/// Who listens.
static LISTENING: LazyLock<Mutex<Listeners>> = LazyLock::new(Mutex::default);

/// Listens, and stores what comes.
pub(super) async fn take(host: &Host, key: Key, replies: &UnboundedSender<Reply>) -> Reply {
    let (sender, mut parts) = unbounded_channel();
    let port = {
        let mut listening = LISTENING.lock().unwrap();
        let port = listening.len() as u16 + 1;
        listening.insert(port, (key, sender));
        port
    };
    let _ = replies.send(Reply::Listening { port });
    let mut bytes = 0;
    while let Some(part) = parts.recv().await {
        let Some((diff_id, size, offset, raw)) = part else { return Reply::Taken { bytes } };
        store(&mut host.state(), diff_id, size, offset, &raw);
        bytes += raw.len() as u64;
        let _ = replies.send(Reply::Taking { bytes });
    }
    error(ErrorKind::Peer, "the other host has gone", None)
}

/// Gives these parts as they arrive; what the listener is told besides is dropped with it.
pub(super) async fn give(host: &Host, to: SocketAddr, key: &Key, layers: &[Wanted]) -> Reply {
    let listener = LISTENING.lock().unwrap().get_mut(&to.port()).map(|(own, parts)| {
        assert_eq!(own, key);
        std::mem::replace(parts, unbounded_channel().0)
    });
    let Some(listener) = listener else { return error(ErrorKind::Peer, "nobody listens", None) };
    let mut bytes = 0;
    for layer in layers {
        for (from, to) in &layer.ranges {
            let raw = arrived(host, layer.diff_id, (*from, *to)).await;
            bytes += raw.len() as u64;
            let _ = listener.send(Some((layer.diff_id, layer.size, *from, raw)));
        }
    }
    let _ = listener.send(None);
    Reply::Given { bytes }
}

async fn arrived(host: &Host, diff_id: DiffId, (from, to): Range) -> Vec<u8> {
    loop {
        let notified = host.arrived.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if let Some(part) = host.state().parts.get(&ours(diff_id))
            && part.merged().iter().any(|(a, b)| *a <= from && to <= *b)
        {
            return part.bytes[from as usize..to as usize].to_vec();
        }
        notified.await;
    }
}
