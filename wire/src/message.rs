//! Requests to a session on a host, and its replies.
//!
//! Contract: JSON, externally tagged, keys in snake_case; unknown keys of a request are an error. Sizes,
//! offsets and lengths are bytes of the uncompressed layer, unless said otherwise.

use std::net::{IpAddr, SocketAddr};

use base64ct::{Base64, Encoding as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{DiffId, Key, Wanted};

/// The most layers in one [`Request::Have`], so that its JSON fits.
pub const MOST_LAYERS: usize = 4096;
/// The most pieces in one [`Request::Copy`], so that its JSON fits.
pub const MOST_PIECES: usize = 16_000;

/// From the first byte to the one behind the last.
pub type Range = (u64, u64);
/// Where to in the layer, where from in the base, how many bytes.
pub type Piece = (u64, u64, u64);

/// What the deployer asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Who is there? -> [`Reply::Hello`]
    Hello {
        /// The deployer's [`VERSION`](crate::VERSION).
        version: u32,
    },
    /// What does the spool hold of these layers? At most [`MOST_LAYERS`]. -> [`Reply::Have`]
    Have {
        /// In the order of the reply.
        layers: Vec<Layer>,
    },
    /// A part of a layer, whose bytes follow as the payload. Any order, any session; the same part twice is
    /// harmless. -> [`Reply::Stored`]
    Put {
        /// The layer.
        diff_id: DiffId,
        /// Of the whole layer.
        size: u64,
        /// Of the part in the layer.
        offset: u64,
        /// Of the part; 1 to [`MOST_RAW`](crate::MOST_RAW).
        length: u64,
        /// What the payload is packed with: one frame, nothing behind it.
        codec: Codec,
        /// Bytes that follow; at most [`MOST_PAYLOAD`](crate::MOST_PAYLOAD).
        payload: u64,
    },
    /// Reads a layer out of an image on the host, to copy from, and says what it is made of. Progress:
    /// [`Reply::Reading`]. -> [`Reply::Base`]
    Base {
        /// A name or an ID that the engine knows.
        image: String,
        /// Which of its layers.
        diff_id: DiffId,
        /// Other layers of it that will be asked for, so that the engine is asked once; at most [`MOST_LAYERS`].
        also: Vec<DiffId>,
        /// [`ALGORITHM`](crate::ALGORITHM).
        algorithm: String,
    },
    /// Makes parts of a layer out of a base; `base` first. -> [`Reply::Stored`]
    Copy {
        /// The layer.
        diff_id: DiffId,
        /// Of the whole layer.
        size: u64,
        /// The layer to copy from.
        base: DiffId,
        /// At least one, at most [`MOST_PIECES`], any order.
        pieces: Vec<Piece>,
    },
    /// A part of a layer as what it differs from a part of a base in; `base` first. Where a program was built anew, this
    /// is far less than what can be copied leaves to put.
    /// -> [`Reply::Stored`]
    Patch {
        /// The layer.
        diff_id: DiffId,
        /// Of the whole layer.
        size: u64,
        /// Of the part in the layer.
        offset: u64,
        /// Of the part; 1 to [`MOST_RAW`](crate::MOST_RAW).
        length: u64,
        /// What it refers to.
        reference: Reference,
        /// Bytes that follow; at most [`MOST_PAYLOAD`](crate::MOST_PAYLOAD).
        payload: u64,
    },
    /// Gives a tarball of these entries to the engine, while parts of its layers still arrive. Progress:
    /// [`Reply::Loading`]. -> [`Reply::Loaded`], after which the spool no longer holds its layers, and no bases.
    Load {
        /// Behind the folders `blobs/` and `blobs/sha256/`, which are written first.
        entries: Vec<Entry>,
        /// Of the tarball, its end mark included: guards against two notions of the form.
        size: u64,
    },
    /// Listens, and takes parts of these layers from the receiver of another host, which gives them: one that proves to
    /// have the key. Progress: [`Reply::Listening`] at once, then [`Reply::Taking`]. -> [`Reply::Taken`]
    Take {
        /// One of this host's own.
        address: IpAddr,
        /// 0 is any that is free.
        port: u16,
        /// For this one connection.
        key: Key,
        /// No others are taken.
        layers: Vec<Layer>,
    },
    /// Connects to the receiver of another host, which takes, and gives it these parts as they arrive here.
    /// -> [`Reply::Given`]
    Give {
        /// Where it listens.
        address: SocketAddr,
        /// For this one connection.
        key: Key,
        /// All that may still arrive here: it waits as long as anything of them does.
        layers: Vec<Wanted>,
    },
    /// Removes what nobody has touched for so long and no session of any deployer wants. -> [`Reply::Swept`]
    Sweep {
        /// Seconds.
        older_than_seconds: u64,
    },
}

impl Request {
    /// How many bytes follow it.
    pub fn payload(&self) -> u64 {
        match self {
            Self::Put { payload, .. } | Self::Patch { payload, .. } => *payload,
            _ => 0,
        }
    }
}

/// A layer and its uncompressed size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Its digest.
    pub diff_id: DiffId,
    /// Bytes.
    pub size: u64,
}

