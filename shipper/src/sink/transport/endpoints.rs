//! Which of several URLs is asked: the first in the settings that works. One that failed is left
//! alone for a while, which grows as it goes on failing; then a single request tries it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Url;
use tokio::time::Instant;

/// How long a URL is left alone after it failed for the first time.
const REST_MIN: Duration = Duration::from_secs(15);

/// How long at most.
const REST_MAX: Duration = Duration::from_secs(600);

/// The URLs of a sink.
pub struct Endpoints {
    urls: Vec<Url>,
    states: Mutex<Vec<State>>,
}

#[derive(Clone, Copy)]
struct State {
    /// When it may be tried again; `None` while it works.
    rests_until: Option<Instant>,
    /// How long it rests when it fails again.
    rest: Duration,
    /// When it last counted as failed.
    failed_at: Option<Instant>,
}

impl State {
    /// Of a URL that works.
    const WORKS: State = State { rests_until: None, rest: REST_MIN, failed_at: None };
}

impl Endpoints {
    /// At least one, the preferred one first.
    #[must_use]
    pub fn new(urls: Vec<Url>) -> Endpoints {
        let states = vec![State::WORKS; urls.len()];
        Endpoints { urls, states: Mutex::new(states) }
    }

    fn states(&self) -> MutexGuard<'_, Vec<State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The URL at this place.
    #[must_use]
    pub fn url(&self, place: usize) -> &Url {
        &self.urls[place]
    }

    /// All of them.
    pub fn urls(&self) -> impl Iterator<Item = &Url> {
        self.urls.iter()
    }

    /// The place of the URL to be asked now. When all fail it is the one that has rested longest.
    #[must_use]
    pub fn pick(&self) -> usize {
        let now = Instant::now();
        let mut states = self.states();
        let ready = |state: &State| state.rests_until.is_none_or(|until| until <= now);
        let place = states.iter().position(ready).unwrap_or_else(|| {
            let rested = states.iter().enumerate().min_by_key(|(_, state)| state.rests_until);
            rested.map_or(0, |(place, _)| place)
        });
        // While this request tries it, others do not.
        if let Some(until) = &mut states[place].rests_until {
            *until = now + REST_MIN;
        }
        place
    }

    /// It answered.
    pub fn worked(&self, place: usize) {
        self.states()[place] = State::WORKS;
    }

    /// It did not, or only that it cannot, to a request that began at this time. Those that were under
    /// way together fail together, which counts once.
    pub fn failed(&self, place: usize, begun: Instant) {
        let state = &mut self.states()[place];
        if state.failed_at.is_some_and(|failed_at| begun <= failed_at) {
            return;
        }
        let now = Instant::now();
        state.failed_at = Some(now);
        state.rests_until = Some(now + state.rest);
        state.rest = (state.rest * 2).min(REST_MAX);
    }

    /// How many failed when they were last asked.
    #[must_use]
    pub fn failing(&self) -> usize {
        self.states().iter().filter(|state| state.rests_until.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(count: usize) -> Endpoints {
        Endpoints::new(vec![Url::parse("http://127.0.0.1").unwrap(); count])
    }

    async fn pass(time: Duration) {
        tokio::time::advance(time).await;
    }

    /// Fails a request that began just before.
    async fn fail(endpoints: &Endpoints, place: usize) {
        let begun = Instant::now();
        pass(Duration::from_millis(1)).await;
        endpoints.failed(place, begun);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_fail_together_count_once() {
        let endpoints = endpoints(2);
        let begun = Instant::now();
        for _ in 0..4 {
            pass(Duration::from_millis(1)).await;
            endpoints.failed(0, begun);
        }
        assert_eq!(endpoints.pick(), 1);
        pass(REST_MIN).await;
        assert_eq!(endpoints.pick(), 0, "it rested as after one failure");
        pass(Duration::from_secs(1)).await;
        endpoints.failed(0, begun);
        assert_eq!(endpoints.pick(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_that_works_is_asked_and_the_preferred_one_again_after_a_while() {
        let endpoints = endpoints(3);
        assert_eq!(endpoints.pick(), 0);
        fail(&endpoints, 0).await;
        assert_eq!(endpoints.pick(), 1);
        fail(&endpoints, 1).await;
        assert_eq!(endpoints.pick(), 2);
        endpoints.worked(2);
        assert_eq!(endpoints.failing(), 2);
        pass(REST_MIN).await;
        assert_eq!(endpoints.pick(), 0, "its rest is over");
        assert_eq!(endpoints.pick(), 1, "one request tries the first, another one the second");
        assert_eq!(endpoints.pick(), 2);
        endpoints.worked(0);
        assert_eq!(endpoints.pick(), 0);
        assert_eq!(endpoints.pick(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_goes_on_failing_rests_longer_each_time() {
        let endpoints = endpoints(2);
        for rest in [15, 30, 60, 120, 240, 480, 600, 600] {
            assert_eq!(endpoints.pick(), 0);
            fail(&endpoints, 0).await;
            pass(Duration::from_secs(rest - 1)).await;
            assert_eq!(endpoints.pick(), 1);
            pass(Duration::from_secs(1)).await;
        }
        endpoints.worked(0);
        fail(&endpoints, 0).await;
        pass(REST_MIN).await;
        assert_eq!(endpoints.pick(), 0, "it had worked meanwhile");
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_each_is_asked_in_turn() {
        let endpoints = endpoints(2);
        let mut asked = Vec::new();
        for _ in 0..4 {
            let place = endpoints.pick();
            asked.push(place);
            fail(&endpoints, place).await;
            pass(Duration::from_secs(1)).await;
        }
        assert_eq!(asked, [0, 1, 0, 1]);
        assert_eq!(Endpoints::new(vec![endpoints.url(0).clone()]).pick(), 0);
    }
}
