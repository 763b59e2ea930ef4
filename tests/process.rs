//! Metrics of the process, compared with what the test does and with other files of `/proc`.
#![cfg(all(feature = "process", target_os = "linux"))]

mod support;

use std::fs::{self, File};
use std::hint::black_box;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use support::{Page, page_of};
use tower_openmetrics::MetricsRegistry;
use tower_openmetrics::collectors::ProcessCollector;

/// Returns a registry, and a guard that keeps other tests from opening files or taking memory.
fn alone() -> (MetricsRegistry, MutexGuard<'static, ()>) {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let registry = MetricsRegistry::new();
    registry
        .register_collector(ProcessCollector::new())
        .unwrap();
    (registry, alone)
}

fn number(page: &Page, name: &str) -> f64 {
    page.one(name).parse().unwrap()
}

/// Returns a size of `/proc/self/status`, in bytes.
fn status(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mut words = status.split_whitespace();
    words.find(|word| *word == name).unwrap();
    let kibibytes: f64 = words.next().unwrap().parse().unwrap();
    assert_eq!(words.next(), Some("kB"));
    kibibytes * 1024.0
}

#[test]
fn types_and_units() {
    let (registry, _alone) = alone();
    let page = page_of(registry.exporter(), "application/openmetrics-text");
    let metadata =
        |line: &&str| line.starts_with("# TYPE process_") || line.starts_with("# UNIT process_");
    let metadata: Vec<_> = page.lines().filter(metadata).collect();
    assert_eq!(
        metadata,
        [
            "# TYPE process_cpu_seconds counter",
            "# UNIT process_cpu_seconds seconds",
            "# TYPE process_max_fds gauge",
            "# TYPE process_open_fds gauge",
            "# TYPE process_resident_memory_bytes gauge",
            "# UNIT process_resident_memory_bytes bytes",
            "# TYPE process_start_time_seconds gauge",
            "# UNIT process_start_time_seconds seconds",
            "# TYPE process_threads gauge",
            "# TYPE process_virtual_memory_bytes gauge",
            "# UNIT process_virtual_memory_bytes bytes",
            "# TYPE process_virtual_memory_max_bytes gauge",
            "# UNIT process_virtual_memory_max_bytes bytes",
        ]
    );
    assert!(page.contains("\nprocess_cpu_seconds_total "), "{page}");
}

#[test]
fn open_files_are_counted_one_by_one() {
    let (registry, _alone) = alone();
    let open = || number(&Page::read(registry.exporter()), "process_open_fds");
    let before = open();
    let files: Vec<_> = (0..7).map(|_| File::open("/dev/null").unwrap()).collect();
    assert_eq!(open(), before + 7.0);
    drop(files);
    assert_eq!(open(), before);
    // There are at least standard input, output and error.
    assert!(before >= 3.0, "{before}");
}

#[test]
fn cpu_time_grows_with_work() {
    let (registry, _alone) = alone();
    let spent = || {
        number(
            &Page::read(registry.exporter()),
            "process_cpu_seconds_total",
        )
    };
    let before = spent();
    // Works until the kernel has counted a tick.
    while spent() <= before {
        black_box((0..1_000_000).map(black_box).sum::<u64>());
    }
}

#[test]
fn memory_is_in_bytes() {
    let (registry, _alone) = alone();
    let page = Page::read(registry.exporter());
    // Memory changes a little between the two reads. A wrong unit would be off by a factor of 1024.
    for (name, of_status) in [
        ("process_resident_memory_bytes", "VmRSS:"),
        ("process_virtual_memory_bytes", "VmSize:"),
    ] {
        let ratio = number(&page, name) / status(of_status);
        assert!((0.25..4.0).contains(&ratio), "{name}: {ratio}");
    }
    let max = number(&page, "process_virtual_memory_max_bytes");
    assert!(max >= number(&page, "process_virtual_memory_bytes"));
}

#[test]
fn limits_and_threads() {
    let (registry, _alone) = alone();
    let page = Page::read(registry.exporter());
    assert!(number(&page, "process_max_fds") >= number(&page, "process_open_fds"));
    // There are this thread and the one that runs the tests.
    assert!(number(&page, "process_threads") >= 2.0);
}

#[test]
fn the_start_time_is_recent_and_constant() {
    let (registry, _alone) = alone();
    let began = || {
        let page = Page::read(registry.exporter());
        number(&page, "process_start_time_seconds")
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let age = now.as_secs_f64() - began();
    // The boot time is in whole seconds. A wrong unit or another epoch would be off by years.
    assert!((-1.0..86_400.0).contains(&age), "{age}");
    assert_eq!(began(), began());
}
