//! Everything that is registered, and the checks for what may be added.

use super::automatic::{AUTOMATIC_METRICS, ShownMetrics};
use super::names::{Claim, Names, Owner};
use super::source::FamilySource;
use super::table::{Endpoint, Table};
use crate::Error;
use crate::labels::Labels;
use crate::settings::Settings;
use std::collections::HashSet;
use std::sync::Arc;

/// Everything that is registered, and the names that it takes.
///
/// Methods run under the registry's lock, so they neither call an encoder nor drop a value of a user's.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) table: Table,
    names: Names,
    /// The names of other metrics in prometheus-client registries that show this one. Layers can't use them.
    pub(super) reserved_names: HashSet<String>,
}

/// Values that were removed. They are dropped after the lock.
#[must_use = "drop it outside the lock"]
#[derive(Default)]
pub(super) struct Removed {
    endpoints: Vec<Arc<Endpoint>>,
    sources: Vec<FamilySource>,
}

// === impl Registered ===

impl Registered {
    /// Returns what a new registry with these labels has: its uptime.
    pub(super) fn new(uptime: FamilySource, labels: Labels) -> Self {
        let mut names = Names::default();
        uptime.claims().for_each(|claim| names.add(claim));
        Self {
            table: Table::new(uptime, labels),
            names,
            reserved_names: HashSet::new(),
        }
    }

    /// Returns the endpoint of an earlier layer with the same prefix and labels, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if a layer with these settings can't be added.
    pub(super) fn endpoint(
        &self,
        prefix: &str,
        labels: &Labels,
        shown: &ShownMetrics,
        settings: &Settings,
    ) -> Result<Option<Arc<Endpoint>>, Error> {
        for claim in claims(prefix, shown) {
            self.names.check(&claim)?;
            self.check_reserved(&claim)?;
        }
        let Some(layers) = self.table.layers.get(prefix) else {
            return Ok(None);
        };
        layers.check_series(labels, settings)?;
        match layers.endpoints.get(labels) {
            Some(there) if there.shown != *shown || there.recorder.settings() != settings => {
                Err(Error::new(format!(
                    "two layers with the labels {labels} have different settings: give them the same preset, buckets, optional metrics, error types, request labels and clock (clones of each other, if they are made of closures), or different labels"
                )))
            }
            there => Ok(there.cloned()),
        }
    }

    /// Checks that the claim shows no reserved name.
    fn check_reserved(&self, claim: &Claim) -> Result<(), Error> {
        let mut names = claim.kind.names(&claim.name);
        match names.find(|name| self.reserved_names.contains(name)) {
            None => Ok(()),
            Some(shown) => Err(Error::new(format!(
                "automatic metric `{}` clashes with a metric of the prometheus-client registry that shows it (`MetricsRegistry::register_in`): both would show `{shown}`; give the layer or its registry another prefix",
                claim.name
            ))),
        }
    }

    /// Adds the endpoint of a layer, after [`endpoint`](Self::endpoint) has checked it.
    pub(super) fn add_endpoint(&mut self, endpoint: &Arc<Endpoint>) {
        let Self { table, names, .. } = self;
        let layers = Arc::make_mut(&mut table.layers);
        let layers = layers.entry(endpoint.prefix.clone()).or_default();
        for claim in claims(&endpoint.prefix, &endpoint.shown) {
            names.add(&claim);
        }
        let labels = &endpoint.labels;
        let same_names = layers.by_label_names.entry(endpoint.label_names());
        same_names.or_default().insert(labels.clone());
        layers.endpoints.insert(labels.clone(), endpoint.clone());
    }

    /// Adds a source with its claims.
    ///
    /// # Errors
    ///
    /// Returns an error if it clashes with something that is registered.
    pub(super) fn add_source(
        &mut self,
        labels: &Labels,
        source: &FamilySource,
    ) -> Result<(), Error> {
        let Self { table, names, .. } = self;
        let Some(family) = &source.metric else {
            names.add_all(source.claims())?;
            let collectors = Arc::make_mut(&mut table.collectors);
            let collectors = collectors.entry(labels.clone()).or_default();
            collectors.push(source.clone());
            return Ok(());
        };
        let name = &family.name;
        if let Some(metrics) = table.metrics.get(name) {
            let known = metrics.values().find_map(|metric| metric.metric.as_ref());
            known.map_or(Ok(()), |known| known.check_joining(family))?;
            if metrics.contains_key(labels) {
                return Err(Error::new(format!(
                    "metric `{name}` is already registered with the labels {labels}: keep the handle of the first one and use it"
                )));
            }
        }
        names.add_all(source.claims())?;
        let metrics = Arc::make_mut(&mut table.metrics);
        let metrics = Arc::make_mut(metrics.entry(name.clone()).or_default());
        metrics.insert(labels.clone(), source.clone());
        Ok(())
    }

