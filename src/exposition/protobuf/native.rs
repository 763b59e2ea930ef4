//! Native histograms: exponential buckets, of which only those with observations are written.

use super::wire::Fields;
use crate::buckets::{SCHEMA, ZERO_THRESHOLD};

/// Up to this many empty buckets are written in place of a new span, which takes more bytes.
/// Prometheus' client for Go has the same limit.
const SMALL_GAP: i32 = 2;

/// Adds the native fields of a `Histogram`: the count of the bucket around 0, and index and count of others, sorted by index.
///
/// Bucket `i` counts observations above 2^((i-1)·2^-[`SCHEMA`]) and at or below 2^(i·2^-[`SCHEMA`]). There are
/// no buckets for negative numbers: durations and sizes are never negative.
pub(super) fn write(histogram: &mut Fields, zero: u64, buckets: &[(i32, u64)]) {
    let (mut spans, deltas) = spans(buckets);
    if spans.is_empty() {
        // Without a span, readers would take it for a classic histogram without buckets.
        spans.push((0, 0));
    }
    histogram.sint(5, SCHEMA.into());
    histogram.double(6, ZERO_THRESHOLD);
    histogram.uint(7, zero);
    histogram.messages(12, spans, |(offset, length), span| {
        span.sint(1, offset.into());
        span.uint(2, length.into());
    });
    for delta in deltas {
        histogram.sint(13, delta);
    }
}

/// Returns the spans of buckets that are not empty, and the difference of each count to the previous
/// one. Small gaps are filled with empty buckets.
///
/// A span is its distance from the end of the previous span, or from bucket 0, and its length.
fn spans(buckets: &[(i32, u64)]) -> (Vec<(i32, u32)>, Vec<i64>) {
    let mut spans: Vec<(i32, u32)> = Vec::new();
    let mut deltas = Vec::new();
    let mut before = 0;
    let mut next = 0;
    for &(index, count) in buckets.iter().filter(|(_, count)| *count > 0) {
        let gap = index - next;
        match spans.last_mut() {
            Some((_, length)) if gap <= SMALL_GAP => {
                for _ in 0..gap {
                    deltas.push(0 - std::mem::take(&mut before));
                }
                *length += gap.unsigned_abs() + 1;
            }
            _ => spans.push((gap, 1)),
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
            for (offset, length) in &spans {
                index += offset;
                for _ in 0..*length {
                    count += deltas.next().expect("one for each bucket");
                    read.push((index, count.cast_unsigned()));
                    index += 1;
                }
            }
            assert_eq!(deltas.next(), None);
            let mut gaps = spans.iter().skip(1).map(|(offset, _)| *offset);
            assert!(gaps.all(|gap| gap > SMALL_GAP), "{spans:?}");
            read.retain(|(_, count)| *count > 0);
            assert_eq!(read, buckets);
        }
    }

    #[test]
    fn a_native_histogram_byte_for_byte() {
        let mut fields = Fields::default();
        write(&mut fields, 3, &[(1, 2), (2, 1), (6, 300)]);
        let expected: &[&[u8]] = &[
            &[0x28, 0x06],                         // 5: schema 3, zigzag
            &[0x31, 0, 0, 0, 0, 0, 0, 0xb0, 0x3e], // 6: 2^-20, whose exponent is 0x3ff - 20
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
        let mut fields = Fields::default();
        write(&mut fields, 0, &[]);
        let expected: &[&[u8]] = &[
            &[0x28, 0x06],
            &[0x31, 0, 0, 0, 0, 0, 0, 0xb0, 0x3e],
            &[0x38, 0x00],
            &[0x62, 0x04, 0x08, 0x00, 0x10, 0x00],
        ];
        assert_eq!(fields.into_bytes(), expected.concat());
    }
}