/// A part of a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The layer that it is a part of.
    pub base: DiffId,
    /// Of the part in the base.
    pub offset: u64,
    /// Of the part; 1 to [`MOST_REFERENCE`](crate::MOST_REFERENCE).
    pub length: u64,
    /// How the payload refers to it.
    pub form: PatchForm,
}

/// What the payload of a [`Request::Patch`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatchForm {
    /// One zstd frame of the part, made with that part of the base as its prefix (`zstd --patch-from`).
    Prefix,
    /// One zstd frame of a [`Difference`](crate::Difference), which is no longer than the part, from that part of the base.
    Difference,
}

/// How a payload is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// Not at all.
    Raw,
    /// One zstd frame.
    Zstd,
}

/// One regular file of the tarball for the engine: owner root, mode 0644, time 0, ustar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Entry {
    /// A document. In JSON its content is base64.
    Text {
        /// `index.json`, `manifest.json`, `oci-layout` or `blobs/sha256/<64 hex digits>`.
        path: String,
        /// The content.
        #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
        text: Vec<u8>,
    },
    /// A layer out of the spool.
    Layer {
        /// `blobs/sha256/<the hex digits of its DiffID>`.
        path: String,
        /// The layer.
        diff_id: DiffId,
        /// Bytes.
        size: u64,
    },
}

impl Entry {
    /// Its name in the tarball.
    pub fn path(&self) -> &str {
        match self {
            Self::Text { path, .. } | Self::Layer { path, .. } => path,
        }
    }

    /// Bytes of its content.
    pub fn size(&self) -> u64 {
        match self {
            Self::Text { text, .. } => text.len() as u64,
            Self::Layer { size, .. } => *size,
        }
    }
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&Base64::encode_string(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    Base64::decode_vec(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// What the session answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To [`Request::Hello`].
    Hello {
        /// The helper's [`VERSION`](crate::VERSION).
        version: u32,
        /// Whether it reaches the engine.
        engine: EngineState,
        /// Bytes that an unprivileged user may still write to the spool's file system.
        free: u64,
    },
    /// To [`Request::Have`], in its order.
    Have(Vec<Held>),
    /// To [`Request::Put`], [`Request::Patch`] and [`Request::Copy`].
    Stored {
        /// The layer.
        diff_id: DiffId,
        /// Of the part; of the first piece.
        offset: u64,
        /// Of the part; of all pieces together.
        length: u64,
    },
    /// Progress of [`Request::Base`], at most every 200 ms.
    Reading {
        /// Bytes that the engine has given so far.
        bytes: u64,
    },
    /// To [`Request::Base`].
    Base {
        /// For [`unpack`](crate::unpack).
        chunks: Vec<String>,
    },
    /// Progress of [`Request::Load`], at most every 200 ms.
    Loading {
        /// Bytes of the tarball that the engine has taken so far.
        bytes: u64,
    },
    /// To [`Request::Load`]. The engine has said that it is done; whether the image is whole must be looked at.
    Loaded {
        /// What it said.
        messages: Vec<String>,
    },
    /// Progress of [`Request::Take`], once.
    Listening {
        /// Where.
        port: u16,
    },
    /// Progress of [`Request::Take`], at most every 200 ms.
    Taking {
        /// Bytes that were taken so far.
        bytes: u64,
    },
    /// To [`Request::Take`]: the other host has given all that it was to give.
    Taken {
        /// How much that was.
        bytes: u64,
    },
    /// To [`Request::Give`].
    Given {
        /// How much it was.
        bytes: u64,
    },
    /// To [`Request::Sweep`].
    Swept {
        /// Bytes that stay.
        left: u64,
        /// Files that stay.
        files: u64,
    },
    /// To any request, instead of its own reply. Behind [`ErrorKind::Protocol`] the session ends.
    Error {
        /// What to do about it.
        kind: ErrorKind,
        /// For people.
        text: String,
        /// The layer that it is about, where it is about one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        diff_id: Option<DiffId>,
    },
}

impl Reply {
    /// Whether another reply to the same request follows.
    pub fn is_progress(&self) -> bool {
        matches!(self, Self::Reading { .. } | Self::Loading { .. } | Self::Listening { .. } | Self::Taking { .. })
    }
}

/// Whether the helper reaches the engine through its socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineState {
    /// Its API version, such as `1.41`.
    Ok(String),
    /// Why not.
    Err(String),
}

/// What the spool holds of a layer. Only loading proves that the bytes are right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The layer.
    pub diff_id: DiffId,
    /// Ascending, apart from each other.
    pub ranges: Vec<Range>,
}

/// Kinds of errors, by what the deployer can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request breaks the rules.
    Protocol,
    /// The payload is not what the request says; nothing was stored.
    Chunk,
    /// A layer's bytes are not those of its DiffID; the spool has forgotten them, the engine loads nothing.
    Digest,
    /// The spool's disk is full.
    Space,
    /// The engine refused, or is out of reach.
    Engine,
    /// There is no such layer to copy from, or it has gone.
    Base,
    /// Parts of a layer to load are missing, and none arrived any more.
    Missing,
    /// The other host that was to give or to take is out of reach, has gone, or is not the one that was meant.
    Peer,
    /// Reading or writing the spool failed.
    Io,
}

#[cfg(test)]
mod tests;
