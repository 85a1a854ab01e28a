//! Keys of signed tokens: read from their files once, at start, as etcd reads them; then they sign
//! and verify by the one method they were read for, whatever a token says of itself.

use std::path::Path;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self as sig, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, Ed25519KeyPair,
    KeyPair, ParsedPublicKey, RsaEncoding, RsaKeyPair, RsaParameters, VerificationAlgorithm,
};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};
use x509_parser::public_key::{PublicKey, RSAPublicKey};

use super::pem;
use crate::config::{JwtOptions, SignMethod};
use crate::security::files::Source;

const NOT_PEM: &str = "invalid key: Key must be a PEM encoded PKCS1 or PKCS8 key";
const MISSING: &str = "auth: missing key data";
const MISMATCH: &str = "auth: public and private keys don't match";
/// What may be signed and verified with RSA.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The key of all tokens.
pub(super) enum Key {
    /// Who knows it signs and verifies.
    Secret(Box<hmac::Key>),
    /// Without the private half tokens are only verified.
    Pair(Option<Private>, ParsedPublicKey),
}

pub(super) enum Private {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// A method's algorithms.
enum Family {
    Hmac(hmac::Algorithm),
    Rsa(&'static RsaParameters, &'static dyn RsaEncoding),
    Ec(&'static EcdsaVerificationAlgorithm, &'static EcdsaSigningAlgorithm),
    Ed,
}

fn family(method: SignMethod) -> Family {
    use SignMethod as M;
    match method {
        M::Hs256 => Family::Hmac(hmac::HMAC_SHA256),
        M::Hs384 => Family::Hmac(hmac::HMAC_SHA384),
        M::Hs512 => Family::Hmac(hmac::HMAC_SHA512),
        M::Rs256 => Family::Rsa(&sig::RSA_PKCS1_2048_8192_SHA256, &sig::RSA_PKCS1_SHA256),
        M::Rs384 => Family::Rsa(&sig::RSA_PKCS1_2048_8192_SHA384, &sig::RSA_PKCS1_SHA384),
        M::Rs512 => Family::Rsa(&sig::RSA_PKCS1_2048_8192_SHA512, &sig::RSA_PKCS1_SHA512),
        M::Ps256 => Family::Rsa(&sig::RSA_PSS_2048_8192_SHA256, &sig::RSA_PSS_SHA256),
        M::Ps384 => Family::Rsa(&sig::RSA_PSS_2048_8192_SHA384, &sig::RSA_PSS_SHA384),
        M::Ps512 => Family::Rsa(&sig::RSA_PSS_2048_8192_SHA512, &sig::RSA_PSS_SHA512),
        M::Es256 => {
            Family::Ec(&sig::ECDSA_P256_SHA256_FIXED, &sig::ECDSA_P256_SHA256_FIXED_SIGNING)
        }
        M::Es384 => {
            Family::Ec(&sig::ECDSA_P384_SHA384_FIXED, &sig::ECDSA_P384_SHA384_FIXED_SIGNING)
        }
        M::Es512 => {
            Family::Ec(&sig::ECDSA_P521_SHA512_FIXED, &sig::ECDSA_P521_SHA512_FIXED_SIGNING)
        }
        M::EdDsa => Family::Ed,
    }
}

/// What a file holds, and what it is called.
struct Text {
    source: Source,
    bytes: Vec<u8>,
}

impl Text {
    /// An empty file counts as none.
    fn read(name: &'static str, path: Option<&Path>) -> Result<Option<Self>, String> {
        let Some(path) = path else { return Ok(None) };
        let source = Source::new(name, path);
        let bytes = source
            .read()
            .map_err(|why| format!("auth: invalid auth options (--auth-token {why})"))?;
        Ok((!bytes.is_empty()).then_some(Self { source, bytes }))
    }

    fn der(&self) -> Result<Vec<u8>, String> {
        if pem::is_encrypted(&self.bytes) {
            return Err(self.fault(
                NOT_PEM,
                "it is encrypted, and there is nobody to ask for the password: decrypt it with \
                 'openssl pkey -in FILE -out NEW', and protect the file by its mode",
            ));
        }
        pem::first_block(&self.bytes).ok_or_else(|| self.fault(NOT_PEM, "it holds none"))
    }

    fn fault(&self, words: &str, more: &str) -> String {
        format!("{words} (--auth-token {}: {more})", self.source)
    }
}

impl Key {
    /// Reads the files that the options name.
    pub(super) fn open(options: &JwtOptions) -> Result<Self, String> {
        let public = Text::read("pub-key", options.public_key.as_deref())?;
        let private = Text::read("priv-key", options.private_key.as_deref())?;
        let family = family(options.method);
        if let Family::Hmac(algorithm) = family {
            let secret = private.ok_or_else(|| {
                format!("{MISSING} (--auth-token: HMAC needs priv-key, a file with the secret)")
            })?;
            return Ok(Self::Secret(Box::new(hmac::Key::new(algorithm, &secret.bytes))));
        }
        let private = private.map(|text| family.private(&text)).transpose()?;
        let given = public.map(|text| family.public(&text)).transpose()?;
        let of_private = private.as_ref().map(|key| family.public_of(key)).transpose()?;
        let public = given.or(of_private).ok_or_else(|| {
            format!("{MISSING} (--auth-token: give priv-key, or pub-key to verify only)")
        })?;
        let key = Self::Pair(private, public);
        key.check_match()?;
        Ok(key)
    }

