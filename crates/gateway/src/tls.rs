//! Certificates: which one a client gets, and how they are exchanged while the gateway runs.

use crate::peer::MutualPem;
use crate::peer::encryption;
use crate::settings::CertifiedPem;
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// How many certificates that a function gave are kept parsed.
const PARSED_MAX: usize = 1_000;

/// Why a certificate cannot be used.
#[derive(Debug)]
pub enum TlsError {
    /// There is none.
    None,
    /// The text has no certificate that can be read.
    Certificate(String),
    /// The text has no key that can be read.
    Key(String),
    /// The key is not that of the certificate.
    Mismatch(String),
    /// The gateway does not encrypt.
    NotEncrypted,
    /// The authority's certificates cannot be used.
    Authority(String),
    /// A name is none that a client can ask for.
    Name(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::None => write!(formatter, "no certificate is given"),
            TlsError::Certificate(why) => {
                write!(formatter, "the certificate cannot be read: {why}")
            }
            TlsError::Key(why) => write!(formatter, "the key cannot be read: {why}"),
            TlsError::Mismatch(why) => {
                write!(formatter, "the key and the certificate do not belong together: {why}")
            }
            TlsError::NotEncrypted => write!(formatter, "the gateway was started without tls"),
            TlsError::Authority(why) => {
                write!(formatter, "the authority's certificate cannot be used: {why}")
            }
            TlsError::Name(name) => write!(formatter, "{name:?} is not the name of a server"),
        }
    }
}

impl std::error::Error for TlsError {}

/// The certificates of a gateway.
pub(crate) struct Certificates {
    given: RwLock<Arc<ByName>>,
    ticketer: Option<Arc<dyn ProducesTickets>>,
    /// The configuration for given certificates.
    shared: Arc<ServerConfig>,
    /// Configurations of certificates that a function gave.
    parsed: Mutex<HashMap<CertifiedPem, Arc<ServerConfig>>>,
}

/// Certificates by name. The names are in lower case; `*.` stands for one label.
#[derive(Debug, Default)]
struct ByName {
    names: HashMap<String, Arc<CertifiedKey>>,
    first: Option<Arc<CertifiedKey>>,
}

/// Says whether these certificates can be used.
pub fn check(given: &[CertifiedPem]) -> Result<(), TlsError> {
    match given.is_empty() {
        true => Err(TlsError::None),
        false => ByName::read(given).map(|_| ()),
    }
}

impl Certificates {
    /// With these certificates, of which there may be none if a function gives them.
    pub fn new(given: &[CertifiedPem]) -> Result<Arc<Certificates>, TlsError> {
        let by_name = RwLock::new(Arc::new(ByName::read(given)?));
        let ticketer = rustls::crypto::ring::Ticketer::new().ok();
        Ok(Arc::new_cyclic(|own: &std::sync::Weak<Certificates>| Certificates {
            given: by_name,
            shared: Arc::new(config(Arc::new(Given(own.clone())), ticketer.clone())),
            ticketer,
            parsed: Mutex::default(),
        }))
    }

    /// For connections of other hosts' gateways, which show a certificate, too.
    pub fn mutual(pem: &MutualPem) -> Result<Arc<Certificates>, TlsError> {
        Ok(Arc::new(Certificates {
            given: RwLock::default(),
            shared: Arc::new(encryption::server(pem)?),
            ticketer: None,
            parsed: Mutex::default(),
        }))
    }

    /// Exchanges them: handshakes that begin now get the new ones.
    pub fn set(&self, given: &[CertifiedPem]) -> Result<(), TlsError> {
        if given.is_empty() {
            return Err(TlsError::None);
        }
        let by_name = Arc::new(ByName::read(given)?);
        *self.given.write().unwrap_or_else(PoisonError::into_inner) = by_name;
        Ok(())
    }

    /// The configuration for handshakes with the given certificates.
    pub fn shared(&self) -> Arc<ServerConfig> {
        self.shared.clone()
    }

    /// The configuration for a handshake with what a function gave; with `None` it ends in an
    /// alert.
    pub fn config_of(&self, given: Option<CertifiedPem>) -> Result<Arc<ServerConfig>, TlsError> {
        let Some(given) = given else { return Ok(self.none()) };
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = parsed.get(&given) {
            return Ok(known.clone());
        }
        let resolver = Arc::new(One(Some(Arc::new(certified(&given)?))));
        let config = Arc::new(config(resolver, self.ticketer.clone()));
        if parsed.len() >= PARSED_MAX {
            parsed.clear();
        }
        parsed.insert(given, config.clone());
        Ok(config)
    }

    /// The configuration for a handshake that is to end in an alert.
    pub fn none(&self) -> Arc<ServerConfig> {
        Arc::new(config(Arc::new(One(None)), None))
    }

