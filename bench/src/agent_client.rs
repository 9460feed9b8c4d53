//! A client of an agent that asks as fast as it is answered.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ssh_key::PrivateKey;
use ssh_key::encoding::Encode as _;

use crate::agent::Problem;

/// The flag of a sign request that asks for rsa-sha2-512.
const RSA_SHA2_512: u32 = 4;
/// As long as what ssh signs at a login.
const SIGNED_BYTES: usize = 256;

/// A connection to an agent.
pub(crate) struct Client {
    stream: UnixStream,
    answer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(socket: &Path) -> Result<Self, Problem> {
        Ok(Self { stream: UnixStream::connect(socket)?, answer: Vec::new() })
    }

    /// The answer to a framed request, without its length.
    fn ask(&mut self, request: &[u8]) -> Result<&[u8], Problem> {
        self.stream.write_all(request)?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        self.answer.resize(u32::from_be_bytes(length) as usize, 0);
        self.stream.read_exact(&mut self.answer)?;
        Ok(&self.answer)
    }

    /// Adds a key that was just made.
    pub(crate) fn add(&mut self, key: &PrivateKey) -> Result<(), Problem> {
        let mut body = vec![17];
        key.key_data().encode(&mut body)?;
        key.comment().encode(&mut body)?;
        match self.ask(&framed(&body))? {
            [6] => Ok(()),
            _ => Err("the agent did not take a key".into()),
        }
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    frame.extend(body);
    frame
}

/// A request that can be sent again and again, and how its good answer begins.
pub(crate) struct Question {
    request: Vec<u8>,
    good: u8,
}

impl Question {
    /// Sign with this key.
    pub(crate) fn sign(key: &PrivateKey) -> Result<Self, Problem> {
        let mut body = vec![13];
        key.public_key().to_bytes()?.encode(&mut body)?;
        [7_u8; SIGNED_BYTES].as_slice().encode(&mut body)?;
        RSA_SHA2_512.encode(&mut body)?;
        Ok(Self { request: framed(&body), good: 14 })
    }

    /// List the identities.
    pub(crate) fn list() -> Self {
        Self { request: framed(&[11]), good: 12 }
    }

    /// Answers a second, asked over so many connections at once.
    pub(crate) fn rate(&self, socket: &Path, connections: usize, time: Duration) -> Result<f64, Problem> {
        let clients: Vec<Client> = (0..connections).map(|_| Client::connect(socket)).collect::<Result<_, _>>()?;
        let (start, over, answers) = (Barrier::new(connections + 1), AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let (start, over, answers) = (&start, &over, &answers);
            let asking: Vec<_> = clients
                .into_iter()
                .map(|mut client| {
                    scope.spawn(move || {
                        start.wait();
                        while !over.load(Ordering::Relaxed) {
                            self.ask_once(&mut client)?;
                            answers.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok::<(), Problem>(())
                    })
                })
                .collect();
            start.wait();
            let began = Instant::now();
            std::thread::sleep(time);
            over.store(true, Ordering::Relaxed);
            let (answers, elapsed) = (answers.load(Ordering::Relaxed), began.elapsed());
            for client in asking {
                client.join().map_err(|_| "a client panicked")??;
            }
            Ok(answers as f64 / elapsed.as_secs_f64())
        })
    }

    fn ask_once(&self, client: &mut Client) -> Result<(), Problem> {
        match client.ask(&self.request)?.first() {
            Some(first) if *first == self.good => Ok(()),
            other => Err(format!("the agent answered {other:?}").into()),
        }
    }
}
