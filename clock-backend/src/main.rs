//! Parses, starts tracing, calls the library, and turns its results into messages and exit codes.

use std::{error::Error, io::IsTerminal as _, process::ExitCode, time::SystemTime};

use clock_backend::{
    cli::{self, Command},
    config::Config,
    healthcheck,
    serve::{self, Limits, Outcome},
    web,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

const FAILED: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match cli::parse(&arguments) {
        Ok(Command::Serve) => with_config(USAGE, run),
        // 2 is reserved by the engine for health checks.
        Ok(Command::Healthcheck) => with_config(FAILED, check),
        Ok(Command::Help) => print(&cli::help()),
        Ok(Command::Version) => print(&format!("{}\n", cli::VERSION)),
        Err(error) => fail(USAGE, &error, "clock-backend --help"),
    }
}

fn with_config(code: u8, action: fn(Config) -> ExitCode) -> ExitCode {
    match Config::from_vars(std::env::vars_os()) {
        Ok(config) => action(config),
        Err(error) => fail(code, &error, "clock-backend --help lists the settings"),
    }
}

fn check(config: Config) -> ExitCode {
    match healthcheck::check(config.listen, healthcheck::TIMEOUT) {
        Ok(()) => print("healthy\n"),
        Err(error) => fail(FAILED, &error, "is the service running with the same CLOCK_HOST and CLOCK_PORT?"),
    }
}

fn run(config: Config) -> ExitCode {
    start_tracing(&config);
    // One thread is plenty for an answer of eighteen bytes, and idles at the lowest cost.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(listen_and_serve(&config))) {
        Ok(Outcome::Drained) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Ok(Outcome::CutOff { connections }) => {
            tracing::warn!(connections, "stopped with requests cut off");
            ExitCode::from(FAILED)
        }
        Err(error) => fail(
            FAILED,
            &error,
            &format!("can this process listen on {}? see CLOCK_HOST and CLOCK_PORT", config.listen),
        ),
    }
}

fn start_tracing(config: &Config) {
    let output =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry().with(config.log.clone()).with(output).init();
    for name in &config.unknown {
        tracing::warn!(name, "unknown variable is ignored");
    }
}

async fn listen_and_serve(config: &Config) -> std::io::Result<Outcome> {
    // Before the listener: a signal that comes with the first connection must not kill.
    let stop = stop_signals()?;
    let listener = TcpListener::bind(config.listen).await?;
    tracing::info!(address = %config.listen, version = env!("CARGO_PKG_VERSION"), "listening");
    let limits = Limits { header_timeout: config.header_timeout, shutdown_grace: config.shutdown_grace };
    Ok(serve::serve(listener, web::router(SystemTime::now), limits, stop).await)
}

/// One message for each SIGTERM or SIGINT.
fn stop_signals() -> std::io::Result<mpsc::Receiver<()>> {
    let (sender, receiver) = mpsc::channel(2);
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let (mut signals, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                let _ = sender.send(()).await;
            }
        });
    }
    Ok(receiver)
}

fn print(text: &str) -> ExitCode {
    use std::io::Write as _;
    // A reader that has gone (`| head`) is no failure of ours.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn fail(code: u8, error: &dyn Error, hint: &str) -> ExitCode {
    eprintln!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
    eprintln!("hint: {hint}");
    ExitCode::from(code)
}
