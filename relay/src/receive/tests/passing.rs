//! Parts passed on from one host to another, to strangers, and to hosts that go away.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use toolbox_wire::{ErrorKind, Key, Wanted};

use super::super::fault::Fault;
use super::super::give::Give;
use super::super::sealed::Sealed;
use super::super::take::Take;
use super::*;

const KEY: Key = Key([7; 32]);

fn wanted(layer: &[u8], ranges: &[Range]) -> Wanted {
    Wanted { diff_id: id(layer), size: layer.len() as u64, ranges: ranges.to_vec() }
}

/// The other host takes this layer; meanwhile `peer` does something at the address where it listens.
fn taking(other: &Host, layer: &[u8], peer: impl FnOnce(SocketAddr) + Send) -> Result<Reply, Fault> {
    let layers = [Layer { diff_id: id(layer), size: layer.len() as u64 }];
    let spool = other.spool("two");
    let (say, said) = channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let Ok(Reply::Listening { port }) = said.recv() else { panic!("it does not listen") };
            peer((Ipv4Addr::LOCALHOST, port).into());
        });
        let take = Take { spool: &spool, layers: &layers, is_alone: || false };
        take.run((Ipv4Addr::LOCALHOST, 0).into(), &KEY, &mut |reply| drop(say.send(reply)))
    })
}

fn give(host: &Host, to: SocketAddr, key: &Key, layers: &[Wanted]) -> Result<Reply, Fault> {
    let spool = host.spool("one");
    Give { spool: &spool, layers, patience: Duration::from_secs(20), is_alone: || false }.run(to, key)
}

#[test]
fn parts_are_passed_on_while_they_arrive_and_make_the_same_layer() {
    let (seed, other, layer) = (Host::new(), Host::new(), noise(1, 3_000_000));
    let other_layer = noise(2, 1000);
    let end = layer.len() as u64;
    seed.ask("one", &[put(&layer, (0, 1_000_000), Codec::Zstd)]);
    other.ask("two", &[put(&layer, (500, 700), Codec::Raw)]);
    let layers = [wanted(&other_layer, &[]), wanted(&layer, &[(0, 500), (700, end)])];
    let taken = taking(&other, &layer, |to| {
        thread::scope(|scope| {
            let giving = scope.spawn(|| give(&seed, to, &KEY, &layers));
            seed.ask("one", &[put(&layer, (1_000_000, 2_500_000), Codec::Raw)]);
            seed.ask("one", &[put(&layer, (2_500_000, end), Codec::Raw)]);
            assert_eq!(giving.join().unwrap(), Ok(Reply::Given { bytes: end - 200 }));
        });
    });
    assert_eq!(taken, Ok(Reply::Taken { bytes: end - 200 }));
    let replies = other.ask("two", &[load(&[&layer])]);
    assert!(matches!(replies.last(), Some(Reply::Loaded { .. })), "{replies:?}");
    assert_loaded(&other.engine.loaded(), &[&layer]);
}

#[test]
fn strangers_get_no_word_and_keep_nobody_out() {
    let (seed, other, layer) = (Host::new(), Host::new(), noise(3, 200_000));
    seed.ask("one", &[whole(&layer)]);
    let all = [wanted(&layer, &[(0, 200_000)])];
    let taken = taking(&other, &layer, |to| {
        let silent = TcpStream::connect(to).unwrap();
        let mut loud = TcpStream::connect(to).unwrap();
        loud.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let fault = give(&seed, to, &Key([8; 32]), &all).unwrap_err();
        assert_eq!(fault.kind, ErrorKind::Peer, "{fault:?}");
        for mut stranger in [silent, loud] {
            let mut said = Vec::new();
            // Closed with something unread, it may be reset.
            let _ = stranger.read_to_end(&mut said);
            assert_eq!(said, b"");
        }
        assert_eq!(other.held(&layer), []);
        give(&seed, to, &KEY, &all).unwrap();
        assert!(TcpStream::connect(to).is_err() || give(&seed, to, &KEY, &all).is_err(), "it takes a second peer");
    });
    assert_eq!(taken, Ok(Reply::Taken { bytes: 200_000 }));
    assert_eq!(other.held(&layer), [(0, 200_000)]);
}

