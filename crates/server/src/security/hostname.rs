//! Whether a certificate is valid for a name or an address, by the rules of Go's `VerifyHostname`,
//! which is what etcd asks: alternative names alone, one whole label for a wildcard, and addresses
//! only against addresses.

use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// The alternative names of a certificate.
#[derive(Debug, Default)]
pub(super) struct AlternativeNames {
    names: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl AlternativeNames {
    /// An extension that cannot be read holds no names.
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let mut all = Self::default();
        let Ok(Some(found)) = certificate.subject_alternative_name() else { return all };
        for name in &found.value.general_names {
            match name {
                GeneralName::DNSName(name) => all.names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => all.addresses.extend(address(bytes)),
                _ => {}
            }
        }
        all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.addresses.is_empty()
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether `host`, a name or an address (in brackets or not), is one of them.
    pub(super) fn are_valid_for(&self, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(wanted) = bare.parse::<IpAddr>() {
            return self.addresses.contains(&wanted.to_canonical());
        }
        let host = host.to_ascii_lowercase();
        let host_is_valid = is_valid(host.strip_suffix('.').unwrap_or(&host), false);
        self.names.iter().any(|pattern| {
            if host_is_valid && is_valid(pattern, true) {
                matches(pattern, &host)
            } else {
                !matches!(pattern.as_str(), "" | ".") && pattern.eq_ignore_ascii_case(&host)
            }
        })
    }
}

impl std::fmt::Display for AlternativeNames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = self.names.iter().cloned().chain(self.addresses.iter().map(IpAddr::to_string));
        let all: Vec<_> = all.collect();
        if all.is_empty() { f.write_str("no names") } else { f.write_str(&all.join(", ")) }
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let found = match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).map(IpAddr::from),
    };
    found.ok().map(|ip| ip.to_canonical())
}

/// Letters, digits, `-` (not first), `_`, in labels that are not empty; a pattern may have `*` for
/// its first label, beside others.
fn is_valid(name: &str, is_pattern: bool) -> bool {
    let label = |(at, label): (usize, &str)| {
        if is_pattern && at == 0 && label == "*" {
            return true;
        }
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        !label.is_empty() && !label.starts_with('-') && label.chars().all(letter)
    };
    name != "*" && name.split('.').enumerate().all(label)
}

fn matches(pattern: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let (mut patterns, mut labels) = (pattern.split('.'), host.split('.'));
    let mut first = true;
    loop {
        match (patterns.next(), labels.next()) {
            (None, None) => return true,
            (Some("*"), Some(_)) if first => {}
            (Some(pattern), Some(label)) if pattern.eq_ignore_ascii_case(label) => {}
            _ => return false,
        }
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::AlternativeNames;

    #[test]
    fn names_match_as_in_go() {
        for (pattern, host, expected) in [
            ("example.com", "example.com", true),
            ("example.com", "EXAMPLE.com.", true),
            ("Example.COM", "example.com", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "example.com", false),
            ("a.*.com", "a.b.com", false),
            ("a*.example.com", "ab.example.com", false),
            ("*", "com", false),
            ("*", "*", true),
            ("*.example.com", "*.example.com", true),
            ("example.com.", "example.com", false),
            ("", "", false),
            (".", ".", false),
            ("-a.com", "-a.com", true),
            ("a_b.com", "a_b.com", true),
            ("not a name", "NOT a name", true),
        ] {
            let names = AlternativeNames { names: vec![pattern.to_owned()], addresses: vec![] };
            assert_eq!(names.are_valid_for(host), expected, "{pattern} {host}");
        }
    }

    #[test]
    fn addresses_match_addresses_alone() {
        let names = AlternativeNames {
            names: vec!["10.0.0.9".to_owned()],
            addresses: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
        };
        for (host, expected) in [
            ("10.0.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("[10.0.0.1]", true),
            ("[fd00:0::1]", true),
            ("fd00::2", false),
            ("10.0.0.9", false),
        ] {
            assert_eq!(names.are_valid_for(host), expected, "{host}");
        }
    }
}
