//! How far a work is, on a terminal's last line: drawn by a thread of its own
//! from the work's counters, and gone when the work is done. Neither the cursor
//! nor the terminal's mode is touched, so that Ctrl-C needs nothing put back.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::image::Counters;

/// Between two looks at the counters.
const INTERVAL: Duration = Duration::from_millis(100);

const OF_TOTAL: &str = "{wide_bar} {decimal_bytes} of {decimal_total_bytes}, {msg}\
                        {decimal_bytes_per_sec}, {elapsed}, {eta} left";
const WITHOUT_TOTAL: &str = "{spinner} {decimal_bytes}, {msg}{decimal_bytes_per_sec}, {elapsed}";

/// A line that is drawn until this is dropped.
pub(super) struct Progress {
    /// Closed to stop the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Whether somebody sees a progress line: stderr is a terminal.
pub(super) fn is_seen() -> bool {
    std::io::stderr().is_terminal()
}

impl Progress {
    /// Draws `counters` on stderr, which is a terminal; `total` is how many
    /// bytes there will be, if that is known. Starts a thread.
    pub(super) fn start(counters: Arc<Counters>, total: Option<u64>) -> Self {
        let (stop, stopped) = channel();
        let draw = move || {
            let bar = bar(total);
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let files = counters.files.load(Ordering::Relaxed);
                if files > 0 {
                    bar.set_message(format!("{} files, ", HumanCount(files)));
                }
                bar.set_position(counters.bytes.load(Ordering::Relaxed));
                bar.tick();
            }
            bar.finish_and_clear();
        };
        // Without a thread there is no progress, and the work goes on.
        let thread = std::thread::Builder::new().spawn(draw).ok();
        Self { stop: Some(stop), thread }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A line that failed to be drawn is no reason to fail.
            let _ = thread.join();
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let target = ProgressDrawTarget::stderr_with_hz(10);
    let bar = ProgressBar::with_draw_target(total, target);
    let template = if total.is_some() { OF_TOTAL } else { WITHOUT_TOTAL };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_well_formed() {
        for template in [OF_TOTAL, WITHOUT_TOTAL] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