#[test]
fn nothing_of_what_was_said_can_be_read_or_said_again() {
    let (seed, other, layer) = (Host::new(), Host::new(), noise(4, 100_000));
    seed.ask("one", &[whole(&layer)]);
    let mut recorded = Vec::new();
    let taken = taking(&other, &layer, |to| {
        let between = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = between.local_addr().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| give(&seed, at, &KEY, &[wanted(&layer, &[(0, 100_000)])]).unwrap());
            recorded = record(between.accept().unwrap().0, to);
        });
    });
    assert_eq!(taken, Ok(Reply::Taken { bytes: 100_000 }));
    assert!(recorded.len() > 100_000);
    assert!(!recorded.windows(64).any(|bytes| bytes == &layer[5000..5064]), "the layer can be read");
    let third = Host::new();
    let taken = taking(&third, &layer, |to| {
        let mut again = TcpStream::connect(to).unwrap();
        again.write_all(&recorded).unwrap();
        let _ = io::copy(&mut again, &mut io::sink());
        assert_eq!(third.held(&layer), []);
        give(&seed, to, &KEY, &[wanted(&layer, &[(0, 10)])]).unwrap();
    });
    assert_eq!(taken, Ok(Reply::Taken { bytes: 10 }));
}

/// Passes everything on; what the first one has said.
fn record(from: TcpStream, to: SocketAddr) -> Vec<u8> {
    let mut to = TcpStream::connect(to).unwrap();
    let (mut back, mut answers) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || io::copy(&mut answers, &mut back));
    let (mut from, mut said, mut bytes) = (from, Vec::new(), vec![0; 4096]);
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        said.extend_from_slice(&bytes[..length]);
        to.write_all(&bytes[..length]).unwrap();
    }
    said
}

#[test]
fn a_host_that_goes_away_leaves_what_it_gave() {
    let (other, layer) = (Host::new(), noise(5, 50_000));
    let taken = taking(&other, &layer, |to| {
        let mut peer = Sealed::connect(TcpStream::connect(to).unwrap(), &KEY).unwrap();
        peer.send(&bytes(&[put(&layer, (0, 1000), Codec::Raw)])).unwrap();
        peer.send(&bytes(&[put(&layer, (1000, 2000), Codec::Raw)])[..700]).unwrap();
    });
    assert_eq!(taken.unwrap_err().kind, ErrorKind::Peer);
    assert_eq!(other.held(&layer), [(0, 1000)]);
}

#[test]
fn nothing_is_taken_but_parts_of_what_was_asked_for() {
    let (layer, another) = (noise(6, 5000), noise(7, 5000));
    let hello = (Request::Hello { version: 1 }, vec![]);
    let long = put_as(id(&layer), 6000, (0, &layer[..10]), Codec::Raw);
    for frame in [hello, whole(&layer), long, put(&another, (0, 10), Codec::Raw), load(&[&layer])] {
        let other = Host::new();
        let taken = taking(&other, &layer, |to| {
            let mut peer = Sealed::connect(TcpStream::connect(to).unwrap(), &KEY).unwrap();
            peer.send(&bytes(&[frame])).unwrap();
            let _ = peer.receive();
        });
        assert_eq!(taken.unwrap_err().kind, ErrorKind::Peer);
        assert!(other.names().iter().all(|name| !name.contains("part")), "{:?}", other.names());
    }
}

#[test]
fn who_waits_for_another_host_goes_with_the_deployer() {
    let (host, layer) = (Host::new(), noise(8, 10));
    let spool = host.spool("one");
    let layers = [Layer { diff_id: id(&layer), size: 10 }];
    let take = Take { spool: &spool, layers: &layers, is_alone: || true };
    let taken = take.run((Ipv4Addr::LOCALHOST, 0).into(), &KEY, &mut |_| ());
    assert_eq!(taken.unwrap_err().kind, ErrorKind::Peer);
}

#[test]
fn parts_that_do_not_come_are_not_waited_for_in_vain() {
    let (seed, other, layer) = (Host::new(), Host::new(), noise(9, 1000));
    seed.ask("one", &[put(&layer, (0, 500), Codec::Raw)]);
    let taken = taking(&other, &layer, |to| {
        let (spool, layers) = (seed.spool("one"), [wanted(&layer, &[(0, 1000)])]);
        let give = Give { spool: &spool, layers: &layers, patience: Duration::ZERO, is_alone: || false };
        assert_eq!(give.run(to, &KEY).unwrap_err().kind, ErrorKind::Missing);
    });
    assert_eq!(taken.unwrap_err().kind, ErrorKind::Peer);
    assert_eq!(other.held(&layer), [(0, 500)]);
}
