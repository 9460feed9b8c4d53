//! The server of the measurement: a thread for each connection, the same answer for every request.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// A request.
pub(crate) const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";
/// Its answer.
pub(crate) const ANSWER: &[u8; 93] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 28\r\n\r\nthe time is 1795370077 today";
/// A request for much.
pub(crate) const GET_LARGE: &[u8] = b"GET /large HTTP/1.1\r\nHost: bench\r\n\r\n";
/// Bytes of its answer, with the head.
pub(crate) const DOWNLOAD: usize = HEAD.len() + CHUNKS * CHUNK;

const CHUNKS: usize = 4096;
const CHUNK: usize = 128 * 1024;
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 536870912\r\n\r\n";

/// Serves for as long as this process lives.
pub(crate) fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that goes ends its connection with an error.
            thread::spawn(move || drop(serve(stream)));
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut request, mut length) = ([0; 1024], 0);
    loop {
        match stream.read(&mut request[length..])? {
            0 => return Ok(()),
            count => length += count,
        }
        if request[..length].ends_with(b"\r\n\r\n") {
            let large = request[..length] == *GET_LARGE;
            length = 0;
            if large { send_much(&mut stream)? } else { stream.write_all(ANSWER)? }
        }
    }
}

fn send_much(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(HEAD.as_bytes())?;
    let chunk = vec![b'x'; CHUNK];
    (0..CHUNKS).try_for_each(|_| stream.write_all(&chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lengths_are_what_the_heads_say() {
        assert!(HEAD.contains(&(CHUNKS * CHUNK).to_string()));
        let text = str::from_utf8(ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
    }
}
