/// Constant labels as they are given to a layer: pairs of a name and a value, in any collection, or `()` for none.
///
/// An empty array would need its type written out, for it does not say what it is empty of.
///
/// ```
/// use tower_openmetrics::MetricsLayer;
///
/// # fn main() -> Result<(), tower_openmetrics::Error> {
/// let plain = MetricsLayer::builder().build(())?;
/// let labelled = MetricsLayer::builder().build([("endpoint", "cart")])?;
/// # Ok(())
/// # }
/// ```
///
/// `M` tells the two apart. It is inferred.
pub trait IntoLabels<M> {
    /// Names and values.
    fn into_labels(self) -> impl Iterator<Item = (String, String)>;
}

impl IntoLabels<()> for () {
    fn into_labels(self) -> impl Iterator<Item = (String, String)> {
        std::iter::empty()
    }
}

impl<L, K, V> IntoLabels<(K, V)> for L
where
    L: IntoIterator<Item = (K, V)>,
    K: Into<String>,
    V: Into<String>,
{
    fn into_labels(self) -> impl Iterator<Item = (String, String)> {
        self.into_iter()
            .map(|(name, value)| (name.into(), value.into()))
    }
}
