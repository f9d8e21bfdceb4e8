//! A collector that takes everything as fast as it comes: reads each request to its end, looks at
//! nothing, and answers 200.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use anyhow::Context as _;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A server, until the process ends.
pub struct Server {
    /// Where it is.
    pub url: String,
    /// What is to be trusted, as PEM.
    pub ca: String,
}

impl Server {
    /// Starts one on loopback, with TLS or without.
    pub fn start(is_tls: bool) -> anyhow::Result<Server> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        let config = Arc::new(config);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let config = config.clone();
                std::thread::spawn(move || {
                    // A client that goes away is no error.
                    let _ = match is_tls {
                        false => serve(stream),
                        true => serve_tls(stream, config),
                    };
                });
            }
        });
        let scheme = if is_tls { "https" } else { "http" };
        Ok(Server { url: format!("{scheme}://127.0.0.1:{port}"), ca: made.cert.pem() })
    }
}

fn serve_tls(stream: TcpStream, config: Arc<ServerConfig>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    serve(StreamOwned::new(ServerConnection::new(config)?, stream))
}

fn serve(stream: impl Read + Write) -> anyhow::Result<()> {
    let mut stream = BufReader::with_capacity(64 << 10, stream);
    loop {
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().context("a length")?;
            }
        }
        let read = std::io::copy(&mut stream.by_ref().take(length), &mut std::io::sink())?;
        anyhow::ensure!(read == length, "a body that is too short");
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        stream.get_mut().flush()?;
    }
}
