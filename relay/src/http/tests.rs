use proptest::prelude::*;

use super::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Sends all of it, request after request.
fn send(exchange: &mut Exchange, bytes: impl AsRef<[u8]>) {
    let mut rest = bytes.as_ref();
    while !rest.is_empty() {
        rest = &rest[exchange.request(rest)..];
    }
}

/// An exchange after these requests and answers.
fn after(requests: &str, answers: &str) -> Exchange {
    let mut exchange = Exchange::default();
    send(&mut exchange, requests);
    exchange.response(answers.as_bytes());
    exchange
}

#[test]
fn a_connection_is_idle_after_the_answer_and_not_before() {
    let mut exchange = Exchange::default();
    assert!(exchange.is_idle() && !exchange.is_touched());
    send(&mut exchange, &GET[..4]);
    assert!(!exchange.is_at_request() && !exchange.is_idle());
    send(&mut exchange, &GET[4..]);
    assert!(exchange.is_at_request() && !exchange.is_idle());
    for byte in OK.as_bytes() {
        assert!(!exchange.is_idle());
        exchange.response(&[*byte]);
    }
    assert!(exchange.is_idle() && !exchange.is_closing());
}

#[test]
fn only_one_request_is_let_through_at_a_time() {
    let mut exchange = Exchange::default();
    let two = format!("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc{GET}");
    assert_eq!(exchange.request(two.as_bytes()), two.len() - GET.len());
    assert!(exchange.is_at_request());
}

#[test]
fn pipelined_requests_are_idle_after_the_last_answer() {
    let mut exchange = after(&GET.repeat(3), &OK.repeat(2));
    assert!(!exchange.is_idle());
    exchange.response(OK.as_bytes());
    assert!(exchange.is_idle());
}

#[test]
fn too_many_unanswered_requests_must_wait() {
    let mut exchange = after(&GET.repeat(MOST_UNANSWERED), "");
    assert!(!exchange.may_begin());
    exchange.response(OK.as_bytes());
    assert!(exchange.may_begin());
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    let head = "HEAD / HTTP/1.1\r\n\r\n";
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
    assert!(after(head, length).is_idle());
    assert!(!after(GET, length).is_idle());
    for status in [204, 304] {
        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 100\r\n\r\n");
        assert!(after(GET, &answer).is_idle(), "{status}");
    }
}

#[test]
fn interim_answers_are_not_the_answer() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n";
    assert!(!after(GET, interim).is_idle());
    assert!(after(GET, &format!("{interim}{interim}{OK}")).is_idle());
}

#[test]
fn an_answer_without_a_length_ends_with_the_connection() {
    let exchange = after(GET, "HTTP/1.1 200 OK\r\n\r\nabc");
    assert!(exchange.is_closing() && !exchange.is_idle() && !exchange.is_opaque());
}

#[test]
fn the_end_of_a_connection_is_announced_by_either_side() {
    let request = |field: &str, version| format!("GET / HTTP/{version}\r\n{field}\r\n\r\n");
    let answer = |field: &str, version| format!("HTTP/{version} 200 OK\r\nContent-Length: 0\r\n{field}\r\n\r\n");
    assert!(after(&request("Connection: x, Close", "1.1"), "").is_closing());
    assert!(after(&request("A: b", "1.0"), "").is_closing());
    assert!(!after(&request("Connection: keep-alive", "1.0"), "").is_closing());
    assert!(after(GET, &answer("connection: close", "1.1")).is_closing());
    assert!(after(GET, &answer("A: b", "1.0")).is_closing());
    assert!(!after(GET, &answer("A: b", "1.1")).is_closing());
}

#[test]
fn a_websocket_is_opaque_from_its_answer_on() {
    let request = "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert!(!after(request, "").is_opaque());
    assert!(after(request, "HTTP/1.1 101 Switching Protocols\r\n\r\n").is_opaque());
    assert!(after(request, OK).is_idle(), "the server did not want to");
}

