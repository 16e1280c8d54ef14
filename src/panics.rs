//! Panics: a bug in closewait is reported in one line of plain text; a panic in a crate that parses
//! untrusted text only loses that text.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use crate::renderer::escape;

thread_local! {
    /// Whether a panic of this thread is caught and not reported.
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Reports every panic that is not caught through `report`, without a trailing newline.
pub fn report_with(report: impl Fn(&str) + Send + Sync + 'static) {
    panic::set_hook(Box::new(move |info| {
        if !IS_CAUGHT.get() {
            report(&words(info));
        }
    }));
}

/// The result of `work`; `None` if it panics.
pub fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    let before = IS_CAUGHT.replace(true);
    // State that `work` left broken is dropped with it.
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    IS_CAUGHT.set(before);
    result.ok()
}

/// The report. The message may contain untrusted text.
fn words(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let message = payload.downcast_ref::<&str>().copied();
    let message = message.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let message = escape::line(message.unwrap_or("no message"));
    let place = info.location().map(|at| format!(", at {at}"));
    let trace = Backtrace::capture();
    let trace = match trace.status() {
        BacktraceStatus::Captured => format!("\n{trace}"),
        _ => String::new(),
    };
    let place = place.unwrap_or_default();
    format!("a fault in closewait itself: {message}{place}; please report it{trace}")
}
