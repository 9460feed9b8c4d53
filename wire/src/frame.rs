//! Frames: a request's length (u32, big-endian), its JSON, its payload.
//!
//! Contract: however the bytes are cut, the same frames come out. What is announced beyond the limits is
//! refused before it is stored.

use std::io::{self, Write};

use thiserror::Error;

use crate::{MOST_JSON, MOST_PAYLOAD, Request};

const PREFIX: usize = 4;

/// A frame that breaks the rules; nothing can be read behind it.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The JSON is too long.
    #[error("a request of {0} bytes is longer than {MOST_JSON}")]
    LongJson(usize),
    /// The payload is too long.
    #[error("a payload of {0} bytes is longer than {MOST_PAYLOAD}")]
    LongPayload(u64),
    /// The JSON is no request.
    #[error("this is no request: {0}")]
    Json(#[from] serde_json::Error),
}

/// The frame of a request up to its payload, of which [`Request::payload`] bytes must follow.
///
/// # Errors
/// Limits that the request breaks.
pub fn head(request: &Request) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; PREFIX];
    serde_json::to_writer(&mut frame, request)?;
    let length = frame.len() - PREFIX;
    if length > MOST_JSON {
        return Err(FrameError::LongJson(length));
    }
    check_payload(request)?;
    frame[..PREFIX].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(frame)
}

/// Writes a whole frame.
///
/// # Errors
/// What the writer says; `InvalidInput` for limits that are broken, and for a payload whose length is not
/// the one that the request names.
pub fn write_frame(out: &mut impl Write, request: &Request, payload: &[u8]) -> io::Result<()> {
    let head = head(request).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    if request.payload() != payload.len() as u64 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    out.write_all(&head)?;
    out.write_all(payload)
}

fn check_payload(request: &Request) -> Result<usize, FrameError> {
    let payload = request.payload();
    match usize::try_from(payload) {
        Ok(length) if length <= MOST_PAYLOAD => Ok(length),
        _ => Err(FrameError::LongPayload(payload)),
    }
}

/// Takes bytes as they come and gives frames.
#[derive(Debug, Default)]
pub struct FrameReader {
    bytes: Vec<u8>,
    /// The request whose payload is awaited, and how much that is.
    begun: Option<(Request, usize)>,
}

impl FrameReader {
    /// Takes bytes. Ask [`next`](Self::next) until it has none before more bytes are given: that bounds memory.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next request with its payload; `None` until more bytes are there.
    ///
    /// # Errors
    /// A frame that breaks the rules. The reader is of no use any more then.
    #[expect(clippy::should_implement_trait, reason = "none now does not mean none later")]
    pub fn next(&mut self) -> Result<Option<(Request, Vec<u8>)>, FrameError> {
        if self.begun.is_none() {
            self.begun = self.begin()?;
        }
        let whole = |(_, payload): &mut (Request, usize)| *payload <= self.bytes.len();
        let Some((request, payload)) = self.begun.take_if(whole) else {
            return Ok(None);
        };
        let rest = self.bytes.split_off(payload);
        Ok(Some((request, std::mem::replace(&mut self.bytes, rest))))
    }

    /// Whether bytes are left that are no whole frame: at the end of the input, it was cut.
    pub fn is_within_frame(&self) -> bool {
        self.begun.is_some() || !self.bytes.is_empty()
    }

