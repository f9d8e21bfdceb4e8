//! Connections, by the settings and the files they name. When one of these files changes, they are
//! made anew: a renewed certificate or token counts from the next request on.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Proxy, Url};
use zeroize::Zeroizing;

use super::credentials::Credentials;
use super::tls;
use crate::config::secret::{Secret, SecretError};
use crate::config::settings::{AuthSettings, ProxySettings, TransportSettings};
use crate::config::tls::FileError;

/// How often the system looks whether a silent connection still has another end.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A shorter value in the query of a URL is no secret, and leaving it out would make texts unreadable.
const QUERY_SECRET_BYTES_MIN: usize = 6;

/// Why no request can be made.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A file of `tls` cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of `tls` does not hold what it should.
    #[error("{}: {problem} (`{key}`)", .path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
        /// Its setting.
        key: &'static str,
    },
    /// This machine trusts nobody.
    #[error(
        "this machine has no certificates of authorities: install ca-certificates, or name a file in `tls.ca_file`"
    )]
    NoAuthorities,
    /// A secret with characters that no header may hold.
    #[error(
        "{place} holds what cannot stand in a header of HTTP, which takes visible ASCII and spaces: is there a line break in it, or a byte order mark that an editor has left? Put the secret there as plain text on one line"
    )]
    Header {
        /// Where the secret is.
        place: String,
    },
    /// A URL that is none.
    #[error("{0} is no URL")]
    Url(String),
    /// The client library refuses the settings.
    #[error("the settings of the sink are not accepted: {0}")]
    Settings(String),
}

/// A client for each URL, and what all send.
pub struct Clients {
    /// In the order of the settings.
    pub clients: Vec<Client>,
    /// What each of them asks.
    pub urls: Vec<Url>,
    /// Sent with each request.
    pub credentials: Credentials,
}

/// Clients with the state of the files they were made from.
pub struct Fresh {
    /// The clients.
    pub clients: Arc<Clients>,
    files: Vec<(PathBuf, Stamp)>,
}

impl Fresh {
    /// Reads all files and secrets.
    ///
    /// # Errors
    /// When one of them cannot be had, or is not what it should be.
    pub fn new(settings: &TransportSettings) -> Result<Fresh, TransportError> {
        // Before they are read: a file that changes meanwhile is read again.
        let files = files(settings).map(|path| (path.clone(), stamp(path))).collect();
        Ok(Fresh { clients: Arc::new(clients(settings)?), files })
    }

    /// Whether the files are still the same.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.files.iter().all(|(path, then)| stamp(path) == *then)
    }
}

/// What changes with a file; `None` when there is none.
type Stamp = Option<(u64, u64, i64, i64, u64)>;

fn stamp(path: &Path) -> Stamp {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.ctime(), found.ctime_nsec(), found.size()))
}

/// The files that the settings name.
fn files(settings: &TransportSettings) -> impl Iterator<Item = &PathBuf> {
    let tls = settings.tls.as_ref().map(|tls| &tls.files);
    let named = tls.map(|tls| [&tls.ca_file, &tls.cert_file, &tls.key_file]);
    let auth = settings.auth.as_ref().map(|auth| match auth {
        AuthSettings::Basic { password: secret, .. }
        | AuthSettings::Bearer(secret)
        | AuthSettings::ApiKey(secret)
        | AuthSettings::Splunk(secret)
        | AuthSettings::Header { value: secret, .. } => secret,
    });
    let proxy = match &settings.proxy {
        ProxySettings::Url { login: Some((_, password)), .. } => Some(password),
        _ => None,
    };
    let secrets = [tls.and_then(|tls| tls.key_password.as_ref()), auth, proxy];
    let in_files = secrets.into_iter().flatten().filter_map(|secret| match secret {
        Secret::File(path) => Some(path),
        Secret::Env(_) => None,
    });
    named.into_iter().flatten().flatten().chain(in_files)
}

/// The URLs of the settings.
///
/// # Errors
/// When one is none.
pub fn urls(settings: &TransportSettings) -> Result<Vec<Url>, TransportError> {
    let parse = |text: &String| Url::parse(text).map_err(|_| TransportError::Url(text.clone()));
    settings.urls.iter().map(parse).collect()
}

