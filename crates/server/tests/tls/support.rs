//! A small workshop for certificates, and a handshake between two ends in memory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, RevokedCertParams, SerialNumber, SignatureAlgorithm,
    date_time_ymd,
};
use rustls::client::WantsClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, SupportedProtocolVersion};
use server::config::{AllowedClients, Side, Tls, TlsVersions};
use server::security::Credentials;
use tempfile::TempDir;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tracing_subscriber::layer::SubscriberExt;

/// A CA.
pub(crate) struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate that somebody signed, and its key; both PEM.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

/// What a certificate is to say. Begin with [`Leaf::named`].
#[derive(Clone)]
pub(crate) struct Leaf {
    common_name: String,
    hosts: Vec<String>,
    years: (i32, i32),
    serial: u64,
    usage: ExtendedKeyUsagePurpose,
    kind: &'static SignatureAlgorithm,
    is_ca: bool,
}

impl Leaf {
    /// Valid from 2020 to 2090, for clients, on P-256, with serial number 1 and no host.
    pub(crate) fn named(common_name: &str) -> Self {
        Self {
            common_name: common_name.to_owned(),
            hosts: Vec::new(),
            years: (2020, 2090),
            serial: 1,
            usage: ExtendedKeyUsagePurpose::ClientAuth,
            kind: &PKCS_ECDSA_P256_SHA256,
            is_ca: false,
        }
    }

    /// For a server on `localhost` and `127.0.0.1`.
    pub(crate) fn server() -> Self {
        let usage = ExtendedKeyUsagePurpose::ServerAuth;
        Self { usage, ..Self::named("server") }.hosts(&["localhost", "127.0.0.1"])
    }

    pub(crate) fn hosts(mut self, hosts: &[&str]) -> Self {
        self.hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        self
    }

    /// Valid from the first day of one year to that of the other.
    pub(crate) fn years(mut self, from: i32, to: i32) -> Self {
        self.years = (from, to);
        self
    }

    pub(crate) fn expired(self) -> Self {
        self.years(2020, 2021)
    }

    pub(crate) fn serial(mut self, serial: u64) -> Self {
        self.serial = serial;
        self
    }

    pub(crate) fn kind(mut self, kind: &'static SignatureAlgorithm) -> Self {
        self.kind = kind;
        self
    }

    /// A certificate that may sign others.
    pub(crate) fn ca(mut self) -> Self {
        self.is_ca = true;
        self
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::new(self.hosts.clone()).expect("hosts");
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, self.common_name.as_str());
        params.distinguished_name = name;
        params.not_before = date_time_ymd(self.years.0, 1, 1);
        params.not_after = date_time_ymd(self.years.1, 1, 1);
        params.serial_number = Some(SerialNumber::from(self.serial));
        if self.is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        }
        params.extended_key_usages = vec![self.usage.clone()];
        params
    }
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        Self::valid(name, 2020, 2090)
    }

    /// A CA that is valid from the first day of one year to that of the other.
    pub(crate) fn valid(name: &str, from: i32, to: i32) -> Self {
        let mut params = Leaf::named(name).years(from, to).ca().params();
        params.extended_key_usages = Vec::new();
        let key = KeyPair::generate().expect("a key");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("a CA") }
    }

    /// The CA's certificate, PEM.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A CA that this one signed.
    pub(crate) fn sign_ca(&self, name: &str, serial: u64) -> Self {
        let mut params = Leaf::named(name).serial(serial).ca().params();
        params.extended_key_usages = Vec::new();
        let key = KeyPair::generate().expect("a key");
        Self { issuer: CertifiedIssuer::signed_by(params, key, &self.issuer).expect("a CA") }
    }

    pub(crate) fn sign(&self, leaf: &Leaf) -> Pair {
        let key = KeyPair::generate_for(leaf.kind).expect("a key");
        let signed = leaf.params().signed_by(&key, &self.issuer).expect("a certificate");
        Pair { cert: signed.pem(), key: key.serialize_pem() }
    }

    /// A list that revokes these serial numbers, DER.
    pub(crate) fn revoke(&self, serials: &[u64]) -> Vec<u8> {
        let one = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2022, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2022, 1, 1),
            next_update: date_time_ymd(2023, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(one).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).expect("a list").der().to_vec()
    }
}

/// A folder with the files of one server, whose CA is `ca`.
pub(crate) struct Workshop {
    pub(crate) folder: TempDir,
    pub(crate) ca: Ca,
}

impl Workshop {
    /// `server.crt`, `server.key` and `ca.crt`.
    pub(crate) fn new() -> Self {
        let shop = Self { folder: tempfile::tempdir().expect("a folder"), ca: Ca::new("our-ca") };
        shop.write_pair("server", &shop.ca.sign(&Leaf::server()));
        shop.write("ca.crt", shop.ca.pem());
        shop
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).expect("a file");
        path
    }

    /// `NAME.crt` and `NAME.key`.
    pub(crate) fn write_pair(&self, name: &str, pair: &Pair) {
        self.write(&format!("{name}.crt"), &pair.cert);
        self.write(&format!("{name}.key"), &pair.key);
    }

    /// Certificate and key alone.
    pub(crate) fn plain(&self) -> Tls {
        Tls {
            side: Side::Clients,
            cert_file: self.path("server.crt"),
            key_file: self.path("server.key"),
            self_signed: None,
            calling: None,
            trusted_ca_file: None,
            client_cert_auth: false,
            client_crl_file: None,
            allowed: AllowedClients::Any,
            cipher_suites: Vec::new(),
            versions: TlsVersions::Both,
        }
    }

    /// With clients that must show a certificate of our CA.
    pub(crate) fn mutual(&self) -> Tls {
        Tls { trusted_ca_file: Some(self.path("ca.crt")), client_cert_auth: true, ..self.plain() }
    }

    /// A client that trusts our CA and shows `pair`.
    pub(crate) fn client(&self, pair: Option<&Pair>) -> ClientConfig {
        client(&self.ca.pem(), pair)
    }
}

