//! Closes this process to others: no core, no tracing, no reading of its memory or environment.
//!
//! Contract: after [`harden`] the process is not dumpable (`prctl(2)`, `PR_SET_DUMPABLE`): whoever is not root cannot
//! attach to it nor read `/proc/PID/{mem,environ,maps,fd}`, whatever his uid, and no core of it is written, not even to
//! a handler of `core_pattern`. The limit of a core's size is 0 besides. A program that is started by this one begins
//! dumpable again, since `execve` makes it so; of the limit only the soft half is lowered, and [`relax`] gives it back
//! before a program that belongs to the person is run.
//!
//! Absent on purpose: a wall against root, who can read every memory; `PR_SET_NO_NEW_PRIVS`, which would follow into
//! the person's programs and break `sudo` there.

use std::io;
use std::sync::OnceLock;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// The limit of a core's size that the process was started with.
static BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// Closes this process to others. To be called first in `main`, before anything secret is read.
///
/// # Errors
/// The kernel's, where a sandbox forbids one of the calls. The process works as well without; a person should know.
pub fn harden() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let before = *BEFORE.get_or_init(|| getrlimit(Resource::Core));
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(0), ..before })?)
}

/// Gives the limit of a core's size back, for the programs that this process starts from now on. The process itself
/// stays closed: a core is not written of what is not dumpable.
///
/// # Errors
/// The kernel's; lowered limits may be raised again to what they were, so that none is known.
pub fn relax() -> io::Result<()> {
    match BEFORE.get() {
        Some(before) => Ok(setrlimit(Resource::Core, *before)?),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// The soft limit of a core's size as a program sees it that is started now, in blocks.
    fn limit_of_a_child() -> String {
        let output = Command::new("sh").args(["-c", "ulimit -S -c"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn the_process_is_closed_and_its_programs_get_the_limit_back() {
        let before = getrlimit(Resource::Core);
        // The tester's own limit is often 0 already, and would prove nothing.
        if before.maximum.is_none_or(|most| most >= 8192) {
            setrlimit(Resource::Core, Rlimit { current: Some(8192), ..before }).unwrap();
        }
        let limit = limit_of_a_child();
        harden().unwrap();
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(limit_of_a_child(), "0");
        relax().unwrap();
        assert_eq!(limit_of_a_child(), limit);
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
