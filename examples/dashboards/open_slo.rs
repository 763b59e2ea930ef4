//! The objective in the language of [OpenSLO](https://github.com/OpenSLO/OpenSLO).

use crate::description::Description;
use crate::naming::{Naming, Selector};
use crate::objective::OBJECTIVE;
use crate::yaml::{Yaml, list, map};
use tower::BoxError;

/// Returns the objective, measured by counters of the calls that miss it and of all.
///
/// # Errors
///
/// Names what a query has and the page doesn't.
pub(crate) fn open_slo(naming: &Naming, page: &Description) -> Result<Yaml, BoxError> {
    let objective = &OBJECTIVE;
    let sum = |selector: Selector| format!("sum({selector})");
    let metric = |query: String| {
        page.check(&query)?;
        let source = map([
            ("type", "Prometheus".into()),
            ("spec", map([("query", query.into())])),
        ]);
        Ok::<_, BoxError>(map([("metricSource", source)]))
    };
    let ratio = map([
        ("counter", true.into()),
        ("bad", metric(naming.missed(objective, sum))?),
        ("total", metric(sum(naming.ended()))?),
    ]);
    let name = format!("{}-{}", objective.name, naming.directory.replace('_', "-"));
    let indicator = map([
        ("metadata", map([("name", name.clone().into())])),
        ("spec", map([("ratioMetric", ratio)])),
    ]);
    let window = map([
        ("duration", format!("{}d", objective.days).into()),
        ("isRolling", true.into()),
    ]);
    let description = format!(
        "Calls don't fail by the service's fault, and end within {} s",
        objective.threshold
    );
    let spec = map([
        ("description", description.into()),
        ("service", "all-jobs".into()),
        ("indicator", indicator),
        ("timeWindow", list([window])),
        ("budgetingMethod", "Occurrences".into()),
        (
            "objectives",
            list([map([
                ("displayName", objective.name.into()),
                ("target", objective.ratio.into()),
            ])]),
        ),
    ]);
    Ok(map([
        ("apiVersion", "openslo/v1".into()),
        ("kind", "SLO".into()),
        ("metadata", map([("name", name.into())])),
        ("spec", spec),
    ]))
}
