use proptest::prelude::*;

use super::*;

fn images() -> impl Strategy<Value = Vec<Sample>> {
    let contents = prop::collection::vec("[a-d]{0,2}", 0..6);
    prop::collection::vec(contents, 1..4).prop_map(|images| {
        let sample = |(n, contents): (usize, Vec<String>)| {
            let contents: Vec<_> = contents.iter().map(String::as_str).collect();
            Sample::new(&format!("image{n}:1"), &contents)
        };
        images.into_iter().enumerate().map(sample).collect()
    })
}

fn archives() -> impl Strategy<Value = (Vec<Sample>, Vec<u8>)> {
    let compression =
        prop::sample::select(vec![Compression::None, Compression::Gzip, Compression::Zstd, Compression::Xz]);
    (images(), prop::option::of((compression, any::<bool>()))).prop_map(|(images, form)| {
        let bytes = form.map_or_else(
            || classic(&images),
            |(compression, with_manifest)| layout(&images, compression, with_manifest),
        );
        (images, bytes)
    })
}

proptest! {
    #[test]
    fn any_images_in_any_form_are_read_back((images, bytes) in archives()) {
        assert_holds(&Archive::open(bytes).unwrap(), &images);
    }

    #[test]
    fn an_archive_cut_before_its_end_mark_is_refused((_, bytes) in archives(), at in 0.0..1.0_f64) {
        let cut = ((bytes.len() - 1024) as f64 * at) as usize;
        prop_assert!(Archive::open(bytes[..cut].to_vec()).is_err());
    }

    /// Whatever is changed: no panic, and every layer that comes out is the one its digest names.
    #[test]
    fn a_changed_archive_is_refused_or_its_layers_are_true(
        (_, mut bytes) in archives(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(archive) = Archive::open(bytes) {
            for image in archive.images() {
                prop_assert_eq!(Digest::of(&image.config_json), image.config.digest());
                for layer in &image.layers {
                    prop_assert_eq!(Digest::of(&content(&archive, layer)), layer.diff_id.digest());
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        prop_assert!(Archive::open(bytes).is_err());
    }
}
