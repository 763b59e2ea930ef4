//! Every row of the table of answers: through the service, and over loopback connections.

mod accept;
mod clients;
mod continuing;
mod refusals;
