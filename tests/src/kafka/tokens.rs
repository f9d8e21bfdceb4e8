//! A token endpoint for OAUTHBEARER: a tiny HTTP server that gives out unsigned tokens.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

/// The client that gets tokens. It is their subject, so the principal is `User:` and this.
pub const CLIENT_ID: &str = "shipper-oidc";
/// Its secret.
pub const CLIENT_SECRET: &str = "shipper-oidc-secret";

/// The longest request that is read, in bytes.
const REQUEST_BYTES_MAX: u64 = 16 << 10;

/// The endpoint of the client credentials grant, at work until the process ends.
pub struct TokenEndpoint {
    port: u16,
    state: Arc<State>,
}

struct State {
    refuses: AtomicBool,
    lifetime_seconds: AtomicU64,
    issued: AtomicU64,
}

impl TokenEndpoint {
    /// Starts it; its tokens live for five minutes.
    pub fn start() -> anyhow::Result<TokenEndpoint> {
        TokenEndpoint::start_at(0)
    }

    /// The same at this port, which may have been told to clients before.
    pub fn start_at(port: u16) -> anyhow::Result<TokenEndpoint> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State {
            refuses: AtomicBool::new(false),
            lifetime_seconds: AtomicU64::new(300),
            issued: AtomicU64::new(0),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                // A client that breaks off, or says nonsense, gets no answer.
                let _ = shared.answer(connection);
            }
        });
        Ok(TokenEndpoint { port, state })
    }

    /// What `sasl.oauthbearer.token.endpoint.url` is to be.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/token", self.port)
    }

    /// From now on answers 401 to everybody, or no longer.
    pub fn refuse(&self, refuses: bool) {
        self.state.refuses.store(refuses, Ordering::SeqCst);
    }

    /// How long tokens given out from now on live.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.state.lifetime_seconds.store(lifetime.as_secs(), Ordering::SeqCst);
    }

    /// How many tokens were given out.
    #[must_use]
    pub fn issued(&self) -> u64 {
        self.state.issued.load(Ordering::SeqCst)
    }
}

impl State {
    fn answer(&self, mut connection: TcpStream) -> anyhow::Result<()> {
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        let request = Request::read(&connection)?;
        let (status, body) = if self.refuses.load(Ordering::SeqCst) || !request.is_from_client() {
            ("401 Unauthorized", json!({"error": "invalid_client"}))
        } else {
            self.issued.fetch_add(1, Ordering::SeqCst);
            let lifetime = self.lifetime_seconds.load(Ordering::SeqCst);
            let token = unsigned_token(lifetime)?;
            let body =
                json!({"access_token": token, "token_type": "Bearer", "expires_in": lifetime});
            ("200 OK", body)
        };
        let body = body.to_string();
        write!(
            connection,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )?;
        Ok(())
    }
}

/// A token with the algorithm `none`.
fn unsigned_token(lifetime_seconds: u64) -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let claims = json!({
        "sub": CLIENT_ID, "iat": now, "exp": now + lifetime_seconds, "scope": "kafka",
    });
    let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    Ok(format!("{}.{}.", encode(json!({"alg": "none", "typ": "JWT"})), encode(claims)))
}

struct Request {
    authorization: String,
    body: String,
}

impl Request {
    fn read(connection: &TcpStream) -> anyhow::Result<Request> {
        let mut reader = BufReader::new(connection.take(REQUEST_BYTES_MAX));
        let (mut authorization, mut length) = (String::new(), 0);
        let mut line = String::new();
        loop {
            line.clear();
            ensure!(reader.read_line(&mut line)? > 0, "the request breaks off");
            if line.trim().is_empty() {
                break;
            }
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                    authorization = value.trim().into();
                }
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse::<u64>().context("Content-Length")?;
                }
                _ => {}
            }
        }
        let mut body = String::new();
        reader.take(length).read_to_string(&mut body)?;
        Ok(Request { authorization, body })
    }

    /// Client id and secret come in the header or, as librdkafka's later versions can, in the body.
    fn is_from_client(&self) -> bool {
        let basic = STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"));
        let in_body = [format!("client_id={CLIENT_ID}"), format!("client_secret={CLIENT_SECRET}")];
        self.authorization == format!("Basic {basic}")
            || in_body.iter().all(|field| self.body.split('&').any(|found| found == field))
    }
}
