//! Package managers: one file and one script for each.
//!
//! Contract: a script is text for any POSIX shell, run as root, that installs the distribution's own Docker with the
//! package manager's own signature checks, and changes no configuration of the host. It follows one variable that is set
//! before it: `proxy`, empty or the URL of an HTTP proxy. What it writes behind [`NOTE`] is for a person.
//!
//! To add one: a file with a [`Family`], its script beside it, and its line in [`ALL`].

mod apk;
mod apt;
mod dnf;

/// How long a script waits for others to let a lock of the package manager go, in seconds.
pub(super) const APT_WAIT: u32 = 300;

/// Begins a line of output that a person should see.
pub(super) const NOTE: &str = "toolbox-note ";

/// A package manager and the distributions that have it.
#[derive(Debug)]
pub struct Family {
    /// Its program on the host, which is how it is known.
    pub program: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// It has been tried on real distributions.
    pub tested: bool,
    /// Installs Docker.
    pub(super) script: &'static str,
    /// Why a distribution has no Docker of its own, by `ID` and `ID_LIKE` of its os-release.
    pub(super) lacks: fn(&[&str]) -> Option<&'static str>,
}

/// The first that a host has is its own.
pub(super) const ALL: [&Family; 3] = [&apt::APT, &dnf::DNF, &apk::APK];

impl Family {
    /// The script behind its variable; `proxy` is a port of the host's 127.0.0.1 where an HTTP proxy listens.
    pub(super) fn installer(&self, proxy: Option<u16>) -> String {
        let url = proxy.map_or_else(String::new, |port| format!("http://127.0.0.1:{port}"));
        format!("proxy='{url}'\n{}", self.script)
    }
}

/// For [`Family::lacks`]: every distribution has it, as far as is known.
fn nobody(_: &[&str]) -> Option<&'static str> {
    None
}

#[cfg(test)]
mod tests;
