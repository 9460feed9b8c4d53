//! Whatever stands in a tarball: it is refused, or the layers that come out are those that its images name.
//!
//! The checksum of every header is put right first, so that the fuzzer need not find it. What arrives as a stream, in
//! pieces and with a layer left out, is told the same as what is read in place.
#![no_main]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;

use libfuzzer_sys::fuzz_target;
use toolbox::image::{Archive, DiffId, Digest, Limits, Listing, Options, PartialArchive, ReadAt, Sifter, Stored};

const BLOCK: usize = 512;

fuzz_target!(|input: &[u8]| {
    let mut bytes = input.to_vec();
    put_checksums_right(&mut bytes);
    let options = Options { limits: limits(), ..Options::default() };
    let in_place = Archive::open_with(bytes.clone(), &options, &mut |_| ());
    let streamed = stream(&bytes, &options, BTreeSet::new());
    assert_eq!(in_place.is_ok(), streamed.is_ok(), "{:?} {:?}", in_place.err(), streamed.err());
    let (Ok(in_place), Ok(streamed)) = (in_place, streamed) else { return };
    let written = check(&in_place);
    assert_eq!(written, check(&streamed));
    let lowest = in_place.images().iter().filter_map(|image| image.layers.first());
    let spare: BTreeSet<DiffId> = lowest.map(|layer| layer.diff_id).collect();
    let sifted = stream(&bytes, &Options { spare: spare.clone(), ..options }, spare).unwrap();
    assert_eq!(sifted.images().len(), in_place.images().len());
    if let Some(written) = written {
        // What we write is what we read.
        assert_eq!(check(&Archive::open(written.clone()).unwrap()), Some(written));
    }
});

fn limits() -> Limits {
    Limits { entries: 1000, json: 64 << 10, documents: 1 << 20, unpacked: 1 << 20 }
}

fn stream(
    bytes: &[u8],
    options: &Options,
    spare: BTreeSet<DiffId>,
) -> Result<Archive<Stored>, toolbox::image::ArchiveError> {
    let file = rustix::fs::memfd_create("fuzz", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut sifter = Sifter::new(file.into(), spare.clone());
    let piece = usize::from(bytes.first().copied().unwrap_or_default()) * 7 + 1;
    bytes.chunks(piece).for_each(|piece| sifter.write_all(piece).unwrap());
    let (file, arrivals) = sifter.finish().unwrap();
    if spare.is_empty() {
        let mut there = vec![0; bytes.len()];
        file.read_exact_at(&mut there, 0).unwrap();
        assert!(there == bytes);
    }
    Listing::sifted(file, arrivals, &options.limits)?.verify(&|image| Some(image.tags.clone()), options, &mut |_| ())
}

/// Every layer is what it is named; what is written of them all, unless that is much.
fn check<R: ReadAt>(archive: &Archive<R>) -> Option<Vec<u8>> {
    for layer in archive.images().iter().flat_map(|image| &image.layers) {
        let mut content = Vec::new();
        archive.layer(layer).read_to_end(&mut content).unwrap();
        assert_eq!(content.len() as u64, layer.size);
        assert_eq!(DiffId::from(Digest::of(&content)), layer.diff_id);
    }
    let plan = PartialArchive::plan(archive.images().iter().map(|image| (image, 0)));
    if archive.images().is_empty() || plan.size() > 4 << 20 {
        return None;
    }
    let mut written = Vec::new();
    plan.write_to(archive, &mut written).unwrap();
    assert_eq!(written.len() as u64, plan.size());
    Some(written)
}

fn put_checksums_right(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(block) = bytes.get_mut(at..at + BLOCK) {
        if block.iter().all(|byte| *byte == 0) {
            return;
        }
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
        let size = header.entry_size().unwrap_or_default().min(1 << 20) as usize;
        at += BLOCK + size.next_multiple_of(BLOCK);
    }
}
