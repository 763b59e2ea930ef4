//! What has been registered, and what may be.

use super::automatic::{AUTOMATIC, Automatic, UPTIME};
use super::custom::{CustomFamily, Late, Member, Source};
use super::family::Kind;
use super::names::{Claim, Names, Origin};
use super::shape::Shape;
use super::table::{Endpoint, Table};
use crate::Error;
use crate::labels::Labels;
use crate::settings::Settings;
use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// All that is on the page, and the names that are taken by it.
///
/// Nothing here calls an encoder, and nothing that a user gave is dropped here: it is
/// used under the registry's lock.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) table: Table,
    names: Names,
    /// What registries of prometheus-client's show that show this one too, as far as its metrics could be called so.
    shown_beside: BTreeSet<String>,
}

/// What has left the page, to be dropped when the lock is.
#[must_use = "drop it outside the lock"]
#[derive(Default)]
pub(super) struct Removed {
    pub(super) any: bool,
    endpoints: Vec<Arc<Endpoint>>,
    members: Vec<Member>,
    sources: Vec<Source>,
}

// === impl Registered ===

impl Registered {
    /// An empty page, whose registry has this prefix, and these labels on all its metrics.
    pub(super) fn new(prefix: &str, labels: Labels) -> Self {
        let uptime = format!("{prefix}{UPTIME}");
        let table = Table::new(&uptime, labels);
        let mut names = Names::default();
        names.add(&Claim::new(uptime, Kind::Gauge, Origin::Registry));
        Self {
            table,
            names,
            shown_beside: BTreeSet::new(),
        }
    }

    /// Keeps these names from layers that are still to come.
    pub(super) fn show_beside(&mut self, names: impl IntoIterator<Item = String>) {
        self.shown_beside.extend(names);
    }

    /// The entry of an earlier layer with the same prefix and labels.
    ///
    /// # Errors
    ///
    /// If a layer with these settings may not be there.
    pub(super) fn endpoint(
        &self,
        prefix: &str,
        labels: &Labels,
        settings: &Settings,
    ) -> Result<Option<Arc<Endpoint>>, Error> {
        let layers = self.table.layers.get(prefix);
        let is_new = |place: usize| layers.is_none_or(|layers| layers.shown[place] == 0);
        for (_, metric) in on(settings).filter(|(place, _)| is_new(*place)) {
            let claim = claim(metric, prefix);
            self.names.check(&claim)?;
            self.check_beside(&claim)?;
        }
        let Some(layers) = layers else {
            return Ok(None);
        };
        layers.check_series(labels, settings)?;
        match layers.endpoints.get(labels) {
            Some(there) if *there.recorder.settings() != *settings => Err(Error::new(format!(
                "two layers with the labels {labels} have different settings: give them the same buckets, opt-ins, error types, labels of requests and clock (where these are made of closures, by clones), or other labels"
            ))),
            there => Ok(there.cloned()),
        }
    }

    /// That registries which show this one don't show such a name already.
    fn check_beside(&self, claim: &Claim) -> Result<(), Error> {
        let mut names = claim.kind.names(&claim.name);
        match names.find(|name| self.shown_beside.contains(name)) {
            None => Ok(()),
            Some(shown) => Err(Error::new(format!(
                "automatic metric `{}` clashes with a metric of the registry that it is shown in (`MetricsRegistry::register_in`): both would show `{shown}`, give the layer or its registry another prefix",
                claim.name
            ))),
        }
    }

    /// Adds the entry of a layer, which has been checked.
    pub(super) fn add_endpoint(&mut self, endpoint: &Arc<Endpoint>) {
        let Self { table, names, .. } = self;
        let settings = endpoint.recorder.settings();
        let layers = Arc::make_mut(&mut table.layers);
        let layers = layers.entry(endpoint.prefix.clone()).or_default();
        for (place, metric) in on(settings) {
            if layers.shown[place] == 0 {
                names.add(&claim(metric, &endpoint.prefix));
            }
            layers.shown[place] += 1;
        }
        let shape = Shape::of(&endpoint.labels, &settings.schema);
        *layers.shapes.entry(shape).or_default() += 1;
        let labels = endpoint.labels.clone();
        layers.endpoints.insert(labels, endpoint.clone());
    }

    /// Adds a member of a custom family, alone in `joining`.
    ///
    /// # Errors
    ///
    /// If it does not fit in.
    pub(super) fn add_custom(&mut self, name: &str, joining: &CustomFamily) -> Result<(), Error> {
        let Self { table, names, .. } = self;
        if let Some(family) = table.custom.get(name) {
            family.check_joining(name, joining)?;
        }
        for claim in joining.claims() {
            names.check(claim)?;
        }
        for claim in joining.claims() {
            names.add(claim);
        }
        match Arc::make_mut(&mut table.custom).entry(name.to_owned()) {
            Entry::Vacant(place) => drop(place.insert(Arc::new(joining.clone()))),
            Entry::Occupied(mut family) => Arc::make_mut(family.get_mut()).join(joining),
        }
        Ok(())
    }

