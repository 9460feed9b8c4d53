//! Several deployers on one spool, and what is left when they are gone.

use std::fs::File;
use std::time::{Duration, SystemTime};

use toolbox_wire::{Codec, PatchForm, Reference, Reply};

use super::super::sweep::sweep;
use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn age(host: &Host, layer: &[u8], by: Duration) {
    for ending in ["part", "map"] {
        let file = File::options().write(true).open(host.path(layer, ending)).unwrap();
        file.set_modified(SystemTime::now() - by).unwrap();
    }
}

#[test]
fn a_load_leaves_what_another_living_receiver_wants() {
    let (host, layer) = (Host::new(), noise(1, 5000));
    let mut other = host.session("other");
    other.answer(&bytes(&[put(&layer, (0, 10), Codec::Raw)])[..]).unwrap();
    host.ask("one", &[whole(&layer), load(&[&layer])]);
    assert_eq!(host.held(&layer), [(0, 5000)]);
    other.answer(&bytes(&[load(&[&layer])])[..]).unwrap();
    assert_eq!(host.engine.seen.lock().unwrap().loaded.len(), 2);
    assert_eq!(host.names(), ["loaded-other", "lock", "sessions-other"]);
}

#[test]
fn parts_that_come_after_the_load_leave_nothing() {
    let (host, layer, base) = (Host::new(), noise(1, 5000), id(&noise(2, 10)));
    let mut slow = host.session("slow");
    slow.answer(&bytes(&[put(&layer, (0, 10), Codec::Raw)])[..]).unwrap();
    host.ask("fast", &[whole(&layer), load(&[&layer])]);
    let reference = Reference { base, offset: 0, length: 10, form: PatchForm::Prefix };
    let late = Request::Patch { diff_id: id(&layer), size: 5000, offset: 20, length: 10, reference, payload: 3 };
    let late = [put(&layer, (10, 20), Codec::Raw), (late, b"xyz".to_vec())];
    slow.answer(&bytes(&[load(&[&layer])])[..]).unwrap();
    slow.answer(&bytes(&late)[..]).unwrap();
    let stored = |offset| Reply::Stored { diff_id: id(&layer), offset, length: 10 };
    assert!(slow.said().ends_with(&[stored(10), stored(20)]), "{:?}", slow.said());
    slow.answer(&bytes(&[(Request::Sweep { older_than_seconds: 60 }, vec![])])[..]).unwrap();
    assert_eq!(slow.said().last(), Some(&Reply::Swept { left: 0, files: 0 }));
}

#[test]
fn what_was_loaded_and_is_asked_for_again_is_stored_again() {
    let (host, layer) = (Host::new(), noise(1, 5000));
    let mut one = host.session("one");
    let have = Request::Have { layers: vec![Layer { diff_id: id(&layer), size: 5000 }] };
    let again = [whole(&layer), load(&[&layer]), (have, vec![]), whole(&layer), load(&[&layer])];
    one.answer(&bytes(&again)[..]).unwrap();
    assert_eq!(host.engine.seen.lock().unwrap().loaded.len(), 2);
}

#[test]
fn what_is_only_asked_for_is_wanted_too() {
    let (host, layer) = (Host::new(), noise(1, 5000));
    host.ask("gone", &[whole(&layer)]);
    let mut other = host.session("other");
    let have = Request::Have { layers: vec![Layer { diff_id: id(&layer), size: 5000 }] };
    other.answer(&bytes(&[(have, vec![])])[..]).unwrap();
    host.ask("one", &[load(&[&layer])]);
    assert_eq!(host.held(&layer), [(0, 5000)]);
}

#[test]
fn a_sweep_removes_what_is_old_and_what_nobody_alive_wants() {
    let (host, old, young) = (Host::new(), noise(1, 5000), noise(2, 6000));
    host.ask("gone", &[whole(&old), whole(&young)]);
    std::fs::write(host.path(&noise(3, 10), "base"), "x").unwrap();
    std::fs::write(host.path(&noise(3, 10), "unread-gone-7"), "x").unwrap();
    std::fs::write(host.directory.path().join("somebody's"), "x").unwrap();
    age(&host, &old, 8 * DAY);
    let left = sweep(&host.spool("one"), 7 * DAY).unwrap();
    assert_eq!(host.names(), ["lock", "map", "part", "somebody's"]);
    assert_eq!(host.held(&young), [(0, 6000)]);
    let Reply::Swept { left: bytes, files: 2 } = host.ask_one((Request::Sweep { older_than_seconds: 60 }, vec![]))
    else {
        panic!("{left:?}")
    };
    assert!(bytes >= 6000);
}

#[test]
fn a_sweep_leaves_what_is_old_but_wanted() {
    let (host, layer) = (Host::new(), noise(1, 5000));
    let mut living = host.session("living");
    living.answer(&bytes(&[whole(&layer)])[..]).unwrap();
    age(&host, &layer, 8 * DAY);
    sweep(&host.spool("one"), 7 * DAY).unwrap();
    assert!(host.path(&layer, "part").exists());
    drop(living);
    sweep(&host.spool("one"), 7 * DAY).unwrap();
    assert_eq!(host.names(), ["lock"]);
}

#[test]
fn nothing_is_left_of_a_push_that_is_done() {
    let (host, layer) = (Host::new(), noise(1, 5000));
    let sweep = (Request::Sweep { older_than_seconds: 0 }, vec![]);
    let replies = host.ask("one", &[whole(&layer), load(&[&layer]), sweep]);
    assert_eq!(replies.last(), Some(&Reply::Swept { left: 0, files: 0 }));
}

#[test]
fn a_receiver_with_no_session_is_known_by_its_lock() {
    let host = Host::new();
    let receiver = host.spool("one");
    let session = host.session("one");
    assert!(receiver.no_session().unwrap().is_none());
    drop(session);
    let other = host.session("other");
    assert!(receiver.no_session().unwrap().is_some());
    drop(other);
}
