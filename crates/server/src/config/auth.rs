//! How callers prove who they are once authentication is on, as the flags have it: etcd's options of
//! `--auth-token`, and what a password's hash costs. No key is read here.

use std::path::PathBuf;
use std::time::Duration;

use super::duration;
use super::flags::Flags;
use super::notice::Notice;

/// What etcd calls every mistake in `--auth-token`.
const INVALID: &str = "auth: invalid auth options";
/// The life of a token where none is given.
const DEFAULT_TTL: Duration = Duration::from_secs(300);
/// The cost where none, or one that bcrypt does not have, is given.
const DEFAULT_COST: u32 = 10;
const COSTS: std::ops::RangeInclusive<u64> = 4..=31;

/// `--auth-token`: what a caller gets for its password, and shows with each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthToken {
    /// Nothing: etcd's empty text.
    Off,
    /// Letters drawn at random, which the cluster remembers.
    Simple {
        /// Life after the last use.
        ttl: Duration,
    },
    /// A signed statement.
    Jwt(JwtOptions),
}

/// The options of `--auth-token jwt,…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtOptions {
    /// How it is signed.
    pub method: SignMethod,
    /// The public key, PEM; alone it lets verify and not sign.
    pub public_key: Option<PathBuf>,
    /// The private key, PEM; for HMAC the secret itself.
    pub private_key: Option<PathBuf>,
    /// Life after signing.
    pub ttl: Duration,
}

macro_rules! methods {
    ($($name:ident $shown:literal),* $(,)?) => {
        /// The methods of signing that etcd knows, under their names in a token.
        #[allow(missing_docs)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum SignMethod { $($name),* }

        impl SignMethod {
            /// All.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As `sign-method` and a token's header have it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $shown),* }
            }
        }
    };
}

methods! {
    Rs256 "RS256", Rs384 "RS384", Rs512 "RS512",
    Ps256 "PS256", Ps384 "PS384", Ps512 "PS512",
    Es256 "ES256", Es384 "ES384", Es512 "ES512",
    Hs256 "HS256", Hs384 "HS384", Hs512 "HS512",
    EdDsa "EdDSA",
}

impl SignMethod {
    fn parse(name: &str) -> Result<Self, String> {
        if let Some(method) = Self::ALL.iter().find(|method| method.name() == name) {
            return Ok(*method);
        }
        if name == "none" {
            return Err("unsupported signing method: *jwt.signingMethodNone: tokens that nobody \
                        signed are never accepted"
                .to_owned());
        }
        let known: Vec<_> = Self::ALL.iter().map(|method| method.name()).collect();
        let what = if name.is_empty() {
            "is missing".to_owned()
        } else {
            format!("{name:?} is not known")
        };
        Err(invalid(&format!("sign-method {what}: it is one of {}", known.join(", "))))
    }
}

fn invalid(why: &str) -> String {
    format!("{INVALID} (--auth-token: {why})")
}

/// Reads `--auth-token` with `--auth-token-ttl`.
pub(super) fn token(flags: &Flags, notices: &mut Vec<Notice>) -> Result<AuthToken, String> {
    let ttl = Some(Duration::from_secs(flags.uint("auth-token-ttl")));
    parse(&flags.text("auth-token"), ttl.filter(|ttl| !ttl.is_zero()), notices)
}

/// The cost of a password's hash; as in etcd one that bcrypt does not have gives way to the default.
pub(super) fn bcrypt_cost(flags: &Flags, notices: &mut Vec<Notice>) -> u32 {
    let given = flags.uint("bcrypt-cost");
    if let (true, Ok(cost)) = (COSTS.contains(&given), u32::try_from(given)) {
        return cost;
    }
    let (least, most) = (COSTS.start(), COSTS.end());
    notices.push(Notice::warning(
        "bcrypt-cost",
        &format!(
            "use default bcrypt cost instead of the invalid given cost: {DEFAULT_COST}; from \
             {least} to {most} can be given"
        ),
    ));
    DEFAULT_COST
}

fn parse(
    text: &str,
    simple_ttl: Option<Duration>,
    notices: &mut Vec<Notice>,
) -> Result<AuthToken, String> {
    let mut parts = text.split(',');
    let kind = parts.next().unwrap_or_default();
    let mut options = Vec::new();
    for part in parts {
        options.push(option(part, &options)?);
    }
    match kind {
        "" => Ok(AuthToken::Off),
        "simple" => Ok(AuthToken::Simple { ttl: simple_ttl.unwrap_or(DEFAULT_TTL) }),
        "jwt" => jwt(&options, notices).map(AuthToken::Jwt),
        other => Err(invalid(&format!(
            "{other:?} is not known: it is 'simple', or 'jwt,' and its options"
        ))),
    }
}