#[test]
fn a_tunnel_is_opaque_when_it_is_open() {
    let request = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n";
    assert!(after(request, "HTTP/1.1 200 OK\r\n\r\n").is_opaque());
    assert!(after(request, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n").is_idle());
}

#[test]
fn who_was_refused_before_the_body_may_send_it_or_not() {
    let request = "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    let refused = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
    assert!(after(request, refused).is_opaque());
    assert!(after(&format!("{request}abc"), refused).is_idle());
    let mut exchange = after(request, "HTTP/1.1 100 Continue\r\n\r\n");
    exchange.response(OK.as_bytes());
    assert!(!exchange.is_opaque() && !exchange.is_idle());
    send(&mut exchange, "abc");
    assert!(exchange.is_idle());
}

#[test]
fn what_a_server_says_unasked_is_opaque() {
    assert!(after("", "220 mail ESMTP\r\n").is_opaque());
    assert!(after(GET, &format!("{OK}HTTP/1.1 408 Request Timeout\r\n\r\n")).is_opaque());
    assert!(after("GET / HT", OK).is_opaque());
}

#[test]
fn what_is_not_http_1_is_opaque() {
    for text in
        ["\x16\x03\x01\x02\0\n\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "EHLO a\r\n\r\n", "SET a 1\r\n\r\n", "\r\n\r\n"]
    {
        assert!(after(text, "").is_opaque(), "{text:?}");
    }
}

#[test]
fn a_length_that_could_be_read_in_two_ways_is_opaque() {
    let fields = [
        "Content-Length: 3\r\nContent-Length: 3",
        "Content-Length: +3",
        "Content-Length: 3, 3",
        "Content-Length: 99999999999999999999",
        "Content-Length: ",
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Content-Length : 3",
    ];
    for fields in fields {
        assert!(after(&format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n"), "").is_opaque(), "{fields}");
    }
    assert!(after("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "").is_opaque());
}

#[test]
fn chunks_that_are_not_by_the_grammar_are_opaque() {
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let long = format!("1;{}\r\n", "e".repeat(20_000));
    let trailers = format!("0\r\n{}", "A: b\r\n".repeat(4_000));
    for body in
        ["\r\n", "g\r\n", "-1\r\n", "1\nx", "1\rx", "1\r\nab", "1\r\na\rb", "1111111111111111\r\n", &long, &trailers]
    {
        assert!(after(&format!("{head}{body}"), "").is_opaque(), "{body:.20}");
    }
    let good = format!("{head}5;a=b\r\nhello\r\n00A \r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n");
    assert!(after(&good, OK).is_idle());
}

#[test]
fn an_endless_head_is_opaque_and_keeps_no_memory() {
    let mut exchange = Exchange::default();
    send(&mut exchange, "GET / HTTP/1.1\r\n");
    for _ in 0..message::MOST_HEAD / 16 + 1 {
        assert_eq!(exchange.request(b"X: aaaaaaaaaaa\r\n"), 16);
    }
    assert!(exchange.is_opaque());
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(200));
    assert!(after(&many, "").is_opaque());
}

#[test]
fn line_ends_between_requests_are_no_request() {
    let mut exchange = after(&format!("{GET}\r\n"), OK);
    assert!(exchange.is_idle());
    send(&mut exchange, format!("\n{GET}"));
    exchange.response(OK.as_bytes());
    assert!(exchange.is_idle());
}

/// A message and the places in it where a head ends that is none of the answer.
#[derive(Debug, Clone)]
struct Sample {
    request: Vec<u8>,
    answer: Vec<u8>,
}

fn body() -> impl Strategy<Value = (String, Vec<u8>)> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    let length = bytes().prop_map(|body| (format!("Content-Length: {}\r\n", body.len()), body));
    let chunks = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..4).prop_map(|chunks| {
        let mut body = Vec::new();
        for chunk in chunks {
            body.extend(format!("{:x};x=\"y\"\r\n", chunk.len()).bytes());
            body.extend(chunk);
            body.extend(b"\r\n");
        }
        body.extend(b"0\r\nT: u\r\n\r\n");
        ("Transfer-Encoding: chunked\r\n".to_owned(), body)
    });
    prop_oneof![length, chunks]
}

fn sample() -> impl Strategy<Value = Sample> {
    let interim =
        prop::sample::select(vec!["", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"]);
    (any::<bool>(), body(), body(), interim).prop_map(|(head, sent, answered, interim)| {
        let method = if head { "HEAD" } else { "PUT" };
        let mut request = format!("{method} /x HTTP/1.1\r\nHost: y\r\n{}\r\n", sent.0).into_bytes();
        request.extend(sent.1);
        let mut answer = format!("{interim}HTTP/1.1 200 OK\r\n{}\r\n", answered.0).into_bytes();
        if !head {
            answer.extend(answered.1);
        }
        Sample { request, answer }
    })
}

/// The bytes in pieces of these lengths, in turn.
fn cut<'a>(bytes: &'a [u8], lengths: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = bytes;
    lengths.iter().cycle().map_while(move |length| {
        let (piece, after) = rest.split_at((*length).min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

proptest! {
    #[test]
    fn however_the_bytes_are_cut_messages_end_where_they_end(
        samples in prop::collection::vec(sample(), 1..5),
        lengths in prop::collection::vec(1_usize..60, 1..8),
    ) {
        let mut exchange = Exchange::default();
        let requests: Vec<u8> = samples.iter().flat_map(|sample| sample.request.clone()).collect();
        let (mut at, mut ends) = (0, Vec::new());
        for mut piece in cut(&requests, &lengths) {
            while !piece.is_empty() {
                let taken = exchange.request(piece);
                at += taken;
                piece = &piece[taken..];
                ends.extend(exchange.is_at_request().then_some(at));
            }
        }
        let real: Vec<_> = samples.iter().scan(0, |sum, sample| { *sum += sample.request.len(); Some(*sum) }).collect();
        prop_assert_eq!(ends, real);

        let answers: Vec<u8> = samples.iter().flat_map(|sample| sample.answer.clone()).collect();
        let mut left = answers.len();
        for piece in cut(&answers, &lengths) {
            prop_assert!(!exchange.is_idle());
            exchange.response(piece);
            left -= piece.len();
        }
        prop_assert!(left == 0 && exchange.is_idle() && !exchange.is_opaque());
    }

    #[test]
    fn however_the_bytes_are_cut_nonsense_is_judged_the_same(
        parts in prop::collection::vec(prop::sample::select(vec![
            GET, OK, "\r\n", "\n", "\r", " ", "0\r\n\r\n", "5\r\nhello\r\n", "POST / HTTP/1.1\r\n", "Content-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\n", "HTTP/1.1 204 No\r\n", "HEAD / HTTP/1.1\r\n", "\0", "a",
        ]), 0..12),
        lengths in prop::collection::vec(1_usize..20, 1..8),
        asked in 0_usize..3,
    ) {
        let bytes = parts.concat();
        let judged = |lengths: &[usize]| {
            let (mut asking, mut answering) = (Exchange::default(), after(&GET.repeat(asked), ""));
            for piece in cut(bytes.as_bytes(), lengths) {
                send(&mut asking, piece);
                answering.response(piece);
            }
            [asking, answering].map(|it| (it.is_opaque(), it.is_idle(), it.is_at_request(), it.is_closing()))
        };
        prop_assert_eq!(judged(&[usize::MAX]), judged(&lengths));
    }
}
