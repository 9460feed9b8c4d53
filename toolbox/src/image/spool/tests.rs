use super::super::testing::compress;
use super::*;

const PLENTY: u64 = 1 << 30;

fn sample() -> Vec<u8> {
    (0..250_000_u32).flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 8).to_le_bytes()).collect()
}

fn run(input: impl Read, limit: u64) -> Result<(Spooled, Vec<u8>), SpoolError> {
    let mut out = Vec::new();
    spool(input, &mut out, limit, &mut |_| ()).map(|spooled| (spooled, out))
}

#[test]
fn every_compression_arrives_as_the_same_bytes() {
    let plain = sample();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Xz] {
        let packed = compress(compression, &plain);
        let (spooled, out) = run(&packed[..], PLENTY).unwrap();
        let (received, written) = (packed.len() as u64, plain.len() as u64);
        assert_eq!(spooled, Spooled { received, written, compression });
        assert!(out == plain, "{compression}");
    }
}

#[test]
fn several_members_are_one_stream() {
    for compression in [Compression::Gzip, Compression::Zstd, Compression::Xz] {
        let twice = [compress(compression, b"ab"), compress(compression, b"cd")].concat();
        assert_eq!(run(&twice[..], PLENTY).unwrap().1, b"abcd", "{compression}");
    }
}

#[test]
fn progress_adds_up_to_what_arrived() {
    let packed = compress(Compression::Zstd, &sample());
    let mut told = 0;
    spool(&packed[..], &mut io::sink(), PLENTY, &mut |bytes| told += bytes).unwrap();
    assert_eq!(told, packed.len() as u64);
}

#[test]
fn a_stream_cut_anywhere_in_its_middle_is_said_to_be() {
    let plain = sample();
    for compression in [Compression::Gzip, Compression::Zstd, Compression::Xz] {
        let packed = compress(compression, &plain);
        for cut in [7, 30, packed.len() / 2, packed.len() - 1] {
            let error = run(&packed[..cut], PLENTY).unwrap_err();
            let is_named = matches!(error, SpoolError::CutShort { received, compression: c }
                if received == cut as u64 && c == compression);
            assert!(is_named, "{compression} cut at {cut}: {error:?}");
        }
    }
}

#[test]
fn a_damaged_stream_is_told_from_a_failing_source() {
    for compression in [Compression::Gzip, Compression::Zstd, Compression::Xz] {
        let mut packed = compress(compression, &sample());
        let length = packed.len();
        packed[length / 3..length / 2].fill(0xff);
        let error = run(&packed[..], PLENTY).err();
        assert!(matches!(error, Some(SpoolError::Corrupt { .. })), "{compression}: {error:?}");
    }
}

struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

#[test]
fn a_failing_source_is_named_with_the_bytes_before_it() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Xz] {
        let packed = compress(compression, &sample());
        let half = packed.len() / 2;
        let error = run(packed[..half].chain(Failing), PLENTY).unwrap_err();
        let is_named = matches!(&error, SpoolError::Read { received, source }
            if *received == half as u64 && source.kind() == io::ErrorKind::ConnectionReset);
        assert!(is_named, "{compression}: {error:?}");
    }
    let error = run(Failing, PLENTY).unwrap_err();
    assert!(matches!(error, SpoolError::Read { received: 0, .. }));
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let zeros = vec![0; 4 << 20];
    for compression in [Compression::Gzip, Compression::Zstd, Compression::Xz] {
        let mut out = Vec::new();
        let packed = compress(compression, &zeros);
        let error = spool(&packed[..], &mut out, 1 << 20, &mut |_| ()).unwrap_err();
        assert!(matches!(error, SpoolError::TooLarge { limit: 0x10_0000 }), "{error:?}");
        assert!(out.len() <= 1 << 20);
    }
}

#[test]
fn exactly_the_limit_is_allowed() {
    assert_eq!(run(&b"12345678"[..], 8).unwrap().0.written, 8);
}

#[test]
fn a_full_disk_is_named_with_the_bytes_before_it() {
    let mut small = [0; 1000];
    let error = spool(&sample()[..], &mut &mut small[..], PLENTY, &mut |_| ()).unwrap_err();
    assert!(matches!(error, SpoolError::Write { written: 0..=1000, .. }), "{error:?}");
}

#[test]
fn nothing_and_foreign_compressions_are_named() {
    assert!(matches!(run(io::empty(), PLENTY), Err(SpoolError::Empty)));
    let bzip2 = run(&b"BZh91AY&SY"[..], PLENTY).unwrap_err();
    assert!(matches!(bzip2, SpoolError::Unsupported(Compression::Bzip2)));
}

#[test]
fn a_stream_that_wants_much_memory_to_unpack_is_refused_before_it_gets_it() {
    // What `xz --lzma2=dict=1GiB` begins with: the stream's header, and a block's that names the window.
    let header = b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0\x21\x01\x24\0\0\0\x5e\x1f\xc7\xf9\xe1\x86\x9f\0";
    let error = run(&header[..], PLENTY).unwrap_err();
    assert!(matches!(error, SpoolError::Memory { compression: Compression::Xz }), "{error:?}");
    assert!(error.hint().is_some());
}
