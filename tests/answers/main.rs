//! Every row of the exporter's table of responses, through the service and over loopback connections.

mod accept;
mod clients;
mod continuing;
mod refusals;
