//! How a service is reached: TLS by rustls and ring, the system's certificates and those that are given, a proxy.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpClient};
use aws_smithy_types::timeout::TimeoutConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Where credentials of machines and containers come from: never through a proxy.
const METADATA_SERVICES: &str = "169.254.169.254,169.254.170.2,169.254.170.23,fd00:ec2::254,fd00:ec2::23";

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How a service is reached. By default directly, or by the proxy that the environment names (`HTTPS_PROXY`, `NO_PROXY`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    proxy: Option<String>,
    /// Certificates in PEM.
    authorities: Option<Vec<u8>>,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadNetwork {
    /// It does not hold the text: there may be a password in it.
    #[error("not a proxy: write \"http://HOST:PORT\", without a name or password in it")]
    Proxy,
    /// A file.
    #[error("{path}: {problem}: give a file of certificates in PEM", path = path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl Network {
    /// By this HTTP proxy, whatever the environment says.
    pub fn with_proxy(mut self, url: &str) -> Result<Self, BadNetwork> {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).ok_or(BadNetwork::Proxy)?;
        if rest.is_empty() || rest.contains('@') || ProxyConfig::all(url).is_err() {
            return Err(BadNetwork::Proxy);
        }
        self.proxy = Some(url.to_owned());
        Ok(self)
    }

    /// With the certificates of this file, beside those that the system trusts.
    pub fn with_authorities(mut self, path: &Path) -> Result<Self, BadNetwork> {
        let bad = |problem: String| BadNetwork::Authorities { path: path.to_owned(), problem };
        let pem = std::fs::read(path).map_err(|cause| bad(cause.to_string()))?;
        // The HTTP client panics at a bad one, so they are tried here.
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let added = certificate.map_err(|cause| bad(cause.to_string())).map(|it| roots.add(it))?;
            added.map_err(|cause| bad(cause.to_string()))?;
        }
        if roots.is_empty() {
            return Err(bad("there is no certificate in it".to_owned()));
        }
        self.authorities = Some(pem);
        Ok(self)
    }

    /// The HTTP client for Amazon's SDK.
    pub(crate) fn client(&self) -> SharedHttpClient {
        let network = self.clone();
        Builder::new().build_with_connector_fn(move |settings, components| {
            let mut builder = Connector::builder();
            builder.set_connector_settings(settings.cloned());
            builder.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
            builder.proxy_config(network.proxy()).tls_provider(tls()).tls_context(network.tls()).build()
        })
    }

    /// One connector, for requests of our own.
    pub(crate) fn connector(&self) -> Connector {
        let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT).build();
        let mut builder = Connector::builder();
        builder.set_connector_settings(Some(settings));
        builder.set_sleep_impl(aws_smithy_async::rt::sleep::default_async_sleep());
        builder.proxy_config(self.proxy()).tls_provider(tls()).tls_context(self.tls()).build()
    }

    fn proxy(&self) -> ProxyConfig {
        // It was tried when it was set.
        match self.proxy.as_deref().map(ProxyConfig::all) {
            Some(Ok(proxy)) => proxy.no_proxy(METADATA_SERVICES),
            Some(Err(_)) | None => ProxyConfig::from_env(),
        }
    }

    fn tls(&self) -> TlsContext {
        let mut trusted = TrustStore::default();
        if let Some(pem) = &self.authorities {
            trusted.add_pem_certificate(pem.clone());
        }
        TlsContext::builder().with_trust_store(trusted).build().unwrap_or_default()
    }
}

fn tls() -> Provider {
    Provider::Rustls(CryptoMode::Ring)
}

/// Time limits for the SDK: only connecting has one. How long an answer may take depends on how much is sent, which the
/// layers above know.
pub(crate) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT).build()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_with_a_password_is_refused_without_being_repeated() {
        for text in ["http://ada:hunter2@proxy:3128", "proxy:3128", "socks5://hunter2", "http://", ""] {
            let error = Network::default().with_proxy(text).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert!(Network::default().with_proxy("http://proxy.example:3128").is_ok());
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let wrong = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let cut = "-----BEGIN CERTIFICATE-----\nAAAA";
        for text in ["", "nothing", wrong, cut] {
            std::fs::write(&path, text).unwrap();
            let error = Network::default().with_authorities(&path).unwrap_err();
            assert!(error.to_string().contains("ca.pem"), "{error}");
        }
    }
}
