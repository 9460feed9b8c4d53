//! dnf: Fedora, Amazon Linux and their kin. Red Hat's own line has no Docker in its archives.

use super::Family;

pub(super) const DNF: Family =
    Family { program: "dnf", name: "dnf", tested: false, script: include_str!("dnf.sh"), lacks };

fn lacks(ids: &[&str]) -> Option<&'static str> {
    let has = |names: &[&str]| ids.iter().any(|id| names.contains(id));
    // Amazon Linux calls itself like Fedora and Red Hat's, and has it.
    let red_hat = has(&["rhel", "centos", "rocky", "almalinux", "ol"]) && !has(&["amzn"]);
    red_hat.then_some("Red Hat and its kin ship Podman and no Docker")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn red_hat_and_its_kin_have_no_docker_and_fedora_has() {
        assert!(lacks(&["rocky", "rhel", "centos", "fedora"]).is_some());
        assert!(lacks(&["rhel", "fedora"]).is_some());
        assert_eq!(lacks(&["fedora"]), None);
        assert_eq!(lacks(&["amzn", "centos", "rhel", "fedora"]), None);
    }
}
