//! Networks to test and to measure over: the host's own loopback, or a line with a delay, a rate and losses.
//!
//! A line is made of two TUN devices, one in each of two network namespaces, and this process, which carries IP packets
//! from one to the other, so that what TCP does about delay and loss is the kernel's own doing. (A qdisc could do the
//! same; not every kernel has netem.) The congestion control is CUBIC, Linux's default, whatever this machine prefers.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// How long a router's queue may get before it drops packets.
const QUEUE: Duration = Duration::from_millis(100);

/// What a line is like. The same in both directions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// As tables call it.
    pub name: &'static str,
    delay: Duration,
    /// Bits in a second.
    rate: Option<f64>,
    /// Of how many packets one is lost.
    loss: Option<u64>,
    mtu: u16,
}

/// No line at all.
pub const LOOPBACK: Shape = Shape { name: "loopback", delay: Duration::ZERO, rate: None, loss: None, mtu: 0 };

/// Far away, and otherwise perfect.
pub const FAR: Shape = Shape { name: "50 ms", delay: Duration::from_millis(25), rate: None, loss: None, mtu: 9000 };

/// What people have at home, or between continents on a bad day.
pub const SLOW: Shape = Shape {
    name: "100 Mbit/s, 50 ms, 1 % loss",
    delay: Duration::from_millis(25),
    rate: Some(100e6),
    loss: Some(100),
    mtu: 1500,
};

/// At the other end of the world.
pub const WORST: Shape = Shape { name: "100 Mbit/s, 200 ms, 1 % loss", delay: Duration::from_millis(100), ..SLOW };

/// A way to a host.
pub struct Line {
    /// The host's address at its end.
    pub address: String,
    /// The process whose network the programs use that are measured.
    here: u32,
    device: String,
    /// The process whose network the host uses.
    there: u32,
    _here: Option<Namespace>,
}

impl Line {
    /// Makes a line to the network of process `there`, the `number`th to it.
    ///
    /// # Errors
    /// Where this process may not make networks and devices (root may), or `setpriv`, `unshare`, `nsenter` or `ip` is not
    /// there.
    pub fn to(there: u32, shape: Shape, number: u8) -> io::Result<Self> {
        if shape == LOOPBACK {
            return Ok(Self { address: "127.0.0.1".into(), here: there, device: "lo".into(), there, _here: None });
        }
        let own = Namespace::new()?;
        let (here, device) = (own.id(), format!("line{number}"));
        let address = |end: u8| format!("10.99.{number}.{end}");
        let near = end(here, &device, shape, &address(1), &address(2))?;
        let far = end(there, &device, shape, &address(2), &address(1))?;
        carry(near.clone(), far.clone(), shape, 0x9E37_79B9);
        carry(far, near, shape, 0x7F4A_7C15);
        Ok(Self { address: address(2), here, device, there, _here: Some(own) })
    }

    /// What to put before a command so that it reaches the host over this line.
    pub fn network(&self) -> [String; 2] {
        ["nsenter".to_owned(), format!("--net={}", network(self.here))]
    }

    /// Such a command.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let [enter, network] = self.network();
        let mut command = Command::new(enter);
        command.arg(network).arg(program);
        command
    }

    /// Bytes that have crossed it, both ways, headers of TCP and IP with them.
    ///
    /// # Errors
    /// Where the kernel does not tell, as when the host's process has ended.
    pub fn traffic(&self) -> io::Result<u64> {
        let table = fs::read_to_string(format!("/proc/{}/net/dev", self.there))?;
        let line = table.lines().find_map(|line| line.trim().strip_prefix(&format!("{}:", self.device)));
        let columns: Vec<u64> = line.unwrap_or_default().split_whitespace().flat_map(str::parse).collect();
        match (columns.first(), columns.get(8)) {
            (Some(received), _) if self.device == "lo" => Ok(*received),
            (Some(received), Some(sent)) => Ok(received + sent),
            _ => Err(io::Error::other(format!("the kernel counts no bytes on {}", self.device))),
        }
    }
}

/// A network of its own, for as long as this lives.
pub struct Namespace(Child);

impl Namespace {
    /// Makes it, with its loopback.
    ///
    /// # Errors
    /// Where this process may not (root may), or `setpriv`, `unshare` or `ip` is not there.
    pub fn new() -> io::Result<Self> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "--net", "sh", "-euc"]);
        command.arg("ip link set lo up; echo; exec sleep infinity").stdout(Stdio::piped());
        let cannot_start = |error| io::Error::other(format!("cannot start setpriv: {error}"));
        let mut child = command.spawn().map_err(cannot_start)?;
        let ready = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut String::new()));
        match ready {
            Some(Ok(1)) => Ok(Self(child)),
            _ => Err(io::Error::other("cannot make a network namespace; root may, others may not")),
        }
    }

    /// The process that is in it.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Neither can fail for a child of ours that was not waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One end of a line: a device in the network of a process.
