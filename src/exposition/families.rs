//! Collects the families of a page.

use super::automatic::{self, AutomaticFamily};
use crate::Error;
use crate::escaping::Escaping;
use crate::registry::{ErrorHandler, IncludedFamily, Kind, MetricsRegistry, Selection};
use std::collections::BTreeMap;

/// The families of a page, by name.
pub(super) type Families<'a> = BTreeMap<String, PageFamily<'a>>;

/// A family of a page.
pub(super) enum PageFamily<'a> {
    Automatic(AutomaticFamily<'a>),
    Included(IncludedFamily<'a>),
}

/// The name of the family that describes the target.
const TARGET: &str = "target";

impl MetricsRegistry {
    /// Calls `write` with the families that are selected.
    ///
    /// # Errors
    ///
    /// Returns the error that `on_error` returns for a family that can't be shown, or an error if this thread is already
    /// making a page of this registry.
    pub(super) fn with_families<R>(
        &self,
        selection: &Selection,
        escaping: Escaping,
        on_error: &ErrorHandler<'_>,
        write: impl FnOnce(&Families<'_>) -> R,
    ) -> Result<R, Error> {
        let _guard = self.begin_page()?;
        let table = self.table();
        let sources = table.encode_sources(selection, on_error)?;
        let mut automatic = automatic::families(&table, escaping);
        automatic.retain(|(name, (metric, _))| selection.contains(name, metric.kind));
        let names = automatic
            .iter()
            .map(|(name, (metric, _))| (&**name, *metric));
        let included = self.included_families(&sources, names, selection, on_error)?;
        let included = included
            .into_iter()
            .map(|(name, family)| (name.into_owned(), PageFamily::Included(family)));
        let automatic = automatic
            .into_iter()
            .map(|(name, family)| (name, PageFamily::Automatic(family)));
        Ok(write(&automatic.chain(included).collect()))
    }
}

/// Returns the families in the order of the page. The info about the target comes first (OpenMetrics 1.0, "Supporting
/// target metadata").
pub(super) fn in_order<'f, 'a>(
    families: &'f Families<'a>,
) -> impl Iterator<Item = (&'f String, &'f PageFamily<'a>)> {
    let is_target = |(name, family): &(&String, &PageFamily<'_>)| {
        let is_info = matches!(family, PageFamily::Included(family) if family.kind == Kind::Info);
        *name == TARGET && is_info
    };
    let target = families.get_key_value(TARGET).filter(is_target);
    let others = families.iter().filter(move |family| !is_target(family));
    target.into_iter().chain(others)
}
