//! OpenTelemetry's names for what an HTTP service does.

mod client_errors;
mod labels;
mod naming;

pub use self::client_errors::ClientErrorsToo;

pub(crate) use self::labels::labels;
pub(crate) use self::naming::Naming;

/// The bounds of buckets, in seconds, that the conventions advise for durations.
pub const DURATION_BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The bounds of buckets, in bytes, for the sizes of bodies: 0, which tells those that have none, and
/// from 64 B to 16 MiB in steps of four.
///
/// The conventions advise none. What SDKs fall back to, from 0 to 10,000, puts all that is not small into one bucket.
pub const BODY_SIZE_BUCKETS: [u64; 11] = [
    0, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
];
