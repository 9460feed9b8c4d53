//! A receiver in memory: the protocol of `toolbox-wire` as a session answers it, with faults.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use toolbox_wire::{Codec, EngineState, Entry, ErrorKind, FrameReader, Held, PatchForm, Reply, Request, VERSION};

use crate::image::{DiffId, Digest};

use super::super::{EngineError, ExecStream};
use super::passing::{give, take};
use super::store::{Host, Spooled, State};

/// What receivers do wrong. Requests are counted from 0 over all sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The session that gets this request ends.
    CutAt(usize),
    /// From this request on every session ends, and none begins.
    GoneAt(usize),
    /// This kind of error answers requests of this name.
    Refuses(&'static str, ErrorKind),
    /// The engine's socket is shut.
    NoSocket,
    /// So many bytes are free.
    Free(u64),
}

type Replies = UnboundedSender<Reply>;

/// A session; `None` where the host is gone.
pub(super) fn session(host: &Arc<Host>, id: &str) -> Option<ExecStream> {
    if is_gone(&host.state()) {
        return None;
    }
    let (near, far) = duplex(64 * 1024);
    let (replies, said) = unbounded_channel();
    tokio::spawn(serve(Arc::clone(host), far, replies));
    let lines = stream::unfold(said, |mut said| async move {
        let reply: Reply = said.recv().await?;
        let line = serde_json::to_string(&reply).unwrap() + "\n";
        Some((Ok::<_, EngineError>((false, Bytes::from(line))), said))
    });
    Some(ExecStream { input: Box::pin(near), output: lines.boxed(), id: id.to_owned() })
}

fn is_gone(state: &State) -> bool {
    let count = state.requests.len();
    state.faults.iter().any(|fault| matches!(fault, Fault::GoneAt(at) if count > *at))
}

async fn serve(host: Arc<Host>, mut input: DuplexStream, replies: Replies) {
    let (mut frames, mut buffer) = (FrameReader::default(), vec![0; 64 * 1024]);
    loop {
        while let Some((request, payload)) = frames.next().unwrap() {
            if is_cut(&host, &request, payload.len()) {
                return;
            }
            let reply = answer(&host, request, &payload, &replies).await;
            let Some(reply) = reply else { return };
            if replies.send(reply).is_err() {
                return;
            }
        }
        match input.read(&mut buffer).await {
            Ok(read @ 1..) => frames.feed(&buffer[..read]),
            _ => return,
        }
    }
}

fn is_cut(host: &Host, request: &Request, payload: usize) -> bool {
    let mut state = host.state();
    let number = state.requests.len();
    state.requests.push(name(request));
    let cut = state.faults.contains(&Fault::CutAt(number)) || is_gone(&state);
    if !cut {
        state.payload += payload;
    }
    host.arrived.notify_waiters();
    cut
}

fn name(request: &Request) -> &'static str {
    match request {
        Request::Hello { .. } => "hello",
        Request::Have { .. } => "have",
        Request::Put { .. } => "put",
        Request::Base { .. } => "base",
        Request::Copy { .. } => "copy",
        Request::Patch { .. } => "patch",
        Request::Load { .. } => "load",
        Request::Take { .. } => "take",
        Request::Give { .. } => "give",
        Request::Sweep { .. } => "sweep",
    }
}

pub(super) fn error(kind: ErrorKind, text: &str, diff_id: Option<toolbox_wire::DiffId>) -> Reply {
    Reply::Error { kind, text: text.to_owned(), diff_id }
}

/// `None` ends the session.
async fn answer(host: &Host, request: Request, payload: &[u8], replies: &Replies) -> Option<Reply> {
    let refused = |fault: &Fault| match fault {
        Fault::Refuses(what, kind) if *what == name(&request) => Some(error(*kind, "injected fault", None)),
        _ => None,
    };
    if let Some(reply) = host.state().faults.iter().find_map(refused) {
        return Some(reply);
    }
    match request {
        Request::Load { entries, .. } => return load(host, &entries, replies).await,
        Request::Take { key, .. } => return Some(take(host, key, replies).await),
        Request::Give { address, key, layers } => return Some(give(host, address, &key, &layers).await),
        _ => {}
    }
    let mut state = host.state();
    let reply = at_once(&mut state, request, payload);
    drop(state);
    host.arrived.notify_waiters();
    Some(reply)
}

