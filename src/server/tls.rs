//! TLS from PEM files: HTTP/2 and HTTP/1.1 by ALPN, client certificates where an
//! authority for them is named.

use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio_rustls::TlsAcceptor;

use super::StartError;
use crate::{config::ServeSettings, store::sqlite_file};

const CERT: &str = "--tls-cert (FLAGSTAFF_TLS_CERT)";
const KEY: &str = "--tls-key (FLAGSTAFF_TLS_KEY)";
const CLIENT_CA: &str = "--tls-client-ca (FLAGSTAFF_TLS_CLIENT_CA)";

/// What wraps each connection; `None` without a certificate.
pub(super) fn acceptor(settings: &ServeSettings) -> Result<Option<TlsAcceptor>, StartError> {
    let (Some(cert), Some(key)) = (&settings.tls_cert, &settings.tls_key) else { return Ok(None) };
    let chain = certificates(cert, CERT)?;
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(KEY, key, error))?;
    sqlite_file::warn_if_wide_key(key);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(CERT, cert, error))?;
    let builder = match &settings.tls_client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(ca, CLIENT_CA)? {
                roots.add(authority).map_err(|error| unusable(CLIENT_CA, ca, error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = verifier.build().map_err(|error| unusable(CLIENT_CA, ca, error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config =
        builder.with_single_cert(chain, key_der).map_err(|error| unusable(KEY, key, error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn certificates(file: &Path, setting: &str) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err(unusable(setting, file, "it holds no certificate"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unusable(setting, file, error)),
    }
}

fn unusable(setting: &str, file: &Path, why: impl std::fmt::Display) -> StartError {
    StartError::Setting(format!("{setting}: cannot use {}: {why}", file.display()))
}
