//! The form of requests and replies as JSON.

use serde_json::{Value, json, to_value};

use super::*;
use crate::{MOST_JSON, head};

const ID: DiffId = DiffId([0xab; 32]);

fn round<T: Serialize + for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug>(value: &T, text: Value) {
    assert_eq!(to_value(value).unwrap(), text);
    assert_eq!(&serde_json::from_value::<T>(text).unwrap(), value);
}

#[test]
fn requests_have_this_form() {
    let id = ID.to_string();
    round(&Request::Hello { version: 1 }, json!({ "hello": { "version": 1 } }));
    let put = Request::Put { diff_id: ID, size: 9, offset: 1, length: 2, codec: Codec::Zstd, payload: 3 };
    let text = json!({ "diff_id": id, "size": 9, "offset": 1, "length": 2, "codec": "zstd", "payload": 3 });
    round(&put, json!({ "put": text }));
    let reference = Reference { base: ID, offset: 4, length: 5, form: PatchForm::Difference };
    let patch = Request::Patch { diff_id: ID, size: 9, offset: 1, length: 2, reference, payload: 3 };
    let text = json!({ "base": id, "offset": 4, "length": 5, "form": "difference" });
    let text = json!({ "diff_id": id, "size": 9, "offset": 1, "length": 2, "reference": text, "payload": 3 });
    round(&patch, json!({ "patch": text }));
    assert_eq!((patch.payload(), put.payload()), (3, 3));
    let copy = Request::Copy { diff_id: ID, size: 9, base: ID, pieces: vec![(0, 5, 4)] };
    round(&copy, json!({ "copy": { "diff_id": id, "size": 9, "base": id, "pieces": [[0, 5, 4]] } }));
    let base = Request::Base { image: "a:1".to_owned(), diff_id: ID, also: vec![ID], algorithm: "x".to_owned() };
    round(&base, json!({ "base": { "image": "a:1", "diff_id": id, "also": [id], "algorithm": "x" } }));
    let path = "blobs/sha256/x";
    let document = Entry::Text { path: "oci-layout".to_owned(), text: b"{}".to_vec() };
    let entries = vec![document, Entry::Layer { path: path.to_owned(), diff_id: ID, size: 9 }];
    let text = json!([{ "path": "oci-layout", "text": "e30=" }, { "path": path, "diff_id": id, "size": 9 }]);
    round(&Request::Load { entries, size: 7 }, json!({ "load": { "entries": text, "size": 7 } }));
}

#[test]
fn replies_have_this_form() {
    let id = ID.to_string();
    let hello = Reply::Hello { version: 1, engine: EngineState::Ok("1.41".to_owned()), free: 5 };
    round(&hello, json!({ "hello": { "version": 1, "engine": { "ok": "1.41" }, "free": 5 } }));
    let have = Reply::Have(vec![Held { diff_id: ID, ranges: vec![(0, 5)] }]);
    round(&have, json!({ "have": [{ "diff_id": id, "ranges": [[0, 5]] }] }));
    let error = |diff_id| Reply::Error { kind: ErrorKind::Digest, text: "t".to_owned(), diff_id };
    round(&error(None), json!({ "error": { "kind": "digest", "text": "t" } }));
    round(&error(Some(ID)), json!({ "error": { "kind": "digest", "text": "t", "diff_id": id } }));
    assert!(Reply::Loading { bytes: 0 }.is_progress() && !hello.is_progress());
}

#[test]
fn as_many_as_are_allowed_fit_into_a_frame() {
    let most = 1 << 40;
    let copy = Request::Copy { diff_id: ID, size: most, base: ID, pieces: vec![(most, most, most); MOST_PIECES] };
    assert!(head(&copy).unwrap().len() < MOST_JSON);
    let have = Request::Have { layers: vec![Layer { diff_id: ID, size: u64::MAX }; MOST_LAYERS] };
    assert!(head(&have).unwrap().len() < MOST_JSON);
}
