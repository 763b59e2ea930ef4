//! The status server.
