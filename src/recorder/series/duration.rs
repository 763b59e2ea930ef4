use super::super::block::Blocks;
use super::super::exemplars::Exemplars;
use super::super::histogram::{Bounds, Detail, Distribution, Histogram};
use super::super::settings::Settings;
use super::super::thread::Writer;
use super::Series;
use super::timed::{Timed, observe};

/// What is known at the end too, but may leave labels out: `request_duration_seconds`,
/// `stream_duration_seconds`, and the sizes of bodies.
#[derive(Debug)]
pub(crate) struct DurationSeries {
    blocks: Blocks,
    exemplars: Exemplars,
}

// The cells begin with this histogram; that of streams follows, then those of
// the sizes of requests and of responses.
const DURATION: Histogram = Histogram::at(0, 0);

// === impl DurationSeries ===

impl Series for DurationSeries {
    fn new(settings: &Settings) -> Self {
        let streams = settings.streams.as_ref().map(|streams| &streams.buckets);
        let sizes = settings.sizes.as_ref();
        let all = [Some(&settings.buckets), streams, sizes, sizes];
        let sum = |of: fn(&Bounds) -> usize| all.iter().flatten().map(|bounds| of(bounds)).sum();
        Self {
            blocks: Blocks::new(sum(Bounds::cells)),
            exemplars: Exemplars::new(settings.exemplars.is_some(), sum(Bounds::buckets)),
        }
    }

    fn prefetch(&self) {
        self.blocks.prefetch();
    }

    fn reset(&self) {
        let Self { blocks, exemplars } = self;
        blocks.reset();
        exemplars.reset();
    }
}

impl DurationSeries {
    #[inline]
    pub(crate) fn observe(&self, writer: &Writer, settings: &Settings, timed: Timed<'_>) {
        let Self { blocks, exemplars } = self;
        observe(
            DURATION,
            (blocks, exemplars),
            writer,
            &settings.buckets,
            timed,
        );
    }

    /// Only where [`Settings::streams`] are told apart.
    pub(crate) fn observe_stream(&self, writer: &Writer, settings: &Settings, timed: Timed<'_>) {
        if let Some(streams) = &settings.streams {
            let Self { blocks, exemplars } = self;
            let histogram = stream_duration(settings);
            observe(
                histogram,
                (blocks, exemplars),
                writer,
                &streams.buckets,
                timed,
            );
        }
    }

    pub(crate) fn duration(
        &self,
        settings: &Settings,
        detail: Detail,
        numbers: &mut Vec<u64>,
    ) -> Distribution {
        DURATION.read(
            &self.blocks,
            &settings.buckets,
            &self.exemplars,
            detail,
            numbers,
        )
    }

    /// Only where [`Settings::streams`] are told apart.
    pub(crate) fn stream_duration(
        &self,
        settings: &Settings,
        detail: Detail,
        numbers: &mut Vec<u64>,
    ) -> Distribution {
        let streams = settings.streams.as_ref();
        let buckets = streams.map_or(&settings.buckets, |streams| &streams.buckets);
        stream_duration(settings).read(&self.blocks, buckets, &self.exemplars, detail, numbers)
    }

    /// Only where [`Settings::sizes`] are kept count of.
    #[inline]
    pub(crate) fn observe_sizes(
        &self,
        writer: &Writer,
        settings: &Settings,
        (request, response): (u64, u64),
    ) {
        if let Some(bounds) = &settings.sizes {
            let cells = self.blocks.cells(writer);
            let [of_requests, of_responses] = sizes(settings, bounds);
            of_requests.observe(&cells, bounds, request);
            of_responses.observe(&cells, bounds, response);
        }
    }

    /// Only where [`Settings::sizes`] are kept count of.
    pub(crate) fn request_sizes(
        &self,
        settings: &Settings,
        numbers: &mut Vec<u64>,
    ) -> Distribution {
        let bounds = settings.sizes.as_ref().unwrap_or(&settings.buckets);
        sizes(settings, bounds)[0].read(
            &self.blocks,
            bounds,
            &self.exemplars,
            Detail::Classic,
            numbers,
        )
    }

    /// Only where [`Settings::sizes`] are kept count of.
    pub(crate) fn response_sizes(
        &self,
        settings: &Settings,
        numbers: &mut Vec<u64>,
    ) -> Distribution {
        let bounds = settings.sizes.as_ref().unwrap_or(&settings.buckets);
        sizes(settings, bounds)[1].read(
            &self.blocks,
            bounds,
            &self.exemplars,
            Detail::Classic,
            numbers,
        )
    }
}

fn stream_duration(settings: &Settings) -> Histogram {
    Histogram::at(settings.buckets.cells(), settings.buckets.buckets())
}

/// Those of requests and of responses.
fn sizes(settings: &Settings, bounds: &Bounds) -> [Histogram; 2] {
    let streams = settings.streams.as_ref().map(|streams| &streams.buckets);
    let before = [Some(&settings.buckets), streams];
    let sum = |of: fn(&Bounds) -> usize| before.iter().flatten().map(|bounds| of(bounds)).sum();
    let (first, kept): (usize, usize) = (sum(Bounds::cells), sum(Bounds::buckets));
    [
        Histogram::at(first, kept),
        Histogram::at(first + bounds.cells(), kept + bounds.buckets()),
    ]
}
