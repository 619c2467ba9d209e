//! Mutual TLS between gateways: each shows a certificate of the fleet's authority.

use crate::settings::CertifiedPem;
use crate::tls::{TlsError, authority, certified};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ServerConfig, server::WebPkiClientVerifier};
use std::fmt;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What a host shows to others, and what it believes, as PEM text.
#[derive(Clone)]
pub struct MutualPem {
    /// Its certificate and its key. The names do not count.
    pub own: CertifiedPem,
    /// The authorities whose certificates are believed, and no others.
    pub ca: String,
}

impl fmt::Debug for MutualPem {
    /// Without the key, which no log may have.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MutualPem").finish_non_exhaustive()
    }
}

/// What a host shows to the gateways that it passes requests on to.
#[derive(Clone, Debug)]
pub struct Identity(Arc<ClientConfig>);

impl Identity {
    /// Reads it.
    pub fn read(pem: &MutualPem) -> Result<Identity, TlsError> {
        let own = Arc::new(SingleCertAndKey::from(certified(&pem.own)?));
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        // `ring` has all that both versions need.
        let builder = builder.with_safe_default_protocol_versions().expect("TLS 1.2 and 1.3");
        let builder = builder.with_root_certificates(authority(&pem.ca)?);
        let mut config = builder.with_client_cert_resolver(own);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Identity(Arc::new(config)))
    }

    /// For connections to the host whose certificate has this name, or this address.
    pub fn for_host(&self, name: &str) -> Result<Encryption, TlsError> {
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let name = ServerName::try_from(bare.unwrap_or(name).to_owned())
            .map_err(|_| TlsError::Name(name.to_owned()))?;
        Ok(Encryption { config: self.0.clone(), name })
    }
}

/// How connections to one host are encrypted.
#[derive(Clone, Debug)]
pub struct Encryption {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Encryption {
    /// Encrypts a connection to the host.
    pub(crate) async fn begin(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsConnector::from(self.config.clone()).connect(self.name.clone(), stream).await
    }
}

/// The configuration for connections from other hosts, each of which has to show a certificate.
pub(crate) fn server(pem: &MutualPem) -> Result<ServerConfig, TlsError> {
    let own = Arc::new(SingleCertAndKey::from(certified(&pem.own)?));
    let roots = Arc::new(authority(&pem.ca)?);
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
    let verifier = verifier.build().map_err(|error| TlsError::Authority(error.to_string()))?;
    let builder = ServerConfig::builder_with_provider(provider);
    // `ring` has all that both versions need.
    let builder = builder.with_safe_default_protocol_versions().expect("TLS 1.2 and 1.3");
    let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(own);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Connections are kept for long: nothing is gained by sessions that are resumed.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
