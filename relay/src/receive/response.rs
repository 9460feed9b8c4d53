//! Reading an engine's answer (RFC 9112).
//!
//! Contract: a body that ends before its end is an error. Heads and chunk sizes are bounded; trailers are
//! skipped, since the connection is closed behind every answer.

use std::io::{self, BufRead, BufReader, Read};

use httparse::{EMPTY_HEADER, Status};

/// Bytes of a head; engines send some hundred.
const MOST_HEAD: usize = 16 * 1024;
const MOST_FIELDS: usize = 64;

/// What is left of a body.
#[derive(Debug)]
enum Left {
    Length(u64),
    /// Of the current chunk, and whether any came before it.
    Chunk {
        left: u64,
        first: bool,
    },
    UntilClose,
    Nothing,
}

/// An answer whose head is read; its body is what can be read.
#[derive(Debug)]
pub(super) struct Response<R> {
    /// The status code.
    pub(super) status: u16,
    /// The engine's API version.
    pub(super) api_version: Option<String>,
    left: Left,
    input: BufReader<R>,
}

impl<R: Read> Response<R> {
    /// Reads the head of the answer; those of interim ones (1xx) are skipped.
    pub(super) fn read(input: R) -> io::Result<Self> {
        let mut input = BufReader::with_capacity(128 * 1024, input);
        loop {
            let head = read_head(&mut input)?;
            let (status, api_version, left) = parse(&head)?;
            if status >= 200 {
                return Ok(Self { status, api_version, left, input });
            }
        }
    }

    fn next_chunk(&mut self, first: bool) -> io::Result<()> {
        if !first {
            read_line(&mut self.input)?;
        }
        let line = read_line(&mut self.input)?;
        let size = match httparse::parse_chunk_size(&line) {
            Ok(Status::Complete((_, size))) => size,
            _ => return Err(invalid("the size of a chunk of the answer cannot be read")),
        };
        self.left = if size == 0 { Left::Nothing } else { Left::Chunk { left: size, first: false } };
        Ok(())
    }
}

impl<R: Read> Read for Response<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if let Left::Chunk { left: 0, first } = self.left {
            self.next_chunk(first)?;
        }
        let left = match &mut self.left {
            Left::Nothing | Left::Length(0) => return Ok(0),
            Left::UntilClose => return self.input.read(bytes),
            Left::Length(left) | Left::Chunk { left, .. } => left,
        };
        let most = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
        let length = self.input.read(&mut bytes[..most])?;
        if length == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        *left -= length as u64;
        Ok(length)
    }
}

fn read_head(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        let line = read_line(input)?;
        head.extend_from_slice(&line);
        if line == b"\r\n" {
            return Ok(head);
        }
        if head.len() > MOST_HEAD {
            return Err(invalid("the head of the answer is too long"));
        }
    }
}

fn read_line(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    input.take(MOST_HEAD as u64).read_until(b'\n', &mut line)?;
    if line.ends_with(b"\r\n") { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn parse(head: &[u8]) -> io::Result<(u16, Option<String>, Left)> {
    let mut fields = [EMPTY_HEADER; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let status = match response.parse(head) {
        Ok(Status::Complete(_)) => response.code.unwrap_or_default(),
        _ => return Err(invalid("this is no HTTP answer")),
    };
    let field = |name: &str| {
        let field = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        field.and_then(|field| str::from_utf8(field.value).ok()).map(str::trim)
    };
    let chunked = field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    let left = match field("content-length").map(str::parse) {
        _ if chunked => Left::Chunk { left: 0, first: true },
        Some(Ok(length)) => Left::Length(length),
        Some(Err(_)) => return Err(invalid("the length of the answer cannot be read")),
        None if status == 204 || status == 304 => Left::Nothing,
        None => Left::UntilClose,
    };
    Ok((status, field("api-version").map(str::to_owned), left))
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