fn trusting(
    trusted: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = RootCertStore::empty();
    let trusted = CertificateDer::from_pem_slice(trusted.as_bytes()).expect("a CA");
    roots.add(trusted).expect("a CA");
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
}

/// A client without a certificate that speaks these versions alone.
pub(crate) fn client_of_versions(
    trusted: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    trusting(trusted, versions).with_no_client_auth()
}

/// A client that trusts the CA `trusted` (PEM) and shows `pair`.
pub(crate) fn client(trusted: &str, pair: Option<&Pair>) -> ClientConfig {
    let builder = trusting(trusted, rustls::ALL_VERSIONS);
    let mut config = match pair {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let chain: Result<Vec<_>, _> =
                CertificateDer::pem_slice_iter(pair.cert.as_bytes()).collect();
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
            builder.with_client_auth_cert(chain.expect("a chain"), key).expect("a client")
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// How a handshake went, as the server saw it.
pub(crate) struct Greeted {
    pub(crate) chain: Option<Vec<CertificateDer<'static>>>,
    pub(crate) protocol: Option<Vec<u8>>,
    pub(crate) version: Option<rustls::ProtocolVersion>,
    pub(crate) suite: Option<rustls::CipherSuite>,
    pub(crate) resumed: bool,
    /// The certificate that the server showed.
    pub(crate) shown: Option<CertificateDer<'static>>,
}

/// Lets both ends greet each other.
pub(crate) async fn greet(
    server: Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
) -> io::Result<Greeted> {
    let (near, far) = tokio::io::duplex(64 << 10);
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(Arc::clone(client));
    let dialing = tokio::spawn(async move {
        use tokio::io::AsyncReadExt;
        let mut stream = connector.connect(name, far).await?;
        // Tickets come behind the handshake; the server closes at its end.
        let mut rest = Vec::new();
        drop(stream.read_to_end(&mut rest).await);
        io::Result::Ok(stream.get_ref().1.peer_certificates().map(|c| c[0].clone().into_owned()))
    });
    let accepted = TlsAcceptor::from(server).accept(near);
    let accepted = tokio::time::timeout(Duration::from_secs(10), accepted).await;
    let mut stream = accepted.expect("a handshake that ends")?;
    tokio::io::AsyncWriteExt::shutdown(&mut stream).await.ok();
    let (_, session) = stream.get_ref();
    let chain = session.peer_certificates();
    let greeted = Greeted {
        chain: chain.map(|chain| chain.iter().map(|one| one.clone().into_owned()).collect()),
        protocol: session.alpn_protocol().map(<[u8]>::to_vec),
        version: session.protocol_version(),
        suite: session.negotiated_cipher_suite().map(|suite| suite.suite()),
        resumed: session.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
        shown: None,
    };
    drop(stream);
    let shown = dialing.await.expect("a client").ok().flatten();
    Ok(Greeted { shown, ..greeted })
}

/// Exchanges a file as `mv` does.
pub(crate) fn replace(path: &Path, contents: impl AsRef<[u8]>) {
    let beside = path.with_extension("new");
    fs::write(&beside, contents).expect("a file");
    fs::rename(&beside, path).expect("a rename");
}

/// A handshake with the credentials of now; the reason if it fails.
pub(crate) async fn entering(
    credentials: &Credentials,
    shop: &Workshop,
    pair: Option<&Pair>,
) -> Result<Greeted, String> {
    let client = Arc::new(shop.client(pair));
    let greeted = greet(credentials.current(), &client).await;
    greeted.map_err(|error| credentials.reason(&error))
}

/// A file that openssl made, valid for a hundred years.
pub(crate) fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls/fixtures");
    fs::read_to_string(folder.join(name)).expect("a fixture")
}

/// The warnings that `work` has logged, each with its fields.
pub(crate) fn warnings(work: impl FnOnce()) -> Vec<String> {
    let layer = Warnings::default();
    let told = Arc::clone(&layer.0);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
    let told = told.lock();
    told.clone()
}

#[derive(Default)]
struct Warnings(Arc<parking_lot::Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Warnings {
    fn on_event(
        &self,
        event: &tracing::Event<'_>,
        _context: tracing_subscriber::layer::Context<'_, S>,
    ) {
        if *event.metadata().level() <= tracing::Level::WARN {
            let mut fields = Fields(String::new());
            event.record(&mut fields);
            self.0.lock().push(fields.0);
        }
    }
}

struct Fields(String);

impl tracing::field::Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!("{field}={value:?} ");
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        self.0 += &format!("{field}={value} ");
    }
}
