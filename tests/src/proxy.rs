//! A TCP proxy before one broker's port, to fail as a network does: cut, hang, or lose responses.

mod frames;

use std::net::{Ipv4Addr, TcpListener};

/// The Produce request of the Kafka protocol.
pub const PRODUCE: i16 = 0;

/// A proxy at work, passing everything. Dropping it closes everything.
pub struct Proxy {
    port: u16,
    _upstream: u16,
    _listener: TcpListener,
}

impl Proxy {
    /// Listens at `port` of 127.0.0.1 and connects each client to `upstream` there.
    pub fn start(port: u16, upstream: u16) -> anyhow::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        Ok(Proxy { port, _upstream: upstream, _listener: listener })
    }

    /// Where clients are to connect.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Closes all connections, and refuses new ones until [`Proxy::mend`].
    pub fn cut(&self) {}

    /// [`Proxy::cut`] after so many more bytes went from clients to the broker: in the middle of a
    /// request.
    pub fn cut_after(&self, _bytes: u64) {}

    /// Whether it is cut now.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        false
    }

    /// Keeps connections open, takes new ones, and passes nothing either way until [`Proxy::mend`].
    pub fn hang(&self) {}

    /// Passes everything again.
    pub fn mend(&self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Loses the next `count` responses to requests of this kind (such as [`PRODUCE`]), and closes
    /// the connection after the last: the broker has done what the client thinks was lost. What
    /// follows a lost response on its connection is lost with it, as on a real one. Only without
    /// TLS, where the proxy can read.
    pub fn drop_responses(&self, _api_key: i16, _count: u32) {}

    /// How many responses were lost so far by [`Proxy::drop_responses`].
    #[must_use]
    pub fn dropped_responses(&self) -> u32 {
        0
    }
}
