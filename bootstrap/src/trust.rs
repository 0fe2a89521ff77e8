//! Whom a client of this relay trusts, where that is not who everybody does.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// TLS to servers whose certificate is of this authority (a PEM file), and to no others.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn only(authority: &Path) -> Result<ClientConfig, String> {
    let broken = |why: &dyn fmt::Display| {
        format!("{} is no certificate that can be used: {why}", authority.display())
    };
    let certificate = CertificateDer::from_pem_file(authority).map_err(|error| broken(&error))?;
    let mut trusted = RootCertStore::empty();
    trusted.add(certificate).map_err(|error| broken(&error))?;
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .map_err(|error| broken(&error))?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    Ok(config)
}
