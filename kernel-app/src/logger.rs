//! Log records to standard error, one line each, with a level for each source.

use crate::backend;
use crate::config::Run;
use log::{LevelFilter, Log, Metadata, Record};
use spin::Once;
use std::io::Write as _;

struct Logger {
    level: LevelFilter,
    levels: Vec<(String, LevelFilter)>,
}

static LOGGER: Once<Logger> = Once::new();

/// Starts logging as the boot arguments say. The second call changes nothing.
pub fn start(run: &Run) {
    let most = run.levels.iter().map(|(_, level)| *level).chain([run.level]).max();
    let logger = LOGGER.call_once(|| Logger { level: run.level, levels: run.levels.clone() });
    if log::set_logger(logger).is_ok() {
        log::set_max_level(most.unwrap_or(LevelFilter::Off));
    }
}

impl Logger {
    /// The level of the longest named source that is `target` or a parent of it.
    fn level_of(&self, target: &str) -> LevelFilter {
        let covers = |source: &str| {
            target
                .strip_prefix(source)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        self.levels
            .iter()
            .filter(|(source, _)| covers(source))
            .max_by_key(|(source, _)| source.len())
            .map_or(self.level, |(_, level)| *level)
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.level_of(metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = record.level().as_str().to_lowercase();
            // in one piece
            let line = format!("{level} {}: {}\n", record.target(), record.args());
            // who does not read them misses nothing else
            let _ = backend::stderr().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_source_decides() {
        let logger = Logger {
            level: LevelFilter::Warn,
            levels: vec![
                ("stack".into(), LevelFilter::Info),
                ("stack::smol".into(), LevelFilter::Trace),
            ],
        };
        for (target, level) in [
            ("client", LevelFilter::Warn),
            ("stack", LevelFilter::Info),
            ("stack::sim", LevelFilter::Info),
            ("stack::smol::tcp", LevelFilter::Trace),
            ("stackable", LevelFilter::Warn),
        ] {
            assert_eq!(logger.level_of(target), level, "{target}");
        }
    }
}
