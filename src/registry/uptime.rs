//! The uptime, the only metric that the registry itself provides.

use super::family::Kind;
use super::names::{Claim, Owner};
use super::source::{FamilySource, MetricFamily};
use crate::clock::Stopwatch;
use crate::escaping::Escaping;
use crate::labels::{LabelText, Labels};
use std::fmt::Write;
use std::sync::Arc;

pub(crate) const UPTIME: &str = "uptime_seconds";
pub(crate) const UPTIME_HELP: &str = "Time since the registry was created";

/// Returns the source of the uptime of a registry with this prefix and these labels.
pub(super) fn uptime(created: Stopwatch, prefix: &str, labels: &Labels) -> FamilySource {
    let family = MetricFamily {
        name: format!("{prefix}{UPTIME}"),
        kind: Kind::Gauge,
        unit: Some("seconds".to_owned()),
        help: UPTIME_HELP.to_owned(),
    };
    let claim = Claim::new(&family.name, family.kind, None, Owner::Registry);
    let labels = LabelText::new(Escaping::AllowUtf8.labels_in_text(labels.iter()));
    let series = format!("{}{{{}}}", family.name, labels.as_str());
    let mut source = FamilySource::of_family(family, move |text| {
        writeln!(text, "{series} {:?}", created.elapsed().as_secs_f64())
    });
    source.owner = Owner::Registry;
    source.claim(Arc::new(claim));
    source
}
