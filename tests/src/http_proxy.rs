//! A proxy for HTTP, as a company has one: it forwards requests and makes tunnels, for everybody or
//! for who knows a password.
//!
//! A thread serves each connection, which has one request or one tunnel.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ports;

/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// What a proxy did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Served {
    /// Requests that were passed on.
    pub forwarded: usize,
    /// Tunnels that were made.
    pub tunnels: usize,
    /// Requests and tunnels that were refused for lack of the password.
    pub refused: usize,
}

/// A proxy on 127.0.0.1. It listens until the process ends.
pub struct HttpProxy {
    port: u16,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// The whole value of `Proxy-Authorization`.
    login: Option<String>,
    served: Served,
}

impl HttpProxy {
    /// Starts one that asks for this name and password, if it asks for any.
    pub fn start(login: Option<(&str, &str)>) -> anyhow::Result<HttpProxy> {
        let port = ports::free()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let shared = Arc::<Mutex<Shared>>::default();
        let proxy = HttpProxy { port, shared: Arc::clone(&shared) };
        if let Some((username, password)) = login {
            proxy.expect(username, password);
        }
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A connection that breaks is the client's to notice.
                std::thread::spawn(move || serve(client, &shared));
            }
        });
        Ok(proxy)
    }

    /// Where it is: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The same with a name and a password in it, as a variable of the environment has it.
    #[must_use]
    pub fn url_with(&self, username: &str, password: &str) -> String {
        format!("http://{username}:{password}@127.0.0.1:{}", self.port)
    }

    /// Asks for this name and password from now on.
    pub fn expect(&self, username: &str, password: &str) {
        let encoded = STANDARD.encode(format!("{username}:{password}"));
        locked(&self.shared).login = Some(format!("Basic {encoded}"));
    }

    /// What it did so far.
    #[must_use]
    pub fn served(&self) -> Served {
        locked(&self.shared).served
    }
}

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut client: TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    let mut came = Vec::new();
    let head_end = loop {
        if let Some(at) = came.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
        let mut piece = [0; 4096];
        let count = client.read(&mut piece)?;
        if count == 0 || came.len() > HEAD_BYTES_MAX {
            return Ok(());
        }
        came.extend_from_slice(&piece[..count]);
    };
    let head = String::from_utf8_lossy(&came[..head_end]).into_owned();
    let given = header(&head, "proxy-authorization").unwrap_or_default();
    let is_let_in = locked(shared).login.as_deref().is_none_or(|login| login == given);
    if !is_let_in {
        locked(shared).served.refused += 1;
        // Some show on their page what they were sent.
        let page = format!("<html>Access denied: {given}</html>");
        let answer = format!(
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{page}",
            page.len()
        );
        client.write_all(answer.as_bytes())?;
        client.shutdown(Shutdown::Write)?;
        // Until the client has gone: closing earlier could reset what it has not read.
        io::copy(&mut client, &mut io::sink())?;
        return Ok(());
    }
    let first = head.lines().next().unwrap_or_default();
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method == "CONNECT" {
        let server = TcpStream::connect(target)?;
        locked(shared).served.tunnels += 1;
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        return pass(&client, &server, &came[head_end..]);
    }
    let Some((host, path)) = split(target) else {
        return client.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    };
    let server = TcpStream::connect(host)?;
    locked(shared).served.forwarded += 1;
    // The server closes after one answer, and so does this connection.
    let fields = head.lines().skip(1).take_while(|line| !line.is_empty()).filter(|line| {
        !["proxy-authorization:", "connection:"]
            .iter()
            .any(|name| line.to_ascii_lowercase().starts_with(name))
    });
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    for field in fields {
        request += &format!("{field}\r\n");
    }
    let mut request = (request + "\r\n").into_bytes();
    request.extend_from_slice(&came[head_end..]);
    pass(&client, &server, &request)
}

/// The value of a header.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut found = fields.filter(|(known, _)| known.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value.trim())
}

/// Host and path of `http://HOST/PATH`.
fn split(target: &str) -> Option<(&str, &str)> {
    let rest = target.strip_prefix("http://")?;
    Some(rest.find('/').map_or((rest, "/"), |at| rest.split_at(at)))
}

/// Passes on in both directions until both have ended.
fn pass(client: &TcpStream, server: &TcpStream, first: &[u8]) -> io::Result<()> {
    (&*server).write_all(first)?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let copied = io::copy(&mut from, &mut to);
        // The other side learns of an end, however this one ended.
        let _ = to.shutdown(Shutdown::Write);
        copied
    });
    let copied = io::copy(&mut &*server, &mut &*client);
    let _ = client.shutdown(Shutdown::Both);
    copied.map(drop)
}