    fn begin(&mut self) -> Result<Option<(Request, usize)>, FrameError> {
        let Some(prefix) = self.bytes.first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length > MOST_JSON {
            return Err(FrameError::LongJson(length));
        }
        let Some(json) = self.bytes.get(PREFIX..PREFIX + length) else {
            return Ok(None);
        };
        let request: Request = serde_json::from_slice(json)?;
        let payload = check_payload(&request)?;
        self.bytes.drain(..PREFIX + length);
        self.bytes.reserve(payload.saturating_sub(self.bytes.len()));
        Ok(Some((request, payload)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::{Codec, DiffId, Entry, Layer};

    /// A request and its payload.
    type Frame = (Request, Vec<u8>);

    fn put(payload: usize) -> Frame {
        let (diff_id, size) = (DiffId([payload as u8; 32]), 1 << 40);
        let put = Request::Put { diff_id, size, offset: 7, length: 9, codec: Codec::Zstd, payload: payload as u64 };
        (put, vec![b'{'; payload])
    }

    fn frames(payloads: &[usize]) -> Vec<Frame> {
        let have = Request::Have { layers: vec![Layer { diff_id: DiffId([1; 32]), size: 3 }] };
        let text = Entry::Text { path: "index.json".to_owned(), text: b"\0{}".to_vec() };
        let load = Request::Load { entries: vec![text], size: 4096 };
        let others = [(Request::Hello { version: 1 }, vec![]), (have, vec![]), (load, vec![])];
        payloads.iter().map(|payload| put(*payload)).chain(others).collect()
    }

    fn read(mut bytes: &[u8], pieces: &[usize]) -> Result<(Vec<Frame>, bool), FrameError> {
        let (mut reader, mut frames) = (FrameReader::default(), Vec::new());
        for piece in pieces.iter().chain([&usize::MAX]) {
            let (now, later) = bytes.split_at(bytes.len().min(*piece));
            reader.feed(now);
            while let Some(frame) = reader.next()? {
                frames.push(frame);
            }
            bytes = later;
        }
        Ok((frames, reader.is_within_frame()))
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_cut_the_same_frames_come_out(
            payloads in vec(0usize..3000, 0..4),
            pieces in vec(1usize..700, 0..60),
            end in 0.0..1.0f64,
        ) {
            let frames = frames(&payloads);
            let mut bytes = Vec::new();
            let ends: Vec<usize> = frames.iter().map(|(request, payload)| {
                write_frame(&mut bytes, request, payload).unwrap();
                bytes.len()
            }).collect();
            prop_assert_eq!(read(&bytes, &pieces).unwrap(), (frames.clone(), false));
            let end = (bytes.len() as f64 * end) as usize;
            let whole = ends.iter().filter(|whole| **whole <= end).count();
            let cut = end > 0 && !ends.contains(&end);
            prop_assert_eq!(read(&bytes[..end], &pieces).unwrap(), (frames[..whole].to_vec(), cut));
        }

        #[test]
        fn garbage_is_refused_or_waited_for(bytes in vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, &[3, 50]);
        }
    }

    #[test]
    fn what_is_announced_beyond_the_limits_is_refused_at_once() {
        let long = (MOST_JSON as u32 + 1).to_be_bytes();
        assert!(matches!(read(&long, &[]), Err(FrameError::LongJson(_))));
        assert!(matches!(read(&u32::MAX.to_be_bytes(), &[]), Err(FrameError::LongJson(_))));
        for announced in [MOST_PAYLOAD as u64 + 1, u64::MAX] {
            let (mut request, _) = put(0);
            if let Request::Put { payload, .. } = &mut request {
                *payload = announced;
            }
            assert!(matches!(head(&request), Err(FrameError::LongPayload(_))));
            let json = serde_json::to_vec(&request).unwrap();
            let frame = [&(json.len() as u32).to_be_bytes()[..], &json].concat();
            assert!(matches!(read(&frame, &[]), Err(FrameError::LongPayload(_))));
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let extra = r#"{"hello":{"version":1,"more":2}}"#;
        for text in ["{}", "null", "\"hello\"", extra, r#"{"sweep":{}}"#, r#"{"hello":{"version":-1}}"#] {
            let frame = [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat();
            assert!(matches!(read(&frame, &[]), Err(FrameError::Json(_))), "{text}");
        }
    }

    #[test]
    fn a_payload_of_another_length_is_not_written() {
        let (request, payload) = put(10);
        let mut out = Vec::new();
        assert!(write_frame(&mut out, &request, &payload[1..]).is_err() && out.is_empty());
    }
}
