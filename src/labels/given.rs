/// Constant labels as they are given to a layer or a registry: pairs of a name and a value, in any collection, or `()` for none.
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
/// `M` tells the two apart. It is inferred. The trait is sealed: nothing else implements it.
pub trait ConstantLabels<M>: sealed::Sealed<M> {
    #[doc(hidden)]
    fn into_labels(self) -> impl Iterator<Item = (String, String)>;
}

mod sealed {
    #[allow(unnameable_types, reason = "so that nothing else implements it")]
    pub trait Sealed<M> {}
}

impl sealed::Sealed<()> for () {}

impl ConstantLabels<()> for () {
    fn into_labels(self) -> impl Iterator<Item = (String, String)> {
        std::iter::empty()
    }
}

impl<L, K, V> sealed::Sealed<(K, V)> for L
where
    L: IntoIterator<Item = (K, V)>,
    K: Into<String>,
    V: Into<String>,
{
}

impl<L, K, V> ConstantLabels<(K, V)> for L
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
