//! An engine's socket.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;

/// How it treats what it is asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Manner {
    /// What it saves, and in chunks of which size it sends that.
    pub(super) saved: Vec<u8>,
    pub(super) chunk: usize,
    /// It breaks the connection after so many bytes of what it saves.
    pub(super) breaks_after: Option<usize>,
    /// It answers a load after so many bytes of its body, with status 500 and this message.
    pub(super) refuses: Option<(usize, &'static str)>,
    /// What it says after a load.
    pub(super) says: &'static str,
}

/// What has reached it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Tarballs that came whole.
    pub(super) loaded: Vec<Vec<u8>>,
    /// Tarballs that did not.
    pub(super) broken: Vec<Vec<u8>>,
    /// First lines of requests.
    pub(super) requests: Vec<String>,
}

/// A thread that answers; it ends with the test's process.
pub(super) struct FakeEngine {
    directory: TempDir,
    pub(super) seen: Arc<Mutex<Seen>>,
}

impl FakeEngine {
    pub(super) fn start() -> Self {
        Self::of(Manner::default())
    }

    pub(super) fn of(manner: Manner) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("engine.sock")).unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (manner, shared) = (manner.clone(), Arc::clone(&shared));
                thread::spawn(move || manner.serve(stream.unwrap(), &shared));
            }
        });
        Self { directory, seen }
    }

    /// One that saves this.
    pub(super) fn saving(saved: Vec<u8>) -> Self {
        Self::of(Manner { saved, chunk: 10_000, ..Manner::default() })
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.directory.path().join("engine.sock")
    }

    /// The only tarball that it has loaded.
    pub(super) fn loaded(&self) -> Vec<u8> {
        let seen = self.seen.lock().unwrap();
        let [tarball] = &seen.loaded[..] else { panic!("{} tarballs", seen.loaded.len()) };
        tarball.clone()
    }
}

impl Manner {
    fn serve(&self, stream: UnixStream, seen: &Mutex<Seen>) {
        let mut input = BufReader::new(stream.try_clone().unwrap());
        let head: Vec<String> =
            input.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        let first = head[0].clone();
        seen.lock().unwrap().requests.push(first.clone());
        let length = head.iter().find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        let path = first.split(' ').nth(1).unwrap();
        // The other side may be gone.
        let _ = match path {
            "/_ping" => answer(stream, "200 OK\r\nApi-Version: 1.41", "OK"),
            "/images/load?quiet=1" => self.load(stream, input, length, seen),
            _ if path == "/images/missing/get" => answer(stream, "404 Not Found", r#"{"message":"No such image"}"#),
            _ => self.save(stream),
        };
    }

    fn save(&self, mut stream: UnixStream) -> std::io::Result<()> {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let saved = &self.saved[..self.breaks_after.unwrap_or(self.saved.len())];
        for chunk in saved.chunks(self.chunk) {
            stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes())?;
            stream.write_all(chunk)?;
            stream.write_all(b"\r\n")?;
        }
        if self.breaks_after.is_none() { stream.write_all(b"0\r\n\r\n") } else { Ok(()) }
    }

    fn load(
        &self,
        stream: UnixStream,
        input: BufReader<UnixStream>,
        length: usize,
        seen: &Mutex<Seen>,
    ) -> std::io::Result<()> {
        let mut tarball = Vec::new();
        let most = self.refuses.map_or(length, |(after, _)| after);
        input.take(most as u64).read_to_end(&mut tarball)?;
        if let Some((_, message)) = self.refuses {
            return answer(stream, "500 Internal Server Error", &format!("{{\"message\":\"{message}\"}}"));
        }
        let is_whole = tarball.len() == length;
        let mut seen = seen.lock().unwrap();
        if is_whole {
            seen.loaded.push(tarball)
        } else {
            seen.broken.push(tarball)
        }
        drop(seen);
        answer(stream, "200 OK", self.says)
    }
}

fn answer(mut stream: UnixStream, status: &str, body: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
