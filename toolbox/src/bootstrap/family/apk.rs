//! apk: Alpine.

use super::{Family, nobody};

pub(super) const APK: Family =
    Family { program: "apk", name: "apk", tested: false, script: include_str!("apk.sh"), lacks: nobody };