    fn of(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        self.given.read().unwrap_or_else(PoisonError::into_inner).of(name)
    }
}

impl ByName {
    fn read(given: &[CertifiedPem]) -> Result<ByName, TlsError> {
        let mut by_name = ByName::default();
        for pem in given {
            let certified = Arc::new(certified(pem)?);
            by_name.first.get_or_insert_with(|| certified.clone());
            let names = match pem.names.is_empty() {
                true => names_of(&certified),
                false => pem.names.clone(),
            };
            for name in names {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                let plain = name.strip_prefix("*.").unwrap_or(&name);
                if rustls::pki_types::DnsName::try_from(plain).is_err() {
                    return Err(TlsError::Name(name));
                }
                by_name.names.entry(name).or_insert_with(|| certified.clone());
            }
        }
        Ok(by_name)
    }

    /// The certificate with this name, or with `*.` in place of its first label, or the first.
    fn of(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let found = name.as_deref().and_then(|name| {
            let wild = || Some(format!("*.{}", name.split_once('.')?.1));
            self.names.get(name).or_else(|| self.names.get(&wild()?))
        });
        found.or(self.first.as_ref()).cloned()
    }
}

/// Asks the certificates that are given now.
struct Given(std::sync::Weak<Certificates>);

impl fmt::Debug for Given {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Given")
    }
}

impl ResolvesServerCert for Given {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.upgrade()?.of(hello.server_name())
    }
}

/// One certificate, or none, which ends the handshake.
#[derive(Debug)]
struct One(Option<Arc<CertifiedKey>>);

impl ResolvesServerCert for One {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }
}

fn config(
    resolver: Arc<dyn ResolvesServerCert>,
    ticketer: Option<Arc<dyn ProducesTickets>>,
) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    // `ring` has all that both versions need.
    let builder = builder.with_safe_default_protocol_versions().expect("TLS 1.2 and 1.3");
    let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Sessions are resumed by tickets, which the client keeps: the gateway remembers none.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    if let Some(ticketer) = ticketer {
        config.ticketer = ticketer;
    }
    config.send_tls13_tickets = 1;
    config
}

/// The certificates of the authorities in the text.
pub(crate) fn authority(pem: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(pem).map_err(TlsError::Authority)? {
        roots.add(certificate).map_err(|error| TlsError::Authority(error.to_string()))?;
    }
    Ok(roots)
}

fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| error.to_string())?;
    match chain.is_empty() {
        true => Err("no CERTIFICATE block in the text".to_owned()),
        false => Ok(chain),
    }
}

pub(crate) fn certified(pem: &CertifiedPem) -> Result<CertifiedKey, TlsError> {
    let chain = chain(&pem.cert).map_err(TlsError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes())
        .map_err(|error| TlsError::Key(error.to_string()))?;
    let key = any_supported_type(&key).map_err(|error| TlsError::Key(error.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(certified)
        }
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(TlsError::Mismatch("their public keys differ".to_owned()))
        }
        Err(error) => Err(TlsError::Certificate(error.to_string())),
    }
}

/// The DNS names that a certificate is for.
fn names_of(certified: &CertifiedKey) -> Vec<String> {
    let Some(certificate) = certified.cert.first() else { return Vec::new() };
    dns_names(certificate).unwrap_or_default()
}

/// Finds the names in the extension `subjectAltName` (2.5.29.17). A certificate that cannot be
/// followed to it has none.
fn dns_names(certificate: &[u8]) -> Option<Vec<String>> {
    /// The object identifier, as it is encoded.
    const SUBJECT_ALT_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x11];
    /// The tag of a DNS name in it.
    const DNS_NAME: u8 = 0x82;
    let at = memchr::memmem::find(certificate, SUBJECT_ALT_NAME)?;
    let mut rest = &certificate[at + SUBJECT_ALT_NAME.len()..];
    let (mut tag, mut value) = element(&mut rest)?;
    // Whether the extension is critical.
    if tag == 0x01 {
        (tag, value) = element(&mut rest)?;
    }
    let mut octets = (tag == 0x04).then_some(value)?;
    let (_, mut names) = element(&mut octets)?;
    let mut found = Vec::new();
    while let Some((tag, name)) = element(&mut names) {
        if tag == DNS_NAME {
            found.push(String::from_utf8(name.to_vec()).ok()?);
        }
    }
    Some(found)
}

/// Takes one element of DER off the front: its tag and its content.
fn element<'a>(bytes: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match *length {
        short @ 0..=0x7f => (usize::from(short), rest),
        long => {
            let digits = usize::from(long & 0x7f);
            let (length, rest) = (rest.get(..digits)?, rest.get(digits..)?);
            if digits > 3 {
                return None;
            }
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
    };
    *bytes = rest.get(length..)?;
    Some((*tag, rest.get(..length)?))
}
