//! Why a handshake failed, for the person who has to act on it: what the other side did, and which
//! file or flag to look at.

use std::error::Error as StdError;
use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::credentials::Credentials;
use super::gate::Refused;
use super::material;

impl Credentials {
    /// The reason of a failed handshake, from the error that [`tokio_rustls`] or [`rustls`] gave.
    /// Etcd logs it as `error` of `rejected connection on client endpoint`, with `remote-addr` and
    /// `server-name`, as a warning; at debug where the error is [`io::ErrorKind::UnexpectedEof`],
    /// since probes of load balancers end like that.
    #[must_use]
    pub fn reason(&self, error: &(dyn StdError + 'static)) -> String {
        if let Some(error) = error.downcast_ref::<Error>() {
            return self.of_tls(error);
        }
        let Some(error) = error.downcast_ref::<io::Error>() else { return error.to_string() };
        if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            return self.of_tls(inner);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                "the client closed the connection before the handshake was done".to_owned()
            }
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                "the client reset the connection before the handshake was done".to_owned()
            }
            io::ErrorKind::TimedOut => "the handshake took too long".to_owned(),
            _ => error.to_string(),
        }
    }

    fn of_tls(&self, error: &Error) -> String {
        match error {
            Error::NoCertificatesPresented => format!(
                "the client sent no certificate, or has none of a CA that is asked for; see {}",
                self.authorities()
            ),
            Error::InvalidCertificate(error) => self.of_certificate(error),
            Error::AlertReceived(alert) => self.of_alert(*alert),
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                "the client does not speak TLS: plaintext on a TLS port; let it use https://"
                    .to_owned()
            }
            Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion) => {
                "the client speaks no TLS, or one before 1.0".to_owned()
            }
            Error::PeerIncompatible(error) => self.of_offer(error),
            Error::NoApplicationProtocol => {
                "the client offers protocols (ALPN) of which none is h2 or http/1.1".to_owned()
            }
            other => format!("the handshake failed: {other}"),
        }
    }

    fn of_certificate(&self, error: &CertificateError) -> String {
        let authorities = self.authorities();
        match error {
            CertificateError::UnknownIssuer => format!(
                "the client's certificate was signed by an unknown CA, or comes without an \
                 intermediate one; see {authorities}"
            ),
            CertificateError::Expired => "the client's certificate has expired".to_owned(),
            CertificateError::ExpiredContext { not_after, .. } => format!(
                "the client's certificate, or one it comes with, expired at {}; renew it",
                material::moment(seconds(not_after.as_secs()))
            ),
            CertificateError::NotValidYet => {
                "the client's certificate is not valid yet; compare the clocks".to_owned()
            }
            CertificateError::NotValidYetContext { not_before, .. } => format!(
                "the client's certificate, or one it comes with, is valid only from {}; compare \
                 the clocks",
                material::moment(seconds(not_before.as_secs()))
            ),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "the client's certificate is not made for clients: its extended key usage lacks \
                 clientAuth"
                    .to_owned()
            }
            CertificateError::BadSignature => format!(
                "the signature on the client's certificate, or by its key, is wrong: it is of \
                 another CA with the same name as one in {authorities}, or an RSA key has fewer \
                 than 2048 bits"
            ),
            CertificateError::Other(other) => match other.0.downcast_ref::<Refused>() {
                Some(Refused(why)) => why.clone(),
                None => format!("the client's certificate cannot be used: {other}"),
            },
            other => format!("the client's certificate cannot be used: {other:?}"),
        }
    }

    /// What the client says that it does not like of us.
    fn of_alert(&self, alert: AlertDescription) -> String {
        let cert = &self.sources.cert;
        match alert {
            AlertDescription::UnknownCA => format!(
                "the client does not trust this server's certificate (alert unknown_ca); see the \
                 CA that the client was given, and {cert}"
            ),
            AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate => format!(
                "the client refuses this server's certificate (alert {alert:?}): it does not trust \
                 its CA, or the certificate is not for the name or address it dialed; see {cert}"
            ),
            AlertDescription::CertificateExpired => format!(
                "the client says that this server's certificate has expired or is not valid yet; \
                 see {cert}, and compare the clocks"
            ),
            AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => format!(
                "the client finds no version or cipher suite it likes (alert {alert:?}); see \
                 --tls-min-version, --tls-max-version and --cipher-suites"
            ),
            other => format!("the client broke off the handshake (alert {other:?})"),
        }
    }

    /// What the client offers and we do not have.
    fn of_offer(&self, error: &PeerIncompatible) -> String {
        match error {
            PeerIncompatible::NoCipherSuitesInCommon => {
                "the client offers no cipher suite that is served, or none that fits the server's \
                 key; see --cipher-suites and the kind of key in "
                    .to_owned()
                    + &self.sources.key.to_string()
            }
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SignatureAlgorithmsExtensionRequired
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled => {
                "the client offers no version of TLS that is served; see --tls-min-version and \
                 --tls-max-version"
                    .to_owned()
            }
            PeerIncompatible::NoKxGroupsInCommon => {
                "the client offers no group for the key exchange that is served (X25519, P-256, \
                 P-384, X25519MLKEM768)"
                    .to_owned()
            }
            PeerIncompatible::NoSignatureSchemesInCommon => format!(
                "the client accepts no signature that the server's key can make; see {}",
                self.sources.key
            ),
            other => format!("the client's offer cannot be taken: {other:?}"),
        }
    }

    fn authorities(&self) -> String {
        self.sources.authorities.as_ref().map_or(String::new(), ToString::to_string)
    }
}

fn seconds(unsigned: u64) -> i64 {
    i64::try_from(unsigned).unwrap_or(i64::MAX)
}
