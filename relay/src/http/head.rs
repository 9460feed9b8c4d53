//! What a head says of its message's length (RFC 9112, section 6) and of the connection's end (section 9.6).
//!
//! Contract: pure, over a whole head. Whatever two implementations could read differently is [`Doubt`].

use httparse::{EMPTY_HEADER, Header, Status};

const MOST_FIELDS: usize = 128;

/// Nobody can be sure where this message ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Doubt;

/// How a message's end is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// It has none.
    Nothing,
    /// So many bytes.
    Length(u64),
    /// By the chunked transfer coding.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// What the answer's length depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    head: bool,
    connect: bool,
    /// The client waits for 100 (Continue) before the body.
    pub(super) expects: bool,
}

/// What a response's head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status code.
    pub(super) status: u16,
    /// Another head follows for the same request.
    pub(super) interim: bool,
    /// How the end is found.
    pub(super) body: Body,
    /// The connection ends after it.
    pub(super) close: bool,
}

/// Reads a request's head: what its answer depends on, its body, and whether the connection ends after it.
pub(super) fn request(head: &[u8]) -> Result<(Asked, Body, bool), Doubt> {
    let mut fields = [EMPTY_HEADER; MOST_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    complete(request.parse(head), head)?;
    let (method, version) = (request.method.ok_or(Doubt)?, request.version.ok_or(Doubt)?);
    let fields = Fields(request.headers);
    let asked = Asked {
        head: method == "HEAD",
        connect: method == "CONNECT",
        expects: fields.tokens("expect").any(|token| token.eq_ignore_ascii_case("100-continue")),
    };
    let body = fields.body(version)?.unwrap_or(Body::Nothing);
    Ok((asked, body, fields.close(version)))
}

/// Reads a response's head. What follows a tunnel's opening is [`Doubt`]: it is no HTTP/1 any more.
pub(super) fn response(head: &[u8], asked: Option<&Asked>) -> Result<Answer, Doubt> {
    let mut fields = [EMPTY_HEADER; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    complete(response.parse(head), head)?;
    let (status, version) = (response.code.ok_or(Doubt)?, response.version.ok_or(Doubt)?);
    let (fields, asked) = (Fields(response.headers), asked.ok_or(Doubt)?);
    if status < 100 || status == 101 || (asked.connect && (200..300).contains(&status)) {
        return Err(Doubt);
    }
    let interim = status < 200;
    let body = match interim || status == 204 || status == 304 || asked.head {
        true => Body::Nothing,
        false => fields.body(version)?.unwrap_or(Body::UntilClose),
    };
    let close = !interim && (fields.close(version) || body == Body::UntilClose);
    Ok(Answer { status, interim, body, close })
}

fn complete(parsed: Result<Status<usize>, httparse::Error>, head: &[u8]) -> Result<(), Doubt> {
    match parsed {
        Ok(Status::Complete(length)) if length == head.len() => Ok(()),
        _ => Err(Doubt),
    }
}

struct Fields<'a>(&'a [Header<'a>]);

impl<'a> Fields<'a> {
    fn values(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value.trim_ascii())
    }

    /// The comma-separated words of a field; what is no text has none.
    fn tokens(&self, name: &'static str) -> impl Iterator<Item = &'a str> {
        self.values(name)
            .filter_map(|value| str::from_utf8(value).ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
    }

    fn body(&self, version: u8) -> Result<Option<Body>, Doubt> {
        let (mut codings, mut lengths) = (self.values("transfer-encoding"), self.values("content-length"));
        match (codings.next(), lengths.next()) {
            (None, None) => Ok(None),
            (Some(coding), None) if version == 1 && coding.eq_ignore_ascii_case(b"chunked") => {
                if codings.next().is_none() { Ok(Some(Body::Chunked)) } else { Err(Doubt) }
            }
            (None, Some(length)) if lengths.next().is_none() => Ok(Some(Body::Length(number(length)?))),
            _ => Err(Doubt),
        }
    }

    fn close(&self, version: u8) -> bool {
        let said = |word: &str| self.tokens("connection").any(|token| token.eq_ignore_ascii_case(word));
        said("close") || (version == 0 && !said("keep-alive"))
    }
}

/// Digits only: `parse` alone would take a sign.
fn number(text: &[u8]) -> Result<u64, Doubt> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let text = str::from_utf8(text).ok().filter(|_| digits).ok_or(Doubt)?;
    text.parse().map_err(|_| Doubt)
}
