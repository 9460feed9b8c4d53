//! Steps and progress of all hosts: bars on a terminal, lines elsewhere.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::apply::{Event, What};

use super::Ui;

/// Shows events until the last sender is gone.
pub async fn watch(ui: Ui, mut events: UnboundedReceiver<Event>) {
    let mut view = View { ui, bars: MultiProgress::new(), open: HashMap::new() };
    while let Some(event) = events.recv().await {
        view.show(event);
    }
    let _ = view.bars.clear();
}

struct View {
    ui: Ui,
    bars: MultiProgress,
    open: HashMap<String, Step>,
}

/// The step that a host is at.
struct Step {
    label: String,
    bar: ProgressBar,
}

impl View {
    fn show(&mut self, event: Event) {
        let Event { host, what } = event;
        match what {
            What::Started(label) => self.start(host, label),
            What::Line(line) => self.with_bar(&host, |bar| bar.set_message(line.trim().to_owned())),
            What::Progress(done, total) => self.with_bar(&host, |bar| {
                bar.set_length(total);
                bar.set_position(done);
                bar.set_style(transfer_style());
            }),
            What::Done(label, elapsed) => self.end(&host, &label, &seconds(elapsed)),
            What::Failed(label) => self.end(&host, &label, "failed"),
            What::Note(note) => self.line(&format!("{host}: {note}")),
            What::Output { of, line, place: _ } => self.line(&format!("{host}: {of}: {line}")),
        }
    }

    fn start(&mut self, host: String, label: String) {
        let bar = if self.ui.terminal && !self.ui.quiet {
            self.bars.add(ProgressBar::new_spinner().with_style(step_style()))
        } else {
            ProgressBar::hidden()
        };
        bar.set_prefix(format!("{host}: {label}"));
        bar.enable_steady_tick(Duration::from_millis(120));
        if let Some(before) = self.open.insert(host, Step { label, bar }) {
            before.bar.finish_and_clear();
        }
    }

    fn end(&mut self, host: &str, label: &str, result: &str) {
        if self.open.get(host).is_some_and(|step| step.label == label)
            && let Some(step) = self.open.remove(host)
        {
            step.bar.finish_and_clear();
        }
        self.line(&format!("{host}: {label} … {result}"));
    }

    fn line(&self, text: &str) {
        if self.ui.terminal && !self.ui.quiet {
            let _ = self.bars.println(text);
        } else {
            self.ui.say(text);
        }
    }

    fn with_bar(&self, host: &str, act: impl FnOnce(&ProgressBar)) {
        if let Some(step) = self.open.get(host) {
            act(&step.bar);
        }
    }
}

fn step_style() -> ProgressStyle {
    style("{prefix} {spinner} {elapsed} {wide_msg:.dim}")
}

fn transfer_style() -> ProgressStyle {
    style("{prefix} {msg} [{bar:24}] {bytes} of {total_bytes}, {binary_bytes_per_sec}, {eta} left")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn seconds(elapsed: Duration) -> String {
    format!("{:.1} s", elapsed.as_secs_f64())
}