fn at_once(state: &mut State, request: Request, payload: &[u8]) -> Reply {
    match request {
        Request::Hello { .. } => Reply::Hello { version: VERSION, engine: engine(state), free: free(state) },
        Request::Have { layers } => Reply::Have(layers.iter().map(|layer| held(state, layer.diff_id)).collect()),
        Request::Put { diff_id, size, offset, length, codec, .. } => {
            let raw = match codec {
                Codec::Raw => payload.to_vec(),
                Codec::Zstd => zstd::bulk::decompress(payload, 4 << 20).unwrap(),
            };
            assert_eq!(raw.len() as u64, length);
            store(state, diff_id, size, offset, &raw);
            Reply::Stored { diff_id, offset, length }
        }
        Request::Base { diff_id, .. } => match state.layers.get(&ours(diff_id)).cloned() {
            Some(bytes) => {
                let chunks = toolbox_wire::pack(&toolbox_wire::chunks(&bytes));
                state.bases.insert(ours(diff_id), bytes);
                Reply::Base { chunks }
            }
            None => error(ErrorKind::Base, "no such layer", Some(diff_id)),
        },
        Request::Copy { diff_id, size, base, pieces } => {
            let base = state.bases[&ours(base)].clone();
            for (to, from, length) in &pieces {
                store(state, diff_id, size, *to, &base[*from as usize..(from + length) as usize]);
            }
            Reply::Stored { diff_id, offset: pieces[0].0, length: pieces.iter().map(|piece| piece.2).sum() }
        }
        Request::Sweep { .. } => Reply::Swept { left: 0, files: state.parts.len() as u64 },
        Request::Patch { diff_id, size, offset, length, reference, .. } => {
            let base = &state.bases[&ours(reference.base)];
            let old = &base[reference.offset as usize..][..reference.length as usize];
            match patched(old, reference.form, payload, length as usize) {
                Some(raw) => {
                    store(state, diff_id, size, offset, &raw);
                    Reply::Stored { diff_id, offset, length }
                }
                None => error(ErrorKind::Chunk, "it does not unpack", Some(diff_id)),
            }
        }
        Request::Load { .. } | Request::Take { .. } | Request::Give { .. } => unreachable!("answered before"),
    }
}

/// What a frame makes out of older bytes, if it has so many bytes.
fn patched(old: &[u8], form: PatchForm, frame: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut zstd = zstd::zstd_safe::DCtx::create();
    if form == PatchForm::Prefix {
        zstd.ref_prefix(old).ok()?;
    }
    let mut raw = Vec::with_capacity(length);
    zstd.decompress(&mut raw, frame).ok()?;
    match form {
        PatchForm::Prefix => (raw.len() == length).then_some(raw),
        PatchForm::Difference => toolbox_wire::apply(old, &raw, length).ok(),
    }
}

fn engine(state: &State) -> EngineState {
    match state.faults.contains(&Fault::NoSocket) {
        true => EngineState::Err("permission denied".into()),
        false => EngineState::Ok("1.41".into()),
    }
}

fn free(state: &State) -> u64 {
    let free = |fault: &Fault| if let Fault::Free(bytes) = fault { Some(*bytes) } else { None };
    state.faults.iter().find_map(free).unwrap_or(1 << 40)
}

fn held(state: &State, diff_id: toolbox_wire::DiffId) -> Held {
    Held { diff_id, ranges: state.parts.get(&ours(diff_id)).map(Spooled::merged).unwrap_or_default() }
}

pub(super) fn store(state: &mut State, diff_id: toolbox_wire::DiffId, size: u64, offset: u64, raw: &[u8]) {
    let part = state.parts.entry(ours(diff_id)).or_default();
    part.bytes.resize(size as usize, 0);
    part.bytes[offset as usize..][..raw.len()].copy_from_slice(raw);
    part.ranges.insert((offset, offset + raw.len() as u64));
}

pub(super) fn ours(diff_id: toolbox_wire::DiffId) -> DiffId {
    diff_id.to_string().parse().unwrap()
}

/// Waits until every layer is whole, as a real one does while it writes.
async fn load(host: &Host, entries: &[Entry], replies: &Replies) -> Option<Reply> {
    for entry in entries {
        let Entry::Layer { diff_id, size, .. } = entry else { continue };
        loop {
            let arrived = host.arrived.notified();
            {
                let mut state = host.state();
                if is_gone(&state) {
                    return None;
                }
                if held(&state, *diff_id).ranges == [(0, *size)] {
                    if Digest::of(&state.parts[&ours(*diff_id)].bytes) == ours(*diff_id).digest() {
                        break;
                    }
                    state.parts.remove(&ours(*diff_id));
                    return Some(error(ErrorKind::Digest, "the layer is another one", Some(*diff_id)));
                }
            }
            tokio::select! {
                () = arrived => {}
                () = replies.closed() => return None,
            }
        }
    }
    let loaded = host.load(&tarball(host, entries));
    Some(match loaded {
        Ok(()) => {
            host.state().parts.clear();
            Reply::Loaded { messages: vec![] }
        }
        Err(text) => error(ErrorKind::Engine, &text, None),
    })
}

fn tarball(host: &Host, entries: &[Entry]) -> Vec<u8> {
    let mut tarball = tar::Builder::new(Vec::new());
    for entry in entries {
        let content = match entry {
            Entry::Text { text, .. } => text.clone(),
            Entry::Layer { diff_id, .. } => host.state().parts[&ours(*diff_id)].bytes.clone(),
        };
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        tarball.append_data(&mut header, entry.path(), content.as_slice()).unwrap();
    }
    tarball.into_inner().unwrap()
}
