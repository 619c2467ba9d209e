//! What has to be known of an etcd.

use std::fmt;
use std::time::Duration;

/// What has to be known of an etcd.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `http://HOST:PORT` or `https://HOST:PORT`, of each member.
    pub endpoints: Vec<String>,
    /// What all keys begin with.
    pub prefix: String,
    /// In so long one endpoint has to answer a transaction; with several endpoints, the next one
    /// is asked then. Two of it have to fit between two beats.
    pub attempt: Duration,
    /// If etcd asks who is there.
    pub credentials: Option<Credentials>,
    /// Needed for https.
    pub tls: Option<Tls>,
}

/// A user of etcd's.
#[derive(Clone)]
pub struct Credentials {
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: String,
}

/// The password is in no log.
impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Certificates, as PEM.
#[derive(Clone)]
pub struct Tls {
    /// Who has signed the certificates of the endpoints.
    pub ca: String,
    /// Our own certificate with its key, if etcd asks for one.
    pub identity: Option<Identity>,
}

/// A certificate with its key, as PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate, and those between it and the one that etcd knows.
    pub cert: String,
    /// Its key.
    pub key: String,
}

/// The key is in no log.
impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// Why settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsError {
    /// There is none.
    NoEndpoint,
    /// It is none.
    Endpoint(String),
    /// It is https, and there is no `tls`.
    NoTls(String),
    /// A certificate or a key cannot be read.
    Certificate(String),
}

impl fmt::Display for SettingsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingsError::NoEndpoint => write!(formatter, "no endpoint is given"),
            SettingsError::Endpoint(given) => {
                write!(formatter, "{given:?} is not http://HOST:PORT or https://HOST:PORT")
            }
            SettingsError::NoTls(given) => {
                write!(formatter, "{given:?} needs tls: who has signed its certificate")
            }
            SettingsError::Certificate(why) => write!(formatter, "tls cannot be used: {why}"),
        }
    }
}

impl std::error::Error for SettingsError {}
