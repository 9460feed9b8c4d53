//! toolbox: an SSH agent and a deployer in one small container.
//!
//! Imports go downwards only: `cli`, `ui` (ring 4) > `apply`, `engine`, `ssh`, `packages`, `bootstrap` (3) > `plan`, `state` (2) >
//! `inventory`, `compose`, `release`, `ssh_config` (1) > `debian`, `image`, `yaml` (0). `agent` is a side tower that only `cli` imports.

pub mod agent;
pub mod apply;
pub mod bootstrap;
pub mod cli;
pub mod compose;
pub mod debian;
pub mod engine;
pub mod image;
pub mod inventory;
pub mod packages;
pub mod plan;
pub mod release;
pub mod ssh;
pub mod ssh_config;
pub mod state;
pub mod ui;
pub mod yaml;