    /// Both halves fit each other if the one verifies what the other signs.
    fn check_match(&self) -> Result<(), String> {
        let probe = b"meridian";
        match self.sign(probe) {
            Some(signature) if !self.verifies(probe, &signature) => Err(format!(
                "{MISMATCH} (--auth-token: leave out pub-key, or give that of priv-key)"
            )),
            _ => Ok(()),
        }
    }

    /// The signature; `None` if there is no key to sign with.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Secret(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
            Self::Pair(None, _) => None,
            Self::Pair(Some(Private::Rsa(key, encoding)), _) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            Self::Pair(Some(Private::Ec(key)), _) => {
                Some(key.sign(&random, message).ok()?.as_ref().to_vec())
            }
            Self::Pair(Some(Private::Ed(key)), _) => Some(key.sign(message).as_ref().to_vec()),
        }
    }

    /// Whether `signature` is one of this key's on `message`.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Pair(_, public) => public.verify_sig(message, signature).is_ok(),
        }
    }
}

impl Family {
    const fn name(&self) -> &'static str {
        match self {
            Self::Hmac(_) => "HMAC",
            Self::Rsa(..) => "RSA",
            Self::Ec(..) => "ECDSA",
            Self::Ed => "Ed25519",
        }
    }

    /// What a key has to be.
    fn wanted(&self) -> String {
        match self {
            Self::Rsa(..) => format!("RSA of {} to {} bits", RSA_BITS.start(), RSA_BITS.end()),
            Self::Ec(_, algorithm) => {
                let curve = [
                    ("P-256", &sig::ECDSA_P256_SHA256_FIXED_SIGNING),
                    ("P-384", &sig::ECDSA_P384_SHA384_FIXED_SIGNING),
                    ("P-521", &sig::ECDSA_P521_SHA512_FIXED_SIGNING),
                ];
                let curve = curve.iter().find(|(_, known)| *known == *algorithm);
                format!("a key on the curve {}", curve.map_or("", |(name, _)| name))
            }
            Self::Ed | Self::Hmac(_) => format!("{} in PKCS8 or PKIX", self.name()),
        }
    }

    fn refuse(&self, text: &Text, half: &str) -> String {
        let words = format!("key is not a valid {} {half} key", self.name());
        text.fault(&words, &format!("sign-method asks for {}", self.wanted()))
    }

    fn private(&self, text: &Text) -> Result<Private, String> {
        let der = text.der()?;
        let key = match self {
            Self::Rsa(_, encoding) => RsaKeyPair::from_der(&der)
                .or_else(|_| RsaKeyPair::from_pkcs8(&der))
                .map(|key| Private::Rsa(key, *encoding)),
            Self::Ec(_, algorithm) => {
                EcdsaKeyPair::from_private_key_der(algorithm, &der).map(Private::Ec)
            }
            Self::Ed | Self::Hmac(_) => {
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map(Private::Ed)
            }
        };
        key.map_err(|_| self.refuse(text, "private"))
    }

    /// As in Go a certificate will do for a public key, except for Ed25519.
    fn public(&self, text: &Text) -> Result<ParsedPublicKey, String> {
        let der = text.der()?;
        let certificate = X509Certificate::from_der(&der).ok();
        let der = match &certificate {
            Some((_, certificate)) if !matches!(self, Self::Ed) => certificate.public_key().raw,
            _ => &der,
        };
        if matches!(self, Self::Rsa(..)) && !rsa_bits(der).is_some_and(|n| RSA_BITS.contains(&n)) {
            return Err(self.refuse(text, "public"));
        }
        self.parse(der).map_err(|()| self.refuse(text, "public"))
    }

    fn public_of(&self, private: &Private) -> Result<ParsedPublicKey, String> {
        let bytes = match private {
            Private::Rsa(key, _) => key.public_key().as_ref(),
            Private::Ec(key) => key.public_key().as_ref(),
            Private::Ed(key) => key.public_key().as_ref(),
        };
        self.parse(bytes).map_err(|()| "the private key has no public half".to_owned())
    }

    fn parse(&self, bytes: &[u8]) -> Result<ParsedPublicKey, ()> {
        let algorithm: &'static dyn VerificationAlgorithm = match self {
            Self::Rsa(parameters, _) => *parameters,
            Self::Ec(algorithm, _) => *algorithm,
            Self::Ed | Self::Hmac(_) => &sig::ED25519,
        };
        ParsedPublicKey::new(algorithm, bytes).map_err(|_| ())
    }
}

/// The size of an RSA key in PKIX or PKCS1.
fn rsa_bits(der: &[u8]) -> Option<usize> {
    let of = |key: &RSAPublicKey<'_>| key.modulus.iter().skip_while(|byte| **byte == 0).count() * 8;
    if let Ok((_, info)) = SubjectPublicKeyInfo::from_der(der) {
        let Ok(PublicKey::RSA(key)) = info.parsed() else { return None };
        return Some(of(&key));
    }
    RSAPublicKey::from_der(der).ok().map(|(_, key)| of(&key))
}
