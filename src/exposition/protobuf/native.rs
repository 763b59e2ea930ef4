//! Native histograms: exponential buckets, of which only those with observations are written.

use super::wire::Fields;

/// The native part of a histogram.
///
/// Bucket `i` counts observations above 2^((i-1)·2^-schema) and at or below 2^(i·2^-schema). There are
/// no buckets for negative numbers: durations and sizes are never negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct NativeBuckets<'a> {
    /// From -4 to 8: each power of two is divided into 2^schema buckets.
    pub(super) schema: i8,
    /// The width of the bucket around 0.
    pub(super) zero_threshold: f64,
    pub(super) zero_count: u64,
    /// Indexes and counts, sorted by index. Empty buckets may be left out.
    pub(super) buckets: &'a [(i32, u64)],
}

/// Consecutive buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BucketSpan {
    /// The distance from the end of the previous span, or from bucket 0.
    offset: i32,
    length: u32,
}

/// Up to this many empty buckets are written in place of a new span, which takes more bytes.
/// Prometheus' client for Go has the same limit.
const SMALL_GAP: i32 = 2;

// === impl NativeBuckets ===

impl NativeBuckets<'_> {
    /// Adds the native fields of a `Histogram`.
    pub(super) fn write(&self, histogram: &mut Fields) {
        let Self {
            schema,
            zero_threshold,
            zero_count,
            buckets,
        } = *self;
        let (mut spans, deltas) = spans(buckets);
        if spans.is_empty() {
            // Without a span, readers would take it for a classic histogram without buckets.
            spans.push(BucketSpan {
                offset: 0,
                length: 0,
            });
        }
        histogram.sint(5, schema.into());
        histogram.double(6, zero_threshold);
        histogram.uint(7, zero_count);
        for BucketSpan { offset, length } in spans {
            histogram.message(12, |span| {
                span.sint(1, offset.into());
                span.uint(2, length.into());
            });
        }
        for delta in deltas {
            histogram.sint(13, delta);
        }
    }
}

/// Returns the spans of buckets that are not empty, and the difference of each count to the previous
/// one. Small gaps are filled with empty buckets.
fn spans(buckets: &[(i32, u64)]) -> (Vec<BucketSpan>, Vec<i64>) {
    let mut spans: Vec<BucketSpan> = Vec::new();
    let mut deltas = Vec::new();
    let mut before = 0;
    let mut next = 0;
    for &(index, count) in buckets.iter().filter(|(_, count)| *count > 0) {
        let gap = index - next;
        match spans.last_mut() {
            Some(span) if gap <= SMALL_GAP => {
                for _ in 0..gap {
                    deltas.push(0 - std::mem::take(&mut before));
                }
                span.length += gap.unsigned_abs() + 1;
            }
            _ => spans.push(BucketSpan {
                offset: gap,
                length: 1,
            }),
        }
        // Counts wrap at the range of int64, as in other clients.
        let count = count.cast_signed();
        deltas.push(count - std::mem::replace(&mut before, count));
        next = index + 1;
    }
    (spans, deltas)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Buckets; spans as offset and length; differences.
    type Case<'a> = (&'a [(i32, u64)], &'a [(i32, u32)], &'a [i64]);

    #[test]
    fn buckets_are_spans_and_differences() {
        let cases: &[Case<'_>] = &[
            (&[], &[], &[]),
            (&[(0, 1)], &[(0, 1)], &[1]),
            (&[(-5, 3)], &[(-5, 1)], &[3]),
            (&[(7, 3)], &[(7, 1)], &[3]),
            (&[(1, 2), (2, 5), (3, 4)], &[(1, 3)], &[2, 3, -1]),
            // One or two empty buckets are filled in, three are not.
            (&[(1, 2), (3, 5)], &[(1, 3)], &[2, -2, 5]),
            (&[(1, 2), (4, 5)], &[(1, 4)], &[2, -2, 0, 5]),
            (&[(1, 2), (5, 5)], &[(1, 1), (3, 1)], &[2, 3]),
            (
                &[(-4, 1), (-2, 1), (3, 9), (4, 9)],
                &[(-4, 3), (4, 2)],
                &[1, -1, 1, 8, 0],
            ),
            // Empty buckets make no difference.
            (
                &[(-9, 0), (1, 2), (2, 0), (5, 5), (6, 0)],
                &[(1, 1), (3, 1)],
                &[2, 3],
            ),
        ];
        for (buckets, expected, expected_deltas) in cases {
            let (spans, deltas) = spans(buckets);
            let spans: Vec<_> = spans
                .iter()
                .map(|span| (span.offset, span.length))
                .collect();
            assert_eq!(
                (&*spans, &*deltas),
                (*expected, *expected_deltas),
                "{buckets:?}"
            );
        }
    }

    /// Decodes spans and differences as the format describes, for gaps of all sizes.
    #[test]
    fn spans_and_differences_give_the_buckets_back() {
        for seed in 0..1_000_i32 {
            let mut index = -100 - seed % 7;
            let buckets: Vec<(i32, u64)> = (0..20)
                .map(|number| {
                    let random = (seed * 31 + number) * 0x51ed % 1_009;
                    index += 1 + random % 6;
                    (index, 1 + u64::from(random.unsigned_abs()) * 17 % 101)
                })
                .collect();
            let (spans, deltas) = spans(&buckets);
            let mut deltas = deltas.into_iter();
            let (mut index, mut count) = (0, 0);
            let mut read = Vec::new();
            for span in &spans {
                index += span.offset;
                for _ in 0..span.length {
                    count += deltas.next().expect("one for each bucket");
                    read.push((index, count.cast_unsigned()));
                    index += 1;
                }
            }
            assert_eq!(deltas.next(), None);
            let gaps = spans.iter().skip(1).map(|span| span.offset);
            assert!(gaps.clone().all(|gap| gap > SMALL_GAP), "{spans:?}");
            read.retain(|(_, count)| *count > 0);
            assert_eq!(read, buckets);
        }
    }

    #[test]
    fn a_native_histogram_byte_for_byte() {
        let native = NativeBuckets {
            schema: -1,
            zero_threshold: 0.5,
            zero_count: 3,
            buckets: &[(1, 2), (2, 1), (6, 300)],
        };
        let mut fields = Fields::default();
        native.write(&mut fields);
        let expected: &[&[u8]] = &[
            &[0x28, 0x01],                         // 5: schema -1, zigzag
            &[0x31, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f], // 6: 0.5
            &[0x38, 0x03],                         // 7: 3
            &[0x62, 0x04, 0x08, 0x02, 0x10, 0x02], // 12: from 1, two
            &[0x62, 0x04, 0x08, 0x06, 0x10, 0x01], // 12: after three, one
            &[0x68, 0x04, 0x68, 0x01],             // 13: +2, -1
            &[0x68, 0xd6, 0x04],                   // 13: +299, which is 598 in zigzag
        ];
        assert_eq!(fields.into_bytes(), expected.concat());
    }

    #[test]
    fn without_buckets_there_is_one_span_of_length_0() {
        let native = NativeBuckets {
            schema: 8,
            zero_threshold: 0.0,
            zero_count: 0,
            buckets: &[],
        };
        let mut fields = Fields::default();
        native.write(&mut fields);
        let expected: &[&[u8]] = &[
            &[0x28, 0x10],
            &[0x31, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x38, 0x00],
            &[0x62, 0x04, 0x08, 0x00, 0x10, 0x00],
        ];
        assert_eq!(fields.into_bytes(), expected.concat());
    }
}
