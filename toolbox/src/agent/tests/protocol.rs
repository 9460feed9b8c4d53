//! Raw requests over the socket: what a client that is broken, hasty or hostile gets.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// Sends one frame and gives the answer's body.
async fn exchange(stream: &mut UnixStream, body: &[u8]) -> Vec<u8> {
    crate::agent::protocol::wire::write_frame(stream, body).await.unwrap();
    crate::agent::protocol::wire::read_frame(stream).await.unwrap().unwrap().to_vec()
}

#[tokio::test]
async fn malformed_requests_get_one_failure_each_and_the_connection_lives_on() {
    let house = House::new();
    let mut stream = house.raw().await;
    let cases: [&[u8]; 8] = [
        &[],
        &[0],
        &[1],
        &[200],
        &[13],
        &[17, 0, 0, 0, 4, b'n', b'o', b'n', b'e'],
        &[18, 255, 255, 255, 255],
        &[27, 0, 0, 0, 1, b'x'],
    ];
    for case in cases {
        assert_eq!(exchange(&mut stream, case).await, [5], "{case:?}");
        assert_eq!(exchange(&mut stream, &[11]).await, [12, 0, 0, 0, 0], "after {case:?}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_even_after_the_client_stops_sending() {
    let house = House::new();
    let mut stream = house.raw().await;
    stream.write_all(&[0, 0, 0, 1, 11, 0, 0, 0, 1, 200, 0, 0, 0, 1, 19]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).await.unwrap();
    assert_eq!(answers, [0, 0, 0, 5, 12, 0, 0, 0, 0, 0, 0, 0, 1, 5, 0, 0, 0, 1, 6]);
}

#[tokio::test]
async fn a_frame_that_is_too_long_ends_its_connection_and_no_other() {
    let house = House::new();
    let (mut one, mut other) = (house.raw().await, house.raw().await);
    one.write_all(&[0, 4, 0, 1, 11]).await.unwrap();
    let mut answers = Vec::new();
    // The rest of what was sent is unread, so the end may show as a reset.
    let _ = one.read_to_end(&mut answers).await;
    assert!(answers.is_empty());
    assert_eq!(exchange(&mut other, &[11]).await, [12, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_wrong_unlock_delays_nobody_else() {
    let house = House::new();
    let (mut guesser, mut other) = (house.raw().await, house.raw().await);
    assert_eq!(exchange(&mut guesser, &[22, 0, 0, 0, 1, b'a']).await, [6]);
    for _ in 0..3 {
        assert_eq!(exchange(&mut guesser, &[23, 0, 0, 0, 1, b'b']).await, [5]);
    }
    crate::agent::protocol::wire::write_frame(&mut guesser, &[23, 0, 0, 0, 1, b'b']).await.unwrap();
    let answered_first = tokio::select! {
        biased;
        _ = crate::agent::protocol::wire::read_frame(&mut guesser) => "guesser",
        _ = exchange(&mut other, &[11]) => "other",
    };
    assert_eq!(answered_first, "other");
}
