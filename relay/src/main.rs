//! `toolbox-relay`: the one program of the toolbox that stays on a host, in containers without privileges.
//!
//! `serve` stands before a service's containers and moves its connections from one to the next at a word;
//! `control` says that word, run in the same container; `keep` only keeps a container, and so its volume,
//! there; `lock` holds a project's lock while its standard input lives; `sweep` removes what the volume does not
//! need; `receiver` and `receive` take parts of images and load them. Standard output is one JSON value a line,
//! standard error is for people. Exit statuses: 0 done, 1 not done (the answer says why), 2 the command, the
//! request or the configuration is wrong.

mod config;
mod connection;
mod control;
mod http;
mod keep;
mod listen;
mod lock;
mod pipe;
mod proxy;
mod receive;
mod receiver;
mod serve;
mod state;
mod sweep;
mod target;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
usage: toolbox-relay serve              relay connections; RELAY_CONFIG says which
       toolbox-relay control [REQUEST]  ask the relay here; one JSON request, or else on standard input
       toolbox-relay keep               wait for SIGTERM
       toolbox-relay lock               hold the project's lock; JSON lines on standard input
       toolbox-relay sweep              remove old records and files; one JSON request on standard input
       toolbox-relay receiver [SECONDS] wait while images are received here; end so long (60) after the last session
       toolbox-relay receive            receive parts of images and load them; frames on standard input";

/// Wrong command, request or configuration.
const WRONG: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve"] => serve::main(),
        ["control"] => control::main(None),
        ["control", request] => control::main(Some(request)),
        ["keep"] => keep::main(),
        ["lock"] => lock::main(),
        ["sweep"] => sweep::main(),
        ["receiver"] => receiver::main(receiver::IDLE),
        ["receiver", seconds] if let Ok(seconds) = seconds.parse() => receiver::main(Duration::from_secs(seconds)),
        ["receive"] => receive::main(),
        ["--help" | "-h"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(WRONG)
        }
    }
}

/// Says what went wrong, with its causes, and gives the status.
fn fail(error: &dyn Error, status: u8) -> ExitCode {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    eprintln!("toolbox-relay: {text}");
    ExitCode::from(status)
}
