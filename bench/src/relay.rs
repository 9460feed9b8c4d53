//! What a relay before a service costs: the same requests to the same server, directly and through it.
//!
//! Server, relay and clients share this machine and talk over its loopback, so nothing hides the relay's own time. Each
//! round measures both ways, one after the other.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::Run;
use crate::agent::Problem;
use crate::figures::{Row, table};
use crate::relay_process::RelayProcess;
use crate::relay_server::{self, ANSWER, DOWNLOAD, GET, GET_LARGE};

/// Connections under a moderate load, and the pause between two requests of one.
const CONNECTIONS: usize = 4;
const PAUSE: Duration = Duration::from_millis(4);
/// Connections that ask as fast as they get answers.
const CROWD: usize = 32;

/// Names, and whether more is better.
const ROWS: [(&str, bool); 5] = [
    ("request over a kept connection, 1,000 a second, median, µs", false),
    ("the same, 99th percentile, µs", false),
    ("request over a new connection, median, µs", false),
    ("requests a second, 32 kept connections, as many as go", true),
    ("download over one connection, MB/s", true),
];

/// Measures, and gives the table.
///
/// # Errors
/// A relay that does not start, or an answer that is not the server's.
pub(crate) fn measure(run: &Run) -> Result<String, Problem> {
    let server = relay_server::start()?;
    let relay = RelayProcess::start(&run.relay, server)?;
    let mut rows: Vec<Row> =
        ROWS.iter().map(|(name, more)| Row { name: (*name).into(), more_is_better: *more, rounds: vec![] }).collect();
    for round in 1..=run.rounds {
        eprintln!("round {round} of {}", run.rounds);
        let (through, directly) = (one(relay.address, run.time)?, one(server, run.time)?);
        for (row, figures) in rows.iter_mut().zip(through.into_iter().zip(directly)) {
            row.rounds.push(figures);
        }
    }
    Ok(table(&rows, ["through the relay", "direct", "times as good"]))
}

fn one(address: SocketAddr, time: Duration) -> Result<[f64; ROWS.len()], Problem> {
    let mut kept = on_many(CONNECTIONS, move || at_a_pace(address, time))?;
    let mut new = fresh(address, time)?;
    let crowd = on_many(CROWD, move || as_fast_as_it_goes(address, time))?;
    let crowd = crowd.len() as f64 / time.as_secs_f64();
    Ok([percentile(&mut kept, 50), percentile(&mut kept, 99), percentile(&mut new, 50), crowd, download(address)?])
}

type Times = Result<Vec<Duration>, Problem>;

fn on_many(count: usize, work: impl Fn() -> Times + Clone + Send + 'static) -> Times {
    let threads: Vec<_> = (0..count).map(|_| thread::spawn(work.clone())).collect();
    let mut all = Vec::new();
    for thread in threads {
        all.extend(thread.join().map_err(|_| "a client panicked")??);
    }
    Ok(all)
}

fn at_a_pace(address: SocketAddr, time: Duration) -> Times {
    let mut stream = connect(address)?;
    let (begin, mut times) = (Instant::now(), Vec::new());
    for turn in 1.. {
        let due = begin + PAUSE * turn;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        times.push(ask(&mut stream)?);
        if begin.elapsed() > time {
            break;
        }
    }
    Ok(times)
}

fn as_fast_as_it_goes(address: SocketAddr, time: Duration) -> Times {
    let mut stream = connect(address)?;
    let (begin, mut times) = (Instant::now(), Vec::new());
    while begin.elapsed() < time {
        times.push(ask(&mut stream)?);
    }
    Ok(times)
}

fn fresh(address: SocketAddr, time: Duration) -> Times {
    let (begin, mut times) = (Instant::now(), Vec::new());
    while begin.elapsed() < time {
        let start = Instant::now();
        ask(&mut connect(address)?)?;
        times.push(start.elapsed());
    }
    Ok(times)
}

fn connect(address: SocketAddr) -> Result<TcpStream, Problem> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn ask(stream: &mut TcpStream) -> Result<Duration, Problem> {
    let (start, mut answer) = (Instant::now(), [0; ANSWER.len()]);
    stream.write_all(GET)?;
    stream.read_exact(&mut answer)?;
    if answer == *ANSWER { Ok(start.elapsed()) } else { Err("another answer came back".into()) }
}

/// Megabytes a second.
fn download(address: SocketAddr) -> Result<f64, Problem> {
    let mut stream = connect(address)?;
    let (start, mut total, mut buffer) = (Instant::now(), 0, vec![0; 256 * 1024]);
    stream.write_all(GET_LARGE)?;
    while total < DOWNLOAD {
        match stream.read(&mut buffer)? {
            0 => return Err("the download was cut".into()),
            count => total += count,
        }
    }
    Ok(total as f64 / 1e6 / start.elapsed().as_secs_f64())
}

/// Microseconds.
fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let mut times: Vec<_> = (0..100).rev().map(Duration::from_micros).collect();
        assert!((percentile(&mut times, 50) - 50.0).abs() < 1e-9);
        assert!((percentile(&mut times, 99) - 99.0).abs() < 1e-9);
        assert!(percentile(&mut [], 50).is_nan());
    }
}