/// A URL without what may be secret in it.
#[must_use]
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

/// A URL with this appended to it: nothing, or a path and perhaps a query.
#[must_use]
pub fn extended(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    if !path.is_empty() {
        let (path, query) =
            path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        url.set_query(query);
    }
    url
}

fn clients(settings: &TransportSettings) -> Result<Clients, TransportError> {
    let mut credentials = Credentials::read(settings.auth.as_ref())?;
    let mut urls = urls(settings)?;
    let is_secure = urls.iter().any(|url| url.scheme() == "https");
    let tls = tls::config(settings.tls.as_ref(), is_secure, &mut credentials)?;
    let proxy = proxy(&settings.proxy, &mut credentials)?;
    urls.iter().for_each(|url| remember_query(url, &mut credentials));
    let server_name = settings.tls.as_ref().and_then(|tls| tls.server_name.as_ref());
    let mut clients = Vec::with_capacity(urls.len());
    for url in &mut urls {
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .user_agent(concat!("shipper/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.request_timeout)
            .pool_idle_timeout(settings.idle_timeout)
            .tcp_keepalive(KEEPALIVE);
        match (&settings.proxy, &proxy) {
            (_, Some(proxy)) => builder = builder.proxy(proxy.clone()),
            (ProxySettings::Environment, None) => {}
            (_, None) => builder = builder.no_proxy(),
        }
        if let (Some(server_name), Some(host)) = (server_name, url.host_str()) {
            // It is asked for and verified by the name in the URL, so that gets the name, and the
            // name is resolved to what the URL had. A proxy would be told the wrong one.
            let host = host.trim_matches(['[', ']']).to_owned();
            builder = builder.dns_resolver(Arc::new(Instead(host))).no_proxy();
            url.set_host(Some(server_name))
                .map_err(|_| TransportError::Url(server_name.clone()))?;
        }
        let refused =
            |error: reqwest::Error| TransportError::Settings(error.without_url().to_string());
        clients.push(builder.build().map_err(refused)?);
    }
    Ok(Clients { clients, urls, credentials })
}

fn proxy(
    settings: &ProxySettings,
    credentials: &mut Credentials,
) -> Result<Option<Proxy>, TransportError> {
    if *settings == ProxySettings::Environment {
        remember_environment(credentials);
    }
    let ProxySettings::Url { url, login } = settings else { return Ok(None) };
    let proxy = Proxy::all(url).map_err(|_| TransportError::Url(url.clone()))?;
    let Some((username, password)) = login else { return Ok(Some(proxy)) };
    let password = credentials.secret(password)?;
    credentials.remember_login(username, &password);
    Ok(Some(proxy.basic_auth(username, &password)))
}

/// A proxy of the environment may have its login in its URL, which the client library reads by itself.
fn remember_environment(credentials: &mut Credentials) {
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
        for name in [name.to_owned(), name.to_ascii_lowercase()] {
            let Ok(value) = std::env::var(name) else { continue };
            let value = Zeroizing::new(value);
            let with_scheme = Zeroizing::new(format!("http://{}", &*value));
            let Ok(url) = Url::parse(&value).or_else(|_| Url::parse(&with_scheme)) else {
                continue;
            };
            let Some(password) = url.password() else { continue };
            credentials.remember(password);
            credentials
                .remember_login(&percent_decoded(url.username()), &percent_decoded(password));
        }
    }
}

/// The values in the query of a URL, where some collectors want a token, and all of it.
fn remember_query(url: &Url, credentials: &mut Credentials) {
    let Some(query) = url.query() else { return };
    credentials.remember(query);
    for (_, value) in url.query_pairs().filter(|(_, value)| value.len() >= QUERY_SECRET_BYTES_MIN) {
        credentials.remember(&value);
    }
}

fn percent_decoded(text: &str) -> Zeroizing<String> {
    let bytes = text.as_bytes();
    let mut decoded = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut at = 0;
    while at < bytes.len() {
        let digits = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    Zeroizing::new(String::from_utf8_lossy(&decoded).into_owned())
}

/// Resolves every name to the addresses of this host.
struct Instead(String);

impl Resolve for Instead {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            let found: Addrs = Box::new(found.into_iter());
            Ok(found)
        })
    }
}