    /// Adds claims of collectors, except those that clash.
    pub(super) fn add_late_claims(&mut self, late: Vec<(&FamilySource, Claim)>) {
        let Self { table, names, .. } = self;
        let collectors = Arc::make_mut(&mut table.collectors);
        for (source, claim) in late {
            let mut collectors = collectors.values_mut().flatten();
            // The source may have been removed.
            if let Some(source) = collectors.find(|collector| collector.is(source))
                && !source.has(&claim.name)
                && names.check(&claim).is_ok()
            {
                names.add(&claim);
                source.claim(Arc::new(claim));
            }
        }
    }

    /// Removes the endpoint of a layer. Also removes what was registered with its labels, unless another layer or the
    /// registry has the same labels.
    pub(super) fn remove_endpoint(&mut self, endpoint: &Arc<Endpoint>) -> Removed {
        let mut removed = Removed::default();
        if !self.table.has(endpoint) {
            return removed;
        }
        let labels = &endpoint.labels;
        self.take_endpoint(&endpoint.prefix, labels, &mut removed);
        let mut others = self.table.layers.values();
        let is_last = !others.any(|layers| layers.endpoints.contains_key(labels));
        if is_last && *labels != self.table.labels {
            self.take_included(labels, &mut removed);
        }
        removed
    }

    /// Removes the metric that was registered under this name with the endpoint's labels, or with the registry's if there is
    /// no endpoint.
    pub(super) fn remove_metric(
        &mut self,
        given: &str,
        endpoint: Option<&Arc<Endpoint>>,
    ) -> Removed {
        let mut removed = Removed::default();
        let Ok(labels) = self.table.labels_of(endpoint) else {
            return removed;
        };
        let metrics = self.table.metrics.values();
        let mut families = metrics.filter_map(|family| family.get(&labels)?.metric.as_ref());
        let found = families.find(|family| family.is_registered_as(given));
        if let Some(family) = found.cloned() {
            self.take_metric(&family.name, &labels, &mut removed);
        }
        removed
    }

    /// Removes everything with exactly these labels.
    pub(super) fn remove(&mut self, labels: &Labels) -> Removed {
        let mut removed = Removed::default();
        let layers = self.table.layers.iter();
        let prefixes = layers.filter(|(_, layers)| layers.endpoints.contains_key(labels));
        let prefixes: Vec<String> = prefixes.map(|(prefix, _)| prefix.clone()).collect();
        for prefix in prefixes {
            self.take_endpoint(&prefix, labels, &mut removed);
        }
        self.take_included(labels, &mut removed);
        removed
    }

    fn take_endpoint(&mut self, prefix: &str, labels: &Labels, removed: &mut Removed) {
        let Self { table, names, .. } = self;
        let all = Arc::make_mut(&mut table.layers);
        let Some(layers) = all.get_mut(prefix) else {
            return;
        };
        let Some(endpoint) = layers.endpoints.remove(labels) else {
            return;
        };
        for claim in claims(prefix, &endpoint.shown) {
            names.remove(&claim);
        }
        let label_names = endpoint.label_names();
        if let Some(same_names) = layers.by_label_names.get_mut(&label_names) {
            same_names.remove(labels);
            if same_names.is_empty() {
                layers.by_label_names.remove(&label_names);
            }
        }
        if layers.endpoints.is_empty() {
            all.remove(prefix);
        }
        removed.endpoints.push(endpoint);
    }

    fn take_included(&mut self, labels: &Labels, removed: &mut Removed) {
        let metrics = self.table.metrics.iter();
        let having = metrics.filter(|(_, family)| family.contains_key(labels));
        let having: Vec<String> = having.map(|(name, _)| name.clone()).collect();
        for name in having {
            self.take_metric(&name, labels, removed);
        }
        if self.table.collectors.contains_key(labels) {
            let collectors = Arc::make_mut(&mut self.table.collectors).remove(labels);
            for collector in collectors.into_iter().flatten() {
                self.take_source(collector, removed);
            }
        }
    }

    /// Removes the metric with these labels from a family.
    fn take_metric(&mut self, name: &str, labels: &Labels, removed: &mut Removed) {
        let metrics = Arc::make_mut(&mut self.table.metrics);
        let Some(family) = metrics.get_mut(name).map(Arc::make_mut) else {
            return;
        };
        let metric = family.remove(labels);
        if family.is_empty() {
            metrics.remove(name);
        }
        if let Some(metric) = metric {
            self.take_source(metric, removed);
        }
    }

    /// Removes the claims of a source that is no longer in the table.
    fn take_source(&mut self, source: FamilySource, removed: &mut Removed) {
        source.claims().for_each(|claim| self.names.remove(claim));
        removed.sources.push(source);
    }
}

// === impl Removed ===

impl Removed {
    /// Returns whether anything was removed.
    pub(super) fn any(&self) -> bool {
        !self.endpoints.is_empty() || !self.sources.is_empty()
    }
}

/// Returns claims to the automatic metrics that a layer with this prefix shows.
fn claims(prefix: &str, shown: &ShownMetrics) -> impl Iterator<Item = Claim> {
    let shown = AUTOMATIC_METRICS
        .iter()
        .filter(|automatic| shown[automatic.metric as usize]);
    shown.map(move |automatic| {
        let owner = Owner::Automatic(automatic.metric);
        Claim::new(&automatic.full_name(prefix), automatic.kind, None, owner)
    })
}
