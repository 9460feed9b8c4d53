//! Takes a secret out of the process's environment.
//!
//! Contract: what [`take`] returns is no longer in this process's environment, so that no child inherits it, nor in
//! the memory where the kernel put it when the process was started (what `/proc/PID/environ` shows), if it is called
//! while the process has one thread: first in `main`, before the runtime starts. With more threads the value is returned
//! and stays where it is, since removing it could race with a reader; a warning is logged.
//!
//! Not done here: whoever started the process may have the value still, a container's engine in the container's
//! configuration.
//!
//! This is the crate's only `unsafe`. `std::env::remove_var` is unsafe because another thread may be reading the
//! environment, and has no form that overwrites; the check below makes a race impossible. A re-exec without the variable
//! would be the safe way and would cost a second start and the same exposure in between.

use std::ffi::{CStr, c_char};

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
    overwrite(name);
    // SAFETY: this process has one thread, this one, and only this one could start another: nobody else reads or
    // writes the environment during the call.
    unsafe { std::env::remove_var(name) };
    true
}

/// Overwrites the value of every `name=value` with zeros, where it lies. Called with one thread only.
#[allow(unsafe_code, reason = "the strings of the environment are reached through C's pointer to them alone")]
fn overwrite(name: &str) {
    unsafe extern "C" {
        static environ: *const *mut c_char;
    }
    // SAFETY: POSIX has `environ` null or an array of pointers to strings, each ending in a zero byte, with a null
    // pointer behind the last; they lie in the process's initial stack, which can be written. With one thread nobody
    // changes the array or reads a string during the loop. What is written are the bytes of a value, not its end.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            let text = CStr::from_ptr(*entry).to_bytes();
            let (start, end) = (name.len() + 1, text.len());
            if text.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"=")) {
                (start..end).for_each(|at| (*entry).add(at).write_volatile(0));
            }
            entry = entry.add(1);
        }
    }
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