fn end(process: u32, name: &str, shape: Shape, own: &str, other: &str) -> io::Result<Arc<File>> {
    let network = network(process);
    let file = File::open(&network)?;
    let device = name.to_owned();
    let opening = thread::spawn(move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        tun(&device)
    });
    let device = opening.join().map_err(|_| io::Error::other("cannot make a device"))??;
    let script = format!(
        "ip address add {own} dev {name}; ip link set {name} mtu {} txqueuelen 10000 up\n\
         ip route add {other} dev {name} congctl cubic",
        shape.mtu
    );
    let made = Command::new("nsenter").arg(format!("--net={network}")).args(["sh", "-euc", &script]).output()?;
    let said = || io::Error::other(format!("cannot set up {name}: {}", String::from_utf8_lossy(&made.stderr)));
    if made.status.success() { Ok(Arc::new(device)) } else { Err(said()) }
}

/// Where the network of a process can be entered.
fn network(process: u32) -> String {
    format!("/proc/{process}/ns/net")
}

/// What a device is asked for with (`struct ifreq`, netdevice(7)).
#[repr(C)]
struct Wish {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// IP packets, and nothing before them.
const TUN_WITHOUT_HEADER: u16 = 0x1001;

/// What `nix` makes is public, and needs no documentation where it is not.
mod request {
    use std::ffi::c_int;

    use nix::request_code_write;

    nix::ioctl_write_ptr_bad!(set_interface, request_code_write!(b'T', 202, size_of::<c_int>()), super::Wish);
}

/// A new TUN device in this thread's network; it goes with the file.
fn tun(name: &str) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    let mut wish = Wish { name: [0; 16], flags: TUN_WITHOUT_HEADER, rest: [0; 22] };
    wish.name.iter_mut().zip(name.as_bytes()).take(15).for_each(|(to, from)| *to = *from);
    #[expect(unsafe_code, reason = "there is no other way to ask; the kernel reads 40 bytes and keeps nothing")]
    // SAFETY: both are alive during the call, and `Wish` has the layout and the size of the kernel's structure.
    unsafe { request::set_interface(file.as_raw_fd(), &raw const wish) }?;
    Ok(file)
}

/// Carries packets one way until this process ends.
fn carry(from: Arc<File>, to: Arc<File>, shape: Shape, seed: u64) {
    let (sender, receiver) = channel();
    thread::spawn(move || accept(&from, &sender, shape, seed));
    thread::spawn(move || deliver(&to, &receiver));
}

fn accept(mut from: &File, sender: &Sender<(Instant, Vec<u8>)>, shape: Shape, seed: u64) {
    let (mut packet, mut road) = (vec![0; usize::from(u16::MAX)], Road { shape, free: Instant::now(), dice: seed });
    while let Ok(length) = from.read(&mut packet) {
        let Some(due) = road.due(Instant::now(), length) else { continue };
        if sender.send((due, packet[..length].to_vec())).is_err() {
            return;
        }
    }
}

fn deliver(mut to: &File, receiver: &Receiver<(Instant, Vec<u8>)>) {
    for (due, packet) in receiver {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // A full queue drops it, as on any line.
        let _ = to.write(&packet);
    }
}

/// What decides about a packet's fate.
struct Road {
    shape: Shape,
    /// When the packets before are through the bottleneck.
    free: Instant,
    /// xorshift64: the same losses in every run.
    dice: u64,
}

impl Road {
    /// When a packet of this length that comes now arrives; `None`: never.
    fn due(&mut self, now: Instant, length: usize) -> Option<Instant> {
        let begin = self.free.max(now);
        if begin - now > QUEUE || self.lost() {
            return None;
        }
        let time = self.shape.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(length as f64 * 8.0 / rate));
        self.free = begin + time;
        Some(self.free + self.shape.delay)
    }

    fn lost(&mut self) -> bool {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.shape.loss.is_some_and(|one_of| self.dice.is_multiple_of(one_of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_wait_for_those_before_them_and_are_dropped_when_too_many_wait() {
        let now = Instant::now();
        let mut road = Road { shape: Shape { loss: None, ..SLOW }, free: now, dice: 1 };
        let millis = |road: &mut Road, length| road.due(now, length).map(|due| (due - now).as_millis());
        assert_eq!(millis(&mut road, 12_500), Some(26));
        assert_eq!(millis(&mut road, 125_000 * 10), Some(126));
        assert_eq!(millis(&mut road, 1), None);
    }

    #[test]
    fn one_packet_of_a_hundred_is_lost() {
        let mut road = Road { shape: SLOW, free: Instant::now(), dice: 0x9E37_79B9 };
        let lost = (0..100_000).filter(|_| road.lost()).count();
        assert!((900..1100).contains(&lost), "{lost}");
    }
}
