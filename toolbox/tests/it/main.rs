//! Integration tests: real sshd, real ssh-agent, real engine.

mod image_archive;
mod ssh;
mod ssh_channels;
mod ssh_exec;
mod ssh_host_keys;
mod sshd;
mod tidy;
