//! The `toolbox` command.

use std::alloc::System;
use std::process::ExitCode;

use zeroizing_alloc::ZeroAlloc;

/// Zeroes every block of the heap when it is freed: what libraries and moved values leave behind of a key is gone too.
#[global_allocator]
static HEAP: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    toolbox::cli::main()
}
