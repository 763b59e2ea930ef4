//! Access to the page: credentials and TLS.

mod credentials;
mod tls;

pub(crate) use self::credentials::Credentials;
pub(crate) use self::tls::{Tls, acceptor};
