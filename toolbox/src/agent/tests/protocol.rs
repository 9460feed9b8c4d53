//! Raw requests over the socket: what a client that is broken, hasty or hostile gets.

use super::*;

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
    send(&mut guesser, &[23, 0, 0, 0, 1, b'b']).await;
    let answered_first = tokio::select! {
        biased;
        _ = receive(&mut guesser) => "guesser",
        _ = exchange(&mut other, &[11]) => "other",
    };
    assert_eq!(answered_first, "other");
}

#[tokio::test]
async fn a_right_unlock_does_not_wait_for_wrong_ones() {
    let house = House::new();
    let (mut guesser, mut owner) = (house.raw().await, house.raw().await);
    assert_eq!(exchange(&mut owner, &[22, 0, 0, 0, 1, b'a']).await, [6]);
    for _ in 0..50 {
        house.agent.keyring().unlock(None).unwrap_err();
    }
    send(&mut guesser, &[23, 0, 0, 0, 1, b'b']).await;
    until(|| house.agent.keyring().failures() == 51).await;
    let answered_first = tokio::select! {
        biased;
        _ = receive(&mut guesser) => "guesser",
        answer = exchange(&mut owner, &[23, 0, 0, 0, 1, b'a']) => if answer == [6] { "owner" } else { "nobody" },
    };
    assert_eq!(answered_first, "owner");
}

#[tokio::test]
async fn many_connections_guess_no_faster_than_a_few() {
    let house = House::new();
    let mut owner = house.raw().await;
    assert_eq!(exchange(&mut owner, &[22, 0, 0, 0, 1, b'a']).await, [6]);
    let mut guessers = Vec::new();
    for _ in 0..3 * GUESSES {
        let mut guesser = house.raw().await;
        send(&mut guesser, &[23, 0, 0, 0, 1, b'b']).await;
        guessers.push(guesser);
    }
    until(|| house.agent.shared.guesses.available_permits() == 0).await;
    let started = Instant::now();
    for mut guesser in guessers {
        assert_eq!(receive(&mut guesser).await.unwrap(), [5]);
    }
    // Twelve failures wait 7.8 s together, and four of them at a time.
    assert!(started.elapsed() > Duration::from_millis(1500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_client_that_pipelines_and_never_reads_costs_one_answer() {
    let house = House::new();
    house.generate("key", TYPES[0]).await;
    house.done("ssh-add", &["-q", "key"]).await;
    let mut stream = house.agent.connect();
    let request = [&[0, 0, 0, 1, 11][..]; 64].concat();
    // Both directions of the stream fill up, and then nothing more is taken.
    let mut sent = 0;
    while tokio::time::timeout(Duration::from_millis(300), stream.write_all(&request)).await.is_ok() {
        sent += request.len();
        assert!(sent < 4 * DUPLEX, "the agent goes on reading");
    }
    assert_eq!(exchange(&mut house.raw().await, &[11]).await[..5], [12, 0, 0, 0, 1]);
}

/// A house with an agent that is locked with `a`, and on which so many failures are counted already.
async fn locked(failures: u32) -> House {
    let house = House::new();
    assert_eq!(exchange(&mut house.raw().await, &[22, 0, 0, 0, 1, b'a']).await, [6]);
    for _ in 0..failures {
        house.agent.keyring().unlock(None).unwrap_err();
    }
    house
}

#[tokio::test]
async fn a_guess_that_waits_goes_on_when_its_client_hangs_up_and_one_in_the_queue_does_not() {
    let house = locked(20).await;
    let holders = || Arc::strong_count(&house.agent.shared);
    let started = Instant::now();
    for _ in 0..10 * GUESSES {
        send(&mut house.raw().await, &[23, 0, 0, 0, 1, b'b']).await;
    }
    until(|| house.agent.keyring().failures() == 24).await;
    // The agent, the one that serves, and the attempts.
    until(|| holders() == 2 + GUESSES).await;
    assert_eq!(house.agent.shared.guesses.available_permits(), 0);
    assert_eq!(exchange(&mut house.raw().await, &[23, 0, 0, 0, 1, b'a']).await, [6]);
    let waited = started.elapsed();
    assert!(waited > Duration::from_secs(2) && waited < Duration::from_secs(5), "{waited:?}");
}

#[tokio::test]
async fn guesses_of_other_hosts_do_not_delay_a_local_unlock() {
    let house = House::new();
    house.generate("one", TYPES[0]).await;
    let mut guessers = Vec::new();
    for _ in 0..2 * GUESSES {
        let mut guesser = house.raw().await;
        assert_eq!(exchange(&mut guesser, &house.bind("one", "one.pub", b"s1", true)).await, [6]);
        guessers.push(guesser);
    }
    assert_eq!(exchange(&mut house.raw().await, &[22, 0, 0, 0, 1, b'a']).await, [6]);
    for _ in 0..90 {
        house.agent.keyring().unlock(None).unwrap_err();
    }
    for guesser in &mut guessers {
        send(guesser, &[23, 0, 0, 0, 1, b'b']).await;
    }
    until(|| house.agent.keyring().failures() == 94).await;
    assert_eq!(exchange(&mut house.raw().await, &[23, 0, 0, 0, 1, b'a']).await, [6]);
    assert_eq!(house.agent.shared.remote_guesses.available_permits(), 0, "theirs still wait");
}
