//! apt: Debian, Ubuntu and their kin.

use super::{Family, nobody};

pub(super) const APT: Family =
    Family { program: "apt-get", name: "apt", tested: true, script: include_str!("apt.sh"), lacks: nobody };
