//! Our agent before others: well-behaved, broken, slow and lying ones.

use std::sync::{Arc, Mutex};

use ssh_key::PrivateKey;
use ssh_key::private::Ed25519Keypair;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::*;
use crate::agent::keyring::Salt;
use crate::agent::{Agent, Settings};

mod place;

/// What an agent does with a request.
enum Reply {
    /// Answers with a message of this body.
    Body(Vec<u8>),
    /// Sends these bytes as they are and ends.
    Bytes(Vec<u8>),
    HangUp,
    Never,
    /// Answers after this long.
    Late(Duration, Vec<u8>),
}

/// Requests, each with the number of its connection.
type Noted = Arc<Mutex<Vec<(usize, Vec<u8>)>>>;

/// An agent that does as it is told, and notes each request with the number of its connection.
struct Fake {
    directory: tempfile::TempDir,
    requests: Noted,
    server: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Fake {
    fn new(reply: impl Fn(&[u8]) -> Reply + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("socket")).unwrap();
        let (requests, reply) = (Arc::new(Mutex::new(Vec::new())), Arc::new(reply));
        let noted = Arc::clone(&requests);
        let server = tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(converse(stream, number, Arc::clone(&noted), Arc::clone(&reply)));
            }
        });
        Self { directory, requests, server }
    }

    /// One that lists and signs for the keys of these seeds, and binds.
    fn holding(seeds: &'static [u8]) -> Self {
        Self::new(move |request| Reply::Body(answer(request, seeds)))
    }

    fn upstream(&self) -> Upstream {
        Upstream::at(self.directory.path().join("socket"))
    }

    /// An agent before it, without keys of its own.
    fn agent(&self) -> Agent {
        Agent::with_settings(Settings { upstream: Some(self.upstream()), ..Settings::default() })
    }

    fn requests(&self) -> Vec<(usize, Vec<u8>)> {
        self.requests.lock().unwrap().clone()
    }

    /// The types of the requests so far.
    fn asked(&self) -> Vec<u8> {
        self.requests().iter().map(|(_, body)| body[0]).collect()
    }
}

async fn write_frame(stream: &mut (impl AsyncWrite + Unpin), body: &[u8]) {
    let length = u32::try_from(body.len()).unwrap();
    stream.write_all(&[&length.to_be_bytes(), body].concat()).await.unwrap();
}

/// The next frame's body; `None` at the end of the stream.
async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut body = vec![0; stream.read_u32().await.ok()? as usize];
    stream.read_exact(&mut body).await.ok()?;
    Some(body)
}

async fn converse<R: Fn(&[u8]) -> Reply>(mut stream: UnixStream, number: usize, noted: Noted, reply: Arc<R>) {
    while let Some(request) = read_frame(&mut stream).await {
        noted.lock().unwrap().push((number, request.to_vec()));
        match reply(&request) {
            Reply::Body(body) => write_frame(&mut stream, &body).await,
            Reply::Bytes(bytes) => return stream.write_all(&bytes).await.unwrap(),
            Reply::HangUp => return,
            Reply::Never => std::future::pending().await,
            Reply::Late(delay, body) => {
                tokio::time::sleep(delay).await;
                write_frame(&mut stream, &body).await;
            }
        }
    }
}

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

fn blob(seed: u8) -> Vec<u8> {
    key(seed).public_key().to_bytes().unwrap()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut string = Vec::new();
    put_string(&mut string, bytes);
    string
}

fn listing(seeds: &[u8]) -> Vec<u8> {
    let entries = seeds.iter().flat_map(|seed| [string(&blob(*seed)), string(b"theirs")].concat());
    [12, 0, 0, 0, u8::try_from(seeds.len()).unwrap()].into_iter().chain(entries).collect()
}

fn answer(request: &[u8], seeds: &[u8]) -> Vec<u8> {
    match request[0] {
        LIST => listing(seeds),
        SIGN => [vec![SIGNATURE], string(b"signed upstream")].concat(),
        27 => vec![SUCCESS],
        _ => vec![FAILURE],
    }
}

fn sign_request(blob: &[u8], flags: u32) -> Vec<u8> {
    [vec![SIGN], string(blob), string(b"data"), flags.to_be_bytes().to_vec()].concat()
}

/// A binding that no agent could verify: whether it is good is each agent's own business.
fn bind_request() -> Vec<u8> {
    [vec![27], string(b"session-bind@openssh.com"), string(b"key"), string(b"id"), string(b"signature"), vec![0]]
        .concat()
}

async fn exchange(client: &mut DuplexStream, body: &[u8]) -> Vec<u8> {
    write_frame(client, body).await;
    read_frame(client).await.unwrap()
}

/// The blobs that a client is shown.
async fn list(client: &mut DuplexStream) -> Vec<Vec<u8>> {
    let answer = exchange(client, &[LIST]).await;
    identities(&answer[1..]).unwrap().into_iter().map(|identity| identity.blob).collect()
}

