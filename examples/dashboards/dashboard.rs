//! The dashboard, as Grafana imports it.

use crate::description::Description;
use crate::naming::Naming;
use crate::panels::{Panel, panels};
use serde_json::{Value, json};
use tower::BoxError;

const PANELS_IN_A_ROW: usize = 3;
const WIDTH: usize = 24 / PANELS_IN_A_ROW;
const HEIGHT: usize = 8;

/// Returns the dashboard of a naming.
///
/// # Errors
///
/// Names what a query has and the page doesn't.
pub(crate) fn dashboard(naming: &Naming, page: &Description) -> Result<Value, BoxError> {
    let panels = panels(naming, page)?;
    for (expression, _) in panels.iter().flat_map(|panel| &panel.queries) {
        page.check(expression)?;
    }
    let panels = panels.iter().enumerate();
    let panels: Vec<Value> = panels.map(|(index, panel)| json(panel, index)).collect();
    let datasource = json!({
        "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
    });
    let job = json!({
        "name": "job", "label": "Job", "type": "query", "datasource": source(),
        "query": {"query": format!("label_values({}, job)", naming.ended().name), "refId": "job"},
        "refresh": 2, "sort": 1, "multi": true, "includeAll": true, "allValue": ".+",
    });
    Ok(json!({
        "title": naming.title,
        "uid": format!("tower-openmetrics-{}", naming.directory.replace('_', "-")),
        "tags": ["tower-openmetrics"],
        "schemaVersion": 39,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [datasource, job]},
        "panels": panels,
    }))
}

fn json(panel: &Panel, index: usize) -> Value {
    let Panel {
        title,
        description,
        unit,
        queries,
    } = panel;
    let targets = queries.iter().zip('A'..).map(|((expression, legend), id)| {
        json!({
            "refId": id, "datasource": source(), "expr": expression, "legendFormat": legend,
        })
    });
    json!({
        "id": index + 1,
        "type": "timeseries",
        "title": title,
        "description": description,
        "datasource": source(),
        "gridPos": {
            "x": index % PANELS_IN_A_ROW * WIDTH,
            "y": index / PANELS_IN_A_ROW * HEIGHT,
            "w": WIDTH,
            "h": HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": targets.collect::<Vec<_>>(),
    })
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}
