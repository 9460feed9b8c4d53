//! `toolbox-wire`: what the deployer and its helper on a host say to each other when an image is sent.
//!
//! Contract: pure values and bytes, no I/O, nothing asynchronous. The deployer writes frames
//! ([`write_frame`]: one [`Request`] and its payload) to the standard input of a session
//! (`toolbox-relay receive`); the session answers on its standard output, one JSON line for each
//! [`Reply`]. Every request has one final reply, in order; [`Reply::is_progress`] tells the others. Both
//! ends are of one version, since the helper's image is made of the program beside the deployer:
//! [`VERSION`] only guards against a container that somebody else has made.

mod delta;
mod diff_id;
mod difference;
mod frame;
mod leb128;
mod message;
#[cfg(test)]
mod noise;
mod seeding;
mod signature;
pub mod tarball;

pub use delta::{Delta, Literal};
pub use diff_id::{DiffId, DiffIdError};
pub use difference::{Difference, DifferenceError, apply};
pub use frame::{FrameError, FrameReader, head, write_frame};
pub use message::{
    Codec, EngineState, Entry, ErrorKind, Held, Layer, MOST_LAYERS, MOST_PIECES, PatchForm, Piece, Range, Reference,
    Reply, Request,
};
pub use seeding::{Key, MOST_GIVEN, MOST_WANTED, Wanted};
pub use signature::{
    ALGORITHM, AVERAGE_CHUNK, Chunk, Chunker, LARGEST_CHUNK, PackedError, SMALLEST_CHUNK, chunks, pack, unpack,
};

/// The version of this protocol.
pub const VERSION: u32 = 4;
/// The most bytes that the JSON of a request may have.
pub const MOST_JSON: usize = 1 << 20;
/// The most bytes that may follow a request.
pub const MOST_PAYLOAD: usize = 8 << 20;
/// The most bytes of a layer that one request may store, uncompressed.
pub const MOST_RAW: usize = 4 << 20;
/// The most bytes of a base that a part may refer to.
pub const MOST_REFERENCE: usize = 8 << 20;
/// The most bytes of a reply's line: the signature of the largest base, 8 GiB, and as much again.
pub const MOST_REPLY: usize = 32 << 20;
