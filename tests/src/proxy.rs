//! A TCP proxy before one broker's port, to fail as a network does: cut, hang, or lose responses.
//!
//! The broker must give out the proxy's address as its own, or clients go past it after the first
//! answer; [`crate::kafka::Plan::proxied`] sees to that.

mod frames;
mod state;

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use anyhow::Context as _;

use state::{Shared, State};

/// The Produce request of the Kafka protocol.
pub const PRODUCE: i16 = 0;

/// A proxy at work, passing everything until it is told otherwise. Dropping it cuts it.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens at `port` of 127.0.0.1 and connects each client to `upstream` there.
    pub fn start(port: u16, upstream: u16) -> anyhow::Result<Proxy> {
        let proxy = Proxy { port, shared: Arc::new(Shared::new(upstream)) };
        proxy.mend()?;
        Ok(proxy)
    }

    /// Where clients are to connect.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Closes all connections, and refuses new ones until [`Proxy::mend`].
    pub fn cut(&self) {
        self.shared.change(State::cut);
    }

    /// [`Proxy::cut`] after so many more bytes went from clients to the broker: in the middle of a
    /// request, where the number is chosen so.
    pub fn cut_after(&self, bytes: u64) {
        self.shared.change(|state| state.cut_after_bytes = Some(bytes));
    }

    /// Whether it is cut now.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.shared.lock().listener.is_none()
    }

    /// Keeps connections open, takes new ones, and passes nothing either way until [`Proxy::mend`].
    pub fn hang(&self) {
        self.shared.change(|state| state.hangs = true);
    }

    /// Passes everything again. Fails when the port was taken while it was cut.
    pub fn mend(&self) -> anyhow::Result<()> {
        self.shared.change(|state| {
            state.hangs = false;
            state.cut_after_bytes = None;
            state.losing = None;
        });
        if self.is_cut() {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))
                .with_context(|| format!("the proxy's port {}", self.port))?;
            let listener = Arc::new(listener);
            self.shared.change(|state| state.listener = Some(Arc::clone(&listener)));
            let shared = Arc::clone(&self.shared);
            std::thread::spawn(move || shared.accept(&listener));
        }
        Ok(())
    }

    /// Loses the next `count` responses to requests of this kind (such as [`PRODUCE`]): the broker
    /// has done what the client must think was lost. A connection that lost one gives no other
    /// response, and is closed when `count` is reached or no request of this kind is on its way.
    /// Only without TLS, where the proxy can read.
    pub fn drop_responses(&self, api_key: i16, count: u32) {
        self.shared.change(|state| state.losing = (count > 0).then_some((api_key, count)));
    }

    /// How many responses [`Proxy::drop_responses`] has lost so far.
    #[must_use]
    pub fn dropped_responses(&self) -> u32 {
        self.shared.lock().lost
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}
