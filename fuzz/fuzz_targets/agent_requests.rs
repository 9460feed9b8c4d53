//! Whatever a client sends, the agent answers each whole request once, in a form that a client can read, and goes on.
//!
//! The input is a list of messages, each behind its length in two bytes, so that the fuzzer need not find out frames
//! by itself. An agent without keys that were there before gets them on one connection.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ssh_key::PrivateKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use toolbox::agent::{Agent, Settings};

/// One key for every agent: making one takes longer than a whole run.
static KEY: LazyLock<PrivateKey> = LazyLock::new(|| {
    let pair = ssh_key::private::Ed25519Keypair::from_seed(&[7; 32]);
    PrivateKey::from(pair)
});

fuzz_target!(|input: &[u8]| {
    // Time is made up: a wrong unlock waits, and what waits is skipped.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(converse(&messages(input)));
});

fn messages(mut input: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    while let Some((length, rest)) = input.split_first_chunk::<2>() {
        let (message, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
        messages.push(message);
        input = rest;
    }
    messages
}

async fn converse(messages: &[&[u8]]) {
    // No library may be named: what they and their helpers do is not ours.
    let agent = Agent::with_settings(Settings { allowed_providers: String::new(), ..Settings::default() });
    agent.add(KEY.clone(), None).await.unwrap();
    let mut client = agent.connect();
    for message in messages {
        let answer = ask(&mut client, message).await;
        assert!(well_formed(&answer), "{message:02x?} was answered with {answer:02x?}");
    }
    // Whatever was said, the conversation is still good, and so is the agent for somebody else.
    let listed = ask(&mut client, &[11]).await;
    assert_eq!(listed.first(), Some(&12));
    assert_eq!(ask(&mut agent.connect(), &[11]).await.first(), Some(&12));
}

async fn ask(client: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin), message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    client.write_all(&[&length.to_be_bytes(), message].concat()).await.unwrap();
    let mut answer = vec![0; client.read_u32().await.unwrap() as usize];
    client.read_exact(&mut answer).await.unwrap();
    answer
}

/// An answer that OpenSSH's client could read to its end.
fn well_formed(answer: &[u8]) -> bool {
    match answer {
        [5 | 6] => true,
        [12, a, b, c, d, rest @ ..] => {
            let count = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            strings(rest).is_some_and(|strings| strings == 2 * count)
        }
        [14, rest @ ..] => strings(rest) == Some(1),
        [29, rest @ ..] => strings(rest).is_some_and(|strings| strings >= 1),
        _ => false,
    }
}

/// How many strings there are up to the very end.
fn strings(mut rest: &[u8]) -> Option<usize> {
    let mut count = 0;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after.split_at_checked(u32::from_be_bytes(*length) as usize)?.1;
        count += 1;
    }
    Some(count)
}