#[tokio::test]
async fn our_own_come_first_and_each_blob_once() {
    let fake = Fake::holding(&[2, 1, 2, 3]);
    let agent = fake.agent();
    agent.add(key(1), None).await.unwrap();
    assert_eq!(list(&mut agent.connect()).await, [blob(1), blob(2), blob(3)]);
}

#[tokio::test]
async fn a_merged_list_is_no_longer_than_clients_take() {
    let identity = |number: u32, length| Identity {
        blob: number.to_be_bytes().into_iter().chain(vec![0; length]).collect(),
        comment: String::new(),
    };
    let following = |theirs: Vec<Identity>, count| following(theirs, count, count * 20, |_| false).len();
    assert_eq!(following((0..5000).map(|number| identity(number, 8)).collect(), 1), MOST_IDENTITIES - 1);
    assert_eq!(following((1..9).map(|number| identity(number, LONGEST_FRAME / 4)).collect(), 1), 3);
    assert_eq!(following(vec![identity(1, LONGEST_FRAME - 17)], 0), 1);
    assert_eq!(following(vec![identity(1, LONGEST_FRAME - 16)], 0), 0);
}

#[tokio::test]
async fn a_signature_for_another_blob_is_upstreams_and_for_ours_is_ours() {
    let fake = Fake::holding(&[1, 2]);
    let agent = fake.agent();
    agent.add(key(1), None).await.unwrap();
    let mut client = agent.connect();
    let ours = exchange(&mut client, &sign_request(&blob(1), 0)).await;
    assert_eq!(ours[0], SIGNATURE);
    assert!(fake.asked().is_empty());
    let theirs = exchange(&mut client, &sign_request(&blob(2), 4)).await;
    assert_eq!(theirs, [vec![SIGNATURE], string(b"signed upstream")].concat());
    assert_eq!(fake.requests(), [(0, sign_request(&blob(2), 4))]);
}

#[tokio::test]
async fn a_signature_of_upstream_s_is_not_passed_on_once_ours_is_locked() {
    let ours: Arc<Mutex<Option<Agent>>> = Arc::default();
    let locked = Arc::clone(&ours);
    let fake = Fake::new(move |request| {
        if let (SIGN, Some(agent)) = (request[0], &*locked.lock().unwrap()) {
            assert!(agent.keyring().lock(Salt::random().unwrap().digest(b"word").unwrap()));
        }
        Reply::Body(answer(request, &[1]))
    });
    let agent = fake.agent();
    *ours.lock().unwrap() = Some(agent.clone());
    assert_eq!(exchange(&mut agent.connect(), &sign_request(&blob(1), 0)).await, [FAILURE]);
    assert_eq!(fake.asked(), [SIGN]);
}

#[tokio::test]
async fn while_ours_is_locked_upstream_is_not_asked() {
    let fake = Fake::holding(&[1]);
    let agent = fake.agent();
    let mut client = agent.connect();
    assert_eq!(exchange(&mut client, &[vec![22], string(b"word")].concat()).await, [SUCCESS]);
    assert!(list(&mut client).await.is_empty());
    assert_eq!(exchange(&mut client, &sign_request(&blob(1), 0)).await, [FAILURE]);
    assert!(fake.asked().is_empty());
    assert_eq!(exchange(&mut client, &[vec![23], string(b"word")].concat()).await, [SUCCESS]);
    assert_eq!(list(&mut client).await, [blob(1)]);
}