    /// Adds a source, with what it shows now.
    ///
    /// # Errors
    ///
    /// If that can't be shown with the rest.
    pub(super) fn add_source(&mut self, labels: &Labels, source: &Source) -> Result<(), Error> {
        let Self { table, names, .. } = self;
        for claim in source.claims() {
            names.check(claim)?;
        }
        for claim in source.claims() {
            names.add(claim);
        }
        let sources = Arc::make_mut(&mut table.sources);
        sources
            .entry(labels.clone())
            .or_default()
            .push(source.clone());
        Ok(())
    }

    /// Adds what sources have come to show, as far as it fits in.
    pub(super) fn learn(&mut self, late: &[Late]) {
        let Self { table, names, .. } = self;
        let all = Arc::make_mut(&mut table.sources);
        for Late { source, claims } in late {
            let mut sources = all.values_mut().flatten();
            // It may have been removed.
            let Some(source) = sources.find(|there| there.is(source)) else {
                continue;
            };
            for claim in claims {
                if !source.has(&claim.name) && names.check(claim).is_ok() {
                    names.add(claim);
                    source.claim(claim.clone());
                }
            }
        }
    }

    /// Takes away the layer's entry; and what was registered with its labels, if there are any and
    /// no other layer has the same.
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

    /// Takes away the custom metric of this name that has the endpoint's labels; without one, the registry's.
    pub(super) fn remove_custom(
        &mut self,
        given: &str,
        endpoint: Option<&Arc<Endpoint>>,
    ) -> Removed {
        let Self { table, names, .. } = self;
        let mut removed = Removed::default();
        let Ok(labels) = table.labels_of(endpoint) else {
            return removed;
        };
        let mut having = table.custom.iter().filter(|(_, of)| of.has(&labels));
        let Some((name, _)) = having.find(|(name, of)| of.is_registered_as(name, given)) else {
            return removed;
        };
        let name = name.clone();
        if let Entry::Occupied(mut family) = Arc::make_mut(&mut table.custom).entry(name) {
            let member = Arc::make_mut(family.get_mut()).remove(&labels);
            if family.get().is_empty() {
                family.remove();
            }
            removed.members.extend(member);
        }
        for member in &removed.members {
            names.remove(member.claim());
        }
        removed.any = !removed.members.is_empty();
        removed
    }

    /// Takes away all that has exactly these labels.
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
        let settings = endpoint.recorder.settings();
        for (place, metric) in on(settings) {
            layers.shown[place] -= 1;
            if layers.shown[place] == 0 {
                names.remove(&claim(metric, prefix));
            }
        }
        if let Entry::Occupied(mut shape) = layers.shapes.entry(Shape::of(labels, &settings.schema))
        {
            *shape.get_mut() -= 1;
            if *shape.get() == 0 {
                shape.remove();
            }
        }
        if layers.endpoints.is_empty() {
            all.remove(prefix);
        }
        removed.any = true;
        removed.endpoints.push(endpoint);
    }

    fn take_included(&mut self, labels: &Labels, removed: &mut Removed) {
        let Self { table, names, .. } = self;
        let having = table.custom.iter().filter(|(_, family)| family.has(labels));
        let having: Vec<String> = having.map(|(name, _)| name.clone()).collect();
        let custom = Arc::make_mut(&mut table.custom);
        for name in having {
            if let Entry::Occupied(mut family) = custom.entry(name) {
                let member = Arc::make_mut(family.get_mut()).remove(labels);
                if family.get().is_empty() {
                    family.remove();
                }
                removed.members.extend(member);
            }
        }
        if table.sources.contains_key(labels) {
            let sources = Arc::make_mut(&mut table.sources).remove(labels);
            removed.sources.extend(sources.into_iter().flatten());
        }
        let claims = removed.members.iter().map(Member::claim);
        let claims = claims.chain(removed.sources.iter().flat_map(Source::claims));
        for claim in claims {
            names.remove(claim);
        }
        removed.any |= !removed.members.is_empty() || !removed.sources.is_empty();
    }
}

/// The metrics that a layer with these settings shows, with their places among all.
fn on(settings: &Settings) -> impl Iterator<Item = (usize, &'static Automatic)> {
    let all = AUTOMATIC.iter().enumerate();
    all.filter(|(_, metric)| metric.is_on(settings))
}

fn claim(metric: &Automatic, prefix: &str) -> Claim {
    let origin = Origin::Automatic(metric.metric);
    Claim::new(metric.full_name(prefix), metric.kind, origin)
}
