//! How connections to etcd are encrypted.

use super::settings::{Identity, SettingsError, Tls};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::fmt::Display;
use std::sync::Arc;

pub(super) fn config(tls: &Tls) -> Result<Arc<ClientConfig>, SettingsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&tls.ca)? {
        roots.add(certificate).map_err(unusable)?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    // `ring` has all that both versions need.
    let builder = builder.with_safe_default_protocol_versions().expect("TLS 1.2 and 1.3");
    let builder = builder.with_root_certificates(roots);
    let config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some(Identity { cert, key }) => {
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(unusable)?;
            builder.with_client_auth_cert(certificates(cert)?, key).map_err(unusable)?
        }
    };
    Ok(Arc::new(config))
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(unusable)?;
    match found.is_empty() {
        true => Err(unusable("no CERTIFICATE block in the text")),
        false => Ok(found),
    }
}

fn unusable(why: impl Display) -> SettingsError {
    SettingsError::Certificate(why.to_string())
}
