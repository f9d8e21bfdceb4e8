//! The threads of a collector: one that accepts, and one for each connection.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::account::Seen;
use super::answer::{self, Answer, Next};
use super::fault::Fault;
use super::plan::Dialect;
use super::request::{Inbox, ReadError, Request};
use super::state::{Connection, Shared};
use super::stream::{Ended, Stream};
use super::{elasticsearch, generic, hec};

/// How long a client that was told that its request is no good may take to read that.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Accepts until the collector dies.
pub fn accept(shared: &Arc<Shared>, listener: &Arc<TcpListener>) {
    loop {
        let accepted = listener.accept();
        let mut state = shared.lock();
        let Ok((socket, _)) = accepted else {
            let is_current =
                state.listener.as_ref().is_some_and(|current| Arc::ptr_eq(current, listener));
            drop(state);
            if !is_current {
                return;
            }
            // Too many files, or a client that is gone already.
            std::thread::sleep(crate::process::LOOK_INTERVAL);
            continue;
        };
        let socket = Arc::new(socket);
        let Some(connection) = state.connect(listener, &socket) else { return };
        drop(state);
        shared.changed.notify_all();
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // Whatever ends a connection, the client sees it closed.
            let _ = serve(&shared, connection, socket);
            shared.lock().at_work -= 1;
            shared.changed.notify_all();
        });
    }
}

/// Answers the requests of a connection until it ends, and closes it.
fn serve(shared: &Shared, connection: Connection, socket: Arc<TcpStream>) -> io::Result<()> {
    let outcome = open_and_answer(shared, &connection, socket);
    // Before the stream is let go, so that it is the last owner, and closing closes.
    shared.lock().disconnect(connection.id);
    outcome.map(drop)
}

fn open_and_answer(
    shared: &Shared,
    connection: &Connection,
    socket: Arc<TcpStream>,
) -> io::Result<Stream> {
    // Answers are written whole; holding them back only costs time.
    socket.set_nodelay(true)?;
    if connection.mute {
        let stream = Stream::open(socket, None)?;
        stream.await_end(None)?;
        return Ok(stream);
    }
    let mut stream = Stream::open(socket, connection.tls.clone())
        .inspect_err(|_| shared.lock().account.failed_handshakes += 1)?;
    answer_all(shared, &mut stream)?;
    Ok(stream)
}

fn answer_all(shared: &Shared, stream: &mut Stream) -> io::Result<()> {
    let mut inbox = Inbox::new(stream);
    loop {
        let next = match inbox.await_request() {
            Ok(target) => {
                let (in_flight, fault) = InFlight::begin(shared, &target);
                answer_one(shared, &mut inbox, &fault, in_flight)
            }
            Err(error) => refuse(shared, &mut inbox, error),
        };
        match next? {
            Next::Request => {}
            Next::Finish => {
                inbox.stream().finish();
                inbox.stream().await_end(Some(LAST_WORDS))?;
                return Ok(());
            }
            Next::Close => return Ok(()),
        }
    }
}

/// A request that is at work, until it is dropped.
struct InFlight<'a>(&'a Shared);

impl<'a> InFlight<'a> {
    fn begin(shared: &'a Shared, target: &str) -> (InFlight<'a>, Fault) {
        let fault = shared.lock().begin(target);
        shared.changed.notify_all();
        (InFlight(shared), fault)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.lock().end();
    }
}

fn answer_one(
    shared: &Shared,
    inbox: &mut Inbox<'_>,
    fault: &Fault,
    in_flight: InFlight<'_>,
) -> io::Result<Next> {
    let request = match inbox.read_request(fault.request_bytes()) {
        Ok(request) => request,
        Err(ReadError::Enough) => {
            return answer::send(inbox.stream(), fault, None, ("", false));
        }
        Err(error) => return refuse(shared, inbox, error),
    };
    if let Some(key) = request.header("idempotency-key") {
        shared.lock().account.note_key(key, &request.body);
    }
    let well = if fault.takes() {
        by_dialect(&request, *fault == Fault::Lost, shared)
    } else {
        Answer::new(200, "")
    };
    let answer = answer::with_fault(fault, well);
    let (method, keep_alive) = (request.method.clone(), request.keep_alive);
    note(shared, Some(request), answer.as_ref());
    if let Fault::Slow(millis) = fault
        && inbox.stream().await_end(Some(Duration::from_millis((*millis).into())))? == Ended::Yes
    {
        return Ok(Next::Close);
    }
    // A client that has its answer may send the next request before this thread goes on.
    let _in_flight = fault.answer_lasts().then_some(in_flight);
    answer::send(inbox.stream(), fault, answer.as_ref(), (&method, keep_alive))
}

/// Answers what did not come whole.
fn refuse(shared: &Shared, inbox: &mut Inbox<'_>, error: ReadError) -> io::Result<Next> {
    match error {
        ReadError::Malformed(what) => {
            let answer = shared.lock().refuse_malformed(what);
            note(shared, None, Some(&answer));
            answer::send(inbox.stream(), &Fault::Well, Some(&answer), ("", false))
        }
        ReadError::Io(error) => Err(error),
        ReadError::Enough | ReadError::Closed => Ok(Next::Close),
    }
}

/// Enters a request into the account, before its answer goes out: who has that, finds it there.
fn note(shared: &Shared, request: Option<Request>, answer: Option<&Answer>) {
    let mut state = shared.lock();
    let status = answer.map(|answer| answer.status);
    if let Some(status) = status {
        *state.account.statuses.entry(status).or_default() += 1;
    }
    if let Some(request) = request {
        let Request { method, target, headers, body_bytes, body, .. } = request;
        state.recent.push(Seen { method, path: target, headers, body_bytes, body, status });
    }
    drop(state);
    // Who waits for an account looks at it now.
    shared.changed.notify_all();
}

fn by_dialect(request: &Request, lost: bool, shared: &Shared) -> Answer {
    let (dialect, stranger) = {
        let state = shared.lock();
        let given = request.header("authorization");
        let stranger = state.token.as_ref().is_some_and(|token| given != Some(token));
        (Arc::clone(&state.dialect), stranger)
    };
    match &*dialect {
        // It has codes for that.
        Dialect::Hec(plan) => hec::answer(plan, request, lost, shared),
        _ if stranger => Answer::new(401, "").with("WWW-Authenticate", "Bearer"),
        Dialect::Generic(plan) => generic::answer(plan, request, lost, shared),
        Dialect::Elasticsearch(plan) => elasticsearch::answer(plan, request, lost, shared),
    }
}
