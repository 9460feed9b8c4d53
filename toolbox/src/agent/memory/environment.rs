//! Takes a secret out of the process's environment.
//!
//! Contract: what [`take`] returns is no longer in this process's environment, so that no child inherits it, if it is
//! called while the process has one thread: first in `main`, before the runtime starts. With more threads the value is
//! returned and stays where it is, since removing it could race with a reader; a warning is logged.
//!
//! Not done here: the kernel's copy in `/proc/PID/environ` is the process's initial stack, which removal does not
//! touch. It is closed to others by the uid, and will be to the same uid once the process is made not dumpable.
//!
//! This is the crate's only `unsafe`. `std::env::remove_var` is unsafe because another thread may be reading the
//! environment; the check below makes that impossible. A re-exec without the variable would be the safe way and would
//! cost a second start and the same exposure in between.

use secrecy::SecretString;

/// The value of `name`, removed from the environment if that can be done safely. What is not UTF-8
/// in it is replaced: it is no key then, and that is said where it is parsed.
pub(crate) fn take(name: &str) -> Option<SecretString> {
    let value = SecretString::from(std::env::var_os(name)?.to_string_lossy().into_owned());
    if !remove(name) {
        tracing::warn!(variable = name, "stays in the environment: it was read after threads were started");
    }
    Some(value)
}

/// Removes `name` if no other thread exists; says whether it did.
#[allow(unsafe_code, reason = "remove_var has no safe form; the one-thread check upholds what it asks for")]
fn remove(name: &str) -> bool {
    if !single_threaded() {
        return false;
    }
    // SAFETY: this process has one thread, this one, and only this one could start another: nobody else reads or
    // writes the environment during the call.
    unsafe { std::env::remove_var(name) };
    true
}

/// Whether the kernel knows one thread of this process; `false` where it cannot be asked.
fn single_threaded() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_threads_about_the_variable_is_left_alone() {
        // A test runs beside the harness's main thread, so this process never has one thread.
        assert!(!single_threaded());
        assert!(!remove("PATH"));
        assert!(std::env::var_os("PATH").is_some());
        assert!(take("TOOLBOX_NO_SUCH_VARIABLE").is_none());
    }
}
