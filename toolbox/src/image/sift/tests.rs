use std::os::unix::fs::MetadataExt as _;

use proptest::prelude::*;

use super::super::testing::{Sample, classic, layout};
use super::super::{Archive, ArchivedLayer, Compression, Limits, Listing, Location, Options, ReadAt as _, Stored};
use super::*;

fn samples() -> Vec<Sample> {
    let big = "b".repeat(300_000);
    vec![Sample::new("web:1", &[&big, "libs", "web"]), Sample::new("db:1", &[&big, "db"])]
}

fn sifted(bytes: &[u8], piece: usize, spare: &BTreeSet<DiffId>) -> (File, Arrivals) {
    let mut sifter = Sifter::new(tempfile::tempfile().unwrap(), spare.clone());
    bytes.chunks(piece).for_each(|piece| sifter.write_all(piece).unwrap());
    sifter.finish().unwrap()
}

fn content(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; file.size().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn open((file, arrivals): (File, Arrivals), spare: &BTreeSet<DiffId>) -> (Archive<Stored>, u64) {
    let options = Options { spare: spare.clone(), ..Options::default() };
    let listing = Listing::sifted(file, arrivals, &Limits::default()).unwrap();
    let mut hashed = 0;
    (listing.verify(&|image| Some(image.tags.clone()), &options, &mut |more| hashed += more).unwrap(), hashed)
}

fn read(archive: &Archive<Stored>, layer: &ArchivedLayer) -> Vec<u8> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut archive.layer(layer), &mut bytes).unwrap();
    bytes
}

fn bottom() -> BTreeSet<DiffId> {
    BTreeSet::from([Digest::of(&samples()[0].layers[0]).into()])
}

#[test]
fn what_is_wanted_is_there_and_need_not_be_hashed_again() {
    for bytes in [classic(&samples()), layout(&samples(), Compression::None, true)] {
        let sifted = sifted(&bytes, 1000, &BTreeSet::new());
        assert!(content(&sifted.0) == bytes);
        let (archive, hashed) = open(sifted, &BTreeSet::new());
        assert_eq!(hashed, 0);
        for (image, sample) in archive.images().iter().zip(samples()) {
            let layers: Vec<_> = image.layers.iter().map(|layer| read(&archive, layer)).collect();
            assert!(layers == sample.layers);
        }
    }
}

#[test]
fn a_layer_that_nobody_lacks_takes_no_room() {
    for bytes in [classic(&samples()), layout(&samples(), Compression::None, true)] {
        let sifted = sifted(&bytes, 10_000, &bottom());
        assert_eq!(sifted.0.size().unwrap(), bytes.len() as u64);
        let room = sifted.0.metadata().unwrap().blocks() * 512;
        assert!(room < 100_000, "{room} bytes of {}", bytes.len());
        let (archive, _) = open(sifted, &bottom());
        for (image, sample) in archive.images().iter().zip(samples()) {
            assert_eq!(image.layers[0].location, Location::LeftOut);
            assert_eq!(image.layers[0].size, sample.layers[0].len() as u64);
            let above: Vec<_> = image.layers[1..].iter().map(|layer| read(&archive, layer)).collect();
            assert!(above == sample.layers[1..]);
            let unread = io::Read::read(&mut archive.layer(&image.layers[0]), &mut [0; 8]);
            assert_eq!(unread.unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }
}

#[test]
fn a_hole_is_never_taken_for_a_layer() {
    for bytes in [classic(&samples()), layout(&samples(), Compression::None, true)] {
        let (file, arrivals) = sifted(&bytes, 10_000, &bottom());
        let listing = Listing::sifted(file, arrivals, &Limits::default()).unwrap();
        assert!(listing.verify(&|image| Some(image.tags.clone()), &Options::default(), &mut |_| ()).is_err());
    }
}

#[test]
fn a_compressed_layer_that_nobody_lacks_is_not_unpacked_to_disk() {
    let bytes = layout(&samples(), Compression::Zstd, true);
    let options = Options { spare: bottom(), spool_directory: "/nonexistent".into(), ..Options::default() };
    let only = Sample::new("web:1", &[&"b".repeat(300_000)]);
    let archive = Archive::open_with(layout(&[only], Compression::Zstd, true), &options, &mut |_| ()).unwrap();
    assert_eq!(archive.images()[0].layers[0].location, Location::LeftOut);
    assert_eq!(archive.images()[0].layers[0].size, samples()[0].layers[0].len() as u64);
    assert!(Archive::open_with(bytes, &options, &mut |_| ()).is_err(), "the other layers need the spool");
}

#[test]
fn a_length_in_an_extension_record_is_left_to_the_reader() {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_pax_extensions([("size", &b"3"[..])]).unwrap();
    let bytes = [builder.into_inner().unwrap(), classic(&samples())].concat();
    let (file, arrivals) = sifted(&bytes, 7777, &bottom());
    assert!(content(&file) == bytes);
    assert!(arrivals.is_empty());
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_arrive_as_they_are(
        mut bytes in prop::collection::vec(any::<u8>(), 0..5000),
        piece in 1_usize..3000,
        is_tar in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
    ) {
        if is_tar {
            bytes = classic(&[Sample::new("x:1", &["a", "b"])]);
            changes.iter().for_each(|(at, byte)| { let at = at.index(bytes.len()); bytes[at] = *byte; });
        }
        let (file, arrivals) = sifted(&bytes, piece, &BTreeSet::new());
        prop_assert!(content(&file) == bytes);
        for ((offset, size), arrived) in arrivals {
            let there = &bytes[offset as usize..(offset + size) as usize];
            prop_assert_eq!(Digest::of(there), arrived.digest);
        }
    }
}

#[test]
fn of_endless_entries_no_more_are_noted_than_an_image_can_have() {
    let mut header = Header::new_ustar();
    header.set_path("file").unwrap();
    header.set_size(0);
    header.set_cksum();
    let mut sifter = Sifter::new(tempfile::tempfile().unwrap(), BTreeSet::new());
    let thousand = header.as_bytes().repeat(1000);
    (0..70).for_each(|_| sifter.write_all(&thousand).unwrap());
    let (file, arrivals) = sifter.finish().unwrap();
    assert_eq!((file.size().unwrap(), arrivals.len()), (70 * 512_000, MOST_ENTRIES));
}