#[tokio::test]
async fn nothing_but_lists_signatures_and_bindings_is_passed_on() {
    let fake = Fake::holding(&[1]);
    let mut client = fake.agent().connect();
    let unknown = [vec![27], string(b"session-bind@example.com")].concat();
    let remove = [vec![18], string(&blob(1))].concat();
    for request in [vec![19], vec![9], vec![200], unknown, remove, [vec![22], string(b"w")].concat()] {
        exchange(&mut client, &request).await;
    }
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn a_binding_goes_before_the_rest_over_one_connection_for_each_client() {
    let fake = Fake::holding(&[1]);
    let agent = fake.agent();
    for client in 0..2 {
        let mut stream = agent.connect();
        exchange(&mut stream, &bind_request()).await;
        list(&mut stream).await;
        exchange(&mut stream, &sign_request(&blob(1), 0)).await;
        let expected = [bind_request(), vec![LIST], sign_request(&blob(1), 0)].map(|body| (client, body));
        assert_eq!(fake.requests()[3 * client..], expected);
    }
}

#[tokio::test]
async fn a_bound_connection_that_breaks_is_not_replaced_and_another_is() {
    let fake = Fake::new(|request| match request[0] {
        SIGN => Reply::HangUp,
        _ => Reply::Body(answer(request, &[1])),
    });
    let agent = fake.agent();
    let mut bound = agent.connect();
    exchange(&mut bound, &bind_request()).await;
    assert_eq!(list(&mut bound).await, [blob(1)]);
    assert_eq!(exchange(&mut bound, &sign_request(&blob(1), 0)).await, [FAILURE]);
    assert!(list(&mut bound).await.is_empty());
    exchange(&mut bound, &bind_request()).await;
    assert!(list(&mut bound).await.is_empty());
    let mut free = agent.connect();
    assert_eq!(exchange(&mut free, &sign_request(&blob(1), 0)).await, [FAILURE]);
    assert_eq!(list(&mut free).await, [blob(1)]);
}

#[tokio::test]
async fn a_binding_that_did_not_arrive_leaves_nothing_upstream() {
    let fake = Fake::new(|request| match request[0] {
        27 => Reply::HangUp,
        _ => Reply::Body(answer(request, &[1])),
    });
    let mut client = fake.agent().connect();
    exchange(&mut client, &bind_request()).await;
    assert!(list(&mut client).await.is_empty());
    assert_eq!(exchange(&mut client, &sign_request(&blob(1), 0)).await, [FAILURE]);
}

#[tokio::test]
async fn an_agent_that_knows_no_bindings_is_used_without() {
    for refusal in [FAILURE, 28] {
        let fake = Fake::new(move |request| match request[0] {
            27 => Reply::Body(vec![refusal]),
            _ => Reply::Body(answer(request, &[1])),
        });
        let mut client = fake.agent().connect();
        exchange(&mut client, &bind_request()).await;
        assert_eq!(list(&mut client).await, [blob(1)]);
    }
}

#[tokio::test]
async fn a_lie_costs_upstreams_part_of_the_list_and_no_more() {
    let one = listing(&[1]);
    let cut = one[..one.len() - 1].to_vec();
    let too_many = [vec![12, 0, 0, 8, 1], [string(b"blob"), string(b"")].concat().repeat(2049)].concat();
    let bodies = [
        vec![],
        vec![12],
        vec![14, 0, 0, 0, 0],
        cut,
        [one.clone(), vec![0]].concat(),
        vec![12, 255, 255, 255, 255],
        vec![12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        too_many,
    ];
    for body in bodies {
        let shown = format!("{:?}", &body[..body.len().min(40)]);
        let fake = Fake::new(move |_| Reply::Body(body.clone()));
        assert_lost(&fake, &shown).await;
        assert!(matches!(fake.upstream().identities().await, Err(UpstreamError::Nonsense { .. })), "{shown}");
    }
    // A frame that is announced as too long, and one that is announced and does not come.
    for bytes in [vec![0, 4, 0, 1, 12], vec![0, 0, 0, 9, 12]] {
        let shown = format!("{bytes:?}");
        assert_lost(&Fake::new(move |_| Reply::Bytes(bytes.clone())), &shown).await;
    }
}

/// Checks that a client is shown our own key, and served on.
async fn assert_lost(fake: &Fake, shown: &str) {
    let agent = fake.agent();
    agent.add(key(7), None).await.unwrap();
    let mut client = agent.connect();
    for _ in 0..2 {
        assert_eq!(list(&mut client).await, [blob(7)], "{shown}");
    }
    assert_eq!(exchange(&mut client, &sign_request(&blob(1), 0)).await, [FAILURE], "{shown}");
    assert_eq!(exchange(&mut client, &sign_request(&blob(7), 0)).await[0], SIGNATURE, "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_upstream_is_given_up_on_and_holds_up_nobody_else() {
    let fake = Fake::new(|_| Reply::Never);
    let agent = fake.agent();
    agent.add(key(7), None).await.unwrap();
    let error = fake.upstream().identities().await.unwrap_err();
    assert!(error.to_string().ends_with("did not answer within 5 s"), "{error}");
    let mut waiting = agent.connect();
    write_frame(&mut waiting, &sign_request(&blob(1), 0)).await;
    // The clock stands while there is work to do, so that what is answered at all is answered before it moves.
    let started = tokio::time::Instant::now();
    assert_eq!(exchange(&mut agent.connect(), &sign_request(&blob(7), 0)).await[0], SIGNATURE);
    assert!(started.elapsed() < PATIENCE);
    assert_eq!(list(&mut agent.connect()).await, [blob(7)]);
}

#[tokio::test(start_paused = true)]
async fn a_signature_may_take_as_long_as_a_person_does() {
    let hour = Duration::from_secs(3600);
    let fake = Fake::new(move |request| Reply::Late(hour, answer(request, &[1])));
    let mut client = fake.agent().connect();
    assert_eq!(exchange(&mut client, &sign_request(&blob(1), 0)).await[0], SIGNATURE);
    assert!(list(&mut client).await.is_empty(), "a list may not");
}

#[tokio::test]
async fn an_agent_that_is_not_there_leaves_our_own() {
    let upstream = Some(Upstream::at("/nowhere/agent"));
    let agent = Agent::with_settings(Settings { upstream, ..Settings::default() });
    agent.add(key(7), None).await.unwrap();
    let mut client = agent.connect();
    exchange(&mut client, &bind_request()).await;
    assert_eq!(list(&mut client).await, [blob(7)]);
    assert_eq!(exchange(&mut client, &sign_request(&blob(1), 0)).await, [FAILURE]);
}
