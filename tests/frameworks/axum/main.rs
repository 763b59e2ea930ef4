//! What people put into a router of axum, and what the layer then counts.
