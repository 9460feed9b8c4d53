//! Integration tests: real sshd, real ssh-agent, real engine.

mod agent_command;
mod agent_crowd;
mod agent_keys;
mod agent_memory;
mod agent_process;
mod agent_verbs;
mod bad_host;
mod bad_images;
mod bad_key;
mod bad_project;
mod deploy;
mod deploy_failures;
mod engine;
mod image_archive;
mod login_keys;
mod machine;
mod memory;
mod openssh_regress;
mod process_hardening;
mod project;
mod ssh;
mod ssh_channels;
mod ssh_exec;
mod ssh_host_keys;
mod sshd;
mod upstream;
