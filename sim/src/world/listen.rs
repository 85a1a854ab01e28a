//! Hears what processes say of themselves: panics, and what they log. A bug that was found by an assertion
//! inside the server is a finding, wherever the panic was caught.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Write};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::trace::Trace;
use super::{JOURNAL, Site};

thread_local! {
    static SITE: Cell<Site> = const { Cell::new(JOURNAL) };
    static COMPLAINTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static CARRIES_OUT: Cell<bool> = const { Cell::new(false) };
}

/// Whoever runs next on this thread.
pub(crate) fn at(site: Site) {
    SITE.set(site);
}

/// What was heard that must not be, since the last time.
pub(crate) fn complaints() -> Vec<String> {
    COMPLAINTS.take()
}

/// Hears panics on threads that carry out a seed; others are as they were.
pub(crate) fn once() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if CARRIES_OUT.get() {
                let text = format!("{} panicked: {panic}", SITE.get());
                COMPLAINTS.with_borrow_mut(|complaints| complaints.push(text));
            } else {
                before(panic);
            }
        }));
    });
}

/// Runs it, hearing what is logged meanwhile.
pub(crate) fn to<T>(trace: &Trace, run: impl FnOnce() -> T) -> T {
    CARRIES_OUT.set(true);
    let subscriber =
        Registry::default().with(Ear { trace: trace.clone(), curious: trace.readable() });
    let ran = tracing::subscriber::with_default(subscriber, run);
    CARRIES_OUT.set(false);
    ran
}

struct Ear {
    trace: Trace,
    curious: bool,
}

impl<S: Subscriber> Layer<S> for Ear {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        let ours = ["engine", "server", "journal", "state"];
        let most = if self.curious { Level::DEBUG } else { Level::ERROR };
        *metadata.level() <= most && ours.iter().any(|name| metadata.target().starts_with(name))
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let (level, text) = (event.metadata().level(), text.0);
        if text.starts_with("CORRUPT") {
            let text = format!("{} says {text}", SITE.get());
            COMPLAINTS.with_borrow_mut(|complaints| complaints.push(text));
        }
        if self.curious {
            self.trace.remark(SITE.get(), &format!("{level} {text}"));
        }
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = &mut self.0;
        let written = match field.name() {
            "message" => write!(text, "{value:?}"),
            name => write!(text, " {name}={value:?}"),
        };
        // A string takes it all.
        written.unwrap_or_default();
    }
}
