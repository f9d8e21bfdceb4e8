//! The two servers of these tests: to start one takes longer than most of them.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use shipper_tests::opensearch::OpenSearch;

/// One that goes on as it is, for tests that each have names of their own in it. `None`, and the test
/// is skipped, where it cannot be had.
pub fn shared() -> Option<&'static OpenSearch> {
    static SERVER: OnceLock<Option<OpenSearch>> = OnceLock::new();
    SERVER.get_or_init(|| OpenSearch::start().expect("a server")).as_ref()
}

/// One with a single thread for writing and next to no queue, which may be killed, for one test at a
/// time.
pub fn weak() -> anyhow::Result<Option<Weak>> {
    static SERVER: Mutex<Option<OpenSearch>> = Mutex::new(None);
    let mut held = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    match &mut *held {
        Some(server) if server.is_running() => {}
        // The test before ended while it was killed.
        Some(server) => server.begin()?,
        None => {
            let settings = ["thread_pool.write.size=1", "thread_pool.write.queue_size=1"];
            *held = OpenSearch::start_with(&settings)?;
        }
    }
    Ok(held.is_some().then_some(Weak(held)))
}

/// A test's turn with the weak server.
pub struct Weak(MutexGuard<'static, Option<OpenSearch>>);

impl std::ops::Deref for Weak {
    type Target = OpenSearch;

    fn deref(&self) -> &OpenSearch {
        self.0.as_ref().expect("there is one in each turn")
    }
}

impl std::ops::DerefMut for Weak {
    fn deref_mut(&mut self) -> &mut OpenSearch {
        self.0.as_mut().expect("there is one in each turn")
    }
}
