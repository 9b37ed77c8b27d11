//! When a certificate ends. Reads as little of X.509 (RFC 5280) as that needs, and trusts nothing of it.

use rustls::pki_types::{CertificateDer, pem::PemObject as _};

/// What a certificate says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// The common name of its subject; empty where it has none.
    pub subject: String,
    /// Unix seconds.
    pub from: i64,
    pub until: i64,
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]`: the version.
const VERSION: u8 = 0xa0;
/// 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// A value with its tag, and what comes after it.
fn value(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(first) {
        short @ 0..0x80 => (short, rest),
        long => {
            let bytes = long - 0x80;
            let (length, rest) = rest.split_at_checked(bytes).filter(|_| (1..=4).contains(&bytes))?;
            (length.iter().fold(0, |sum, b| sum << 8 | usize::from(*b)), rest)
        }
    };
    let (inner, after) = rest.split_at_checked(length)?;
    Some((tag, inner, after))
}

fn expect(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, inner, after) = value(der)?;
    (tag == wanted).then_some((inner, after))
}

/// `YYMMDDHHMMSSZ`, or with four digits of the year.
fn time(der: &[u8]) -> Option<(i64, &[u8])> {
    let (tag, inner, after) = value(der)?;
    let text = std::str::from_utf8(inner).ok()?.strip_suffix('Z')?;
    let text = match tag {
        // Before 50 it is this century.
        UTC_TIME if text.get(..2)?.parse::<u8>().ok()? < 50 => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let at = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", &text).ok()?;
    Some((at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second(), after))
}

fn common_name(mut name: &[u8]) -> Option<String> {
    while let Some((set, after)) = expect(name, SET) {
        name = after;
        let (pair, _) = expect(set, SEQUENCE)?;
        let (oid, text) = expect(pair, OID)?;
        if oid == COMMON_NAME {
            let (_, text, _) = value(text)?;
            return Some(String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(120).collect());
        }
    }
    None
}

impl Certificate {
    /// Reads those that a PEM has.
    pub fn of_pem(pem: &[u8]) -> Vec<Self> {
        CertificateDer::pem_slice_iter(pem).filter_map(|der| Self::read(&der.ok()?)).collect()
    }

    /// Reads one from DER; none when it is no certificate.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (certificate, _) = expect(der, SEQUENCE)?;
        let (mut rest, _) = expect(certificate, SEQUENCE)?;
        if rest.first() == Some(&VERSION) {
            rest = value(rest)?.2;
        }
        // Serial number, algorithm, issuer.
        for _ in 0..3 {
            rest = value(rest)?.2;
        }
        let (validity, rest) = expect(rest, SEQUENCE)?;
        let (from, validity) = time(validity)?;
        let (until, _) = time(validity)?;
        let (name, _) = expect(rest, SEQUENCE)?;
        Some(Self { subject: common_name(name).unwrap_or_default(), from, until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(from: (i32, u8, u8), until: (i32, u8, u8), name: &str) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "system:masters");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn both_forms_of_a_time_and_a_name() {
        let secs = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second();
        let read = Certificate::read(&made((2026, 1, 2), (2027, 12, 31), "kubernetes-admin")).unwrap();
        let expected =
            Certificate { subject: "kubernetes-admin".into(), from: secs("2026-01-02T00:00:00Z"), until: secs("2027-12-31T00:00:00Z") };
        assert_eq!(read, expected);
        assert_eq!(Certificate::read(&made((1999, 1, 1), (2060, 5, 6), "x")).unwrap().until, secs("2060-05-06T00:00:00Z"));
    }

    #[test]
    fn what_is_cut_off_is_none() {
        let whole = made((2026, 1, 2), (2027, 12, 31), "a");
        for cut in 0..whole.len() {
            assert_eq!(Certificate::read(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(Certificate::read(b"-----BEGIN"), None);
        assert_eq!(Certificate::read(&[SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff, 0]), None);
    }
}
