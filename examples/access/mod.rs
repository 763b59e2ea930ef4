//! Who may read the page.

mod credentials;
mod tls;

pub(crate) use self::credentials::Credentials;
pub(crate) use self::tls::{Tls, acceptor};