/// One `name=value`, which must not have stood before.
fn option<'a>(part: &'a str, before: &[(&str, &str)]) -> Result<(&'a str, &'a str), String> {
    let pair = part.split_once('=').filter(|(_, value)| !value.contains('='));
    let (name, value) = pair.ok_or_else(|| {
        invalid(&format!("{part:?} is not of the form name=value, where the value has no '='"))
    })?;
    if before.iter().any(|(earlier, _)| *earlier == name) {
        return Err(invalid(&format!("{name:?} is given twice")));
    }
    Ok((name, value))
}

fn jwt(options: &[(&str, &str)], notices: &mut Vec<Notice>) -> Result<JwtOptions, String> {
    let find = |name: &str| {
        let found = options.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| *value)
    };
    let ttl = match find("ttl") {
        "" => DEFAULT_TTL,
        // As in etcd a token of no or of negative life is signed, and never good.
        text => duration::parse(text)
            .map_err(|why| invalid(&format!("ttl: {why}")))?
            .positive()
            .unwrap_or_default(),
    };
    let file = |name: &str| Some(find(name)).filter(|path| !path.is_empty()).map(PathBuf::from);
    let known = ["sign-method", "pub-key", "priv-key", "ttl"];
    for (name, _) in options.iter().filter(|(name, _)| !known.contains(name)) {
        notices.push(Notice::warning("auth-token", &format!("unknown JWT options: {name}")));
    }
    let method = SignMethod::parse(find("sign-method"))?;
    Ok(JwtOptions { method, public_key: file("pub-key"), private_key: file("priv-key"), ttl })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{AuthToken, JwtOptions, SignMethod, parse};

    fn read(text: &str) -> Result<AuthToken, String> {
        parse(text, Some(Duration::from_secs(7)), &mut Vec::new())
    }

    #[test]
    fn the_kinds_of_token() {
        let simple = AuthToken::Simple { ttl: Duration::from_secs(7) };
        assert_eq!(read(""), Ok(AuthToken::Off));
        assert_eq!(read("simple"), Ok(simple.clone()));
        assert_eq!(read("simple,anything=goes"), Ok(simple));
        let all = "jwt,pub-key=a.pub,priv-key=b.key,sign-method=PS384,ttl=1h30m";
        let want = JwtOptions {
            method: SignMethod::Ps384,
            public_key: Some(PathBuf::from("a.pub")),
            private_key: Some(PathBuf::from("b.key")),
            ttl: Duration::from_secs(5400),
        };
        assert_eq!(read(all), Ok(AuthToken::Jwt(want)));
        let Ok(AuthToken::Jwt(least)) = read("jwt,sign-method=HS256,ttl=,pub-key=") else {
            panic!("not a JWT")
        };
        assert_eq!((least.ttl, least.public_key), (Duration::from_secs(300), None));
        let Ok(AuthToken::Jwt(dead)) = read("jwt,sign-method=HS256,ttl=-1s") else {
            panic!("not a JWT")
        };
        assert_eq!(dead.ttl, Duration::ZERO);
    }

    #[test]
    fn a_simple_token_lives_for_five_minutes_if_nothing_is_said() {
        let read = parse("simple", None, &mut Vec::new());
        assert_eq!(read, Ok(AuthToken::Simple { ttl: Duration::from_secs(300) }));
    }

    #[test]
    fn mistakes_are_refused_in_etcd_s_words() {
        for text in [
            "foo",
            "Simple",
            "jwt",
            "jwt,",
            "simple,x",
            "simple,",
            "jwt,sign-method=RS255",
            "jwt,sign-method=rs256",
            "jwt,sign-method=RS256,sign-method=RS256",
            "jwt,sign-method=RS256,priv-key=a=b",
            "jwt,sign-method=RS256,ttl=5x",
            " simple",
        ] {
            let why = read(text).unwrap_err();
            assert!(why.starts_with("auth: invalid auth options"), "{text}: {why}");
        }
        let none = read("jwt,sign-method=none").unwrap_err();
        assert!(none.starts_with("unsupported signing method: *jwt.signingMethodNone"));
    }

    #[test]
    fn unknown_options_are_taken_and_named() {
        let mut notices = Vec::new();
        parse("jwt,sign-method=HS256,foo=bar", None, &mut notices).unwrap();
        assert_eq!(notices.len(), 1);
        assert_eq!(notices[0].text, "unknown JWT options: foo");
        assert!(notices[0].is_warning);
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reading(text in "(simple|jwt|)[,=a-zA-Z0-9µ.-]{0,40}") {
            if let Err(why) = read(&text) {
                prop_assert!(why.starts_with("auth: invalid") || why.starts_with("unsupported"));
            }
        }

        #[test]
        fn the_order_of_options_does_not_matter(
            order in Just(vec!["pub-key=p", "priv-key=q", "sign-method=EdDSA", "ttl=9s"])
                .prop_shuffle(),
        ) {
            let want = read("jwt,sign-method=EdDSA,ttl=9s,priv-key=q,pub-key=p");
            prop_assert_eq!(read(&format!("jwt,{}", order.join(","))), want);
        }
    }
}
