//! The `toolbox` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    toolbox::cli::main()
}
