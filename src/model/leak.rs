//! Whether a literal in a template is a secret, judged where it is read: what stays is its name, what it looks like and how long it is.

/// What gives a literal away, mildest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Leak {
    /// What it is called: `DB_PASSWORD`.
    Name,
    /// Letters and digits as only a generator writes them.
    Random,
    /// A token of a known form: a JWT, of a code host, of a chat.
    Token,
    /// An address with a password in it.
    Address,
    /// A key of a cloud's account.
    CloudKey,
    /// A private key in PEM.
    PrivateKey,
}

impl Leak {
    /// In words, behind "looks like".
    pub fn words(self) -> &'static str {
        match self {
            Self::Name => "a secret by its name",
            Self::Random => "a generated secret",
            Self::Token => "a token",
            Self::Address => "an address with a password",
            Self::CloudKey => "a cloud key",
            Self::PrivateKey => "a private key",
        }
    }
}

/// Words in a name that say "secret".
const SECRET: [&str; 12] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "APIKEY",
    "API_KEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "CREDENTIAL",
    "BEARER",
    "_PWD",
];
/// Last words of a name that say that it is about a secret, and not one.
const ABOUT: [&str; 37] = [
    "FILE",
    "PATH",
    "DIR",
    "URL",
    "URI",
    "ENDPOINT",
    "HOST",
    "PORT",
    "NAME",
    "NAMES",
    "NAMESPACE",
    "ID",
    "TTL",
    "EXPIRY",
    "EXPIRATION",
    "TIMEOUT",
    "INTERVAL",
    "LENGTH",
    "SIZE",
    "COUNT",
    "LIMIT",
    "LIMITS",
    "BUDGET",
    "MAX",
    "MIN",
    "ENABLED",
    "DISABLED",
    "REQUIRED",
    "POLICY",
    "TYPE",
    "ISSUER",
    "AUDIENCE",
    "HEADER",
    "PREFIX",
    "PROVIDER",
    "STORE",
    "ALGORITHM",
];
/// How the keys of clouds begin, and how long they are.
const CLOUD: [(&str, usize); 4] = [("AKIA", 20), ("ASIA", 20), ("AIza", 39), ("LTAI", 24)];
/// How tokens begin whose issuers mark them.
const TOKENS: [&str; 12] =
    ["ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "xapp-", "sk_live_", "rk_live_", "hvs.", "dop_v1_"];

/// What a literal of that name looks like; none: no secret.
pub fn look(name: &str, value: &str) -> Option<Leak> {
    let value = value.trim();
    shape(value)
        .or_else(|| (says(name) && may_be(value)).then_some(Leak::Name))
        .or_else(|| (!harmless(name) && random(value)).then_some(Leak::Random))
}

/// What its form alone says.
fn shape(value: &str) -> Option<Leak> {
    if value.contains("PRIVATE KEY-----") {
        return Some(Leak::PrivateKey);
    }
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let words = || value.split(|c: char| !word(c) && c != '.');
    let key = |w: &&str| w.starts_with("AIza") || w.bytes().all(|b| b.is_ascii_alphanumeric());
    if words().filter(key).any(|w| CLOUD.iter().any(|(begins, length)| w.starts_with(begins) && w.len() == *length)) {
        return Some(Leak::CloudKey);
    }
    let jwt = |w: &str| w.starts_with("eyJ") && w.split('.').count() == 3 && w.len() > 40;
    if words().any(|w| jwt(w) || (w.len() >= 20 && TOKENS.iter().any(|p| w.starts_with(p)))) {
        return Some(Leak::Token);
    }
    address(value).then_some(Leak::Address)
}

/// `scheme://user:password@host`, the password written out.
fn address(value: &str) -> bool {
    value.split("://").skip(1).any(|rest| {
        let end = rest.find(['/', '?', '#', ' ', '"', '\'']).unwrap_or(rest.len());
        let Some((user, _)) = rest[..end].rsplit_once('@') else { return false };
        user.split_once(':').is_some_and(|(_, password)| may_be(password))
    })
}

/// Whether a value may be a secret at all: no switch, number, path or reference.
fn may_be(value: &str) -> bool {
    let word = value.to_ascii_lowercase();
    let placeholder =
        value.starts_with(['$', '<', '{', '*', '/', '.']) || value.contains("$(") || value.contains("${") || value.contains("://");
    let plain = ["true", "false", "yes", "no", "none", "null", "on", "off", "enabled", "disabled", "redacted", "changeme-from-vault"];
    value.len() >= 3 && !placeholder && !plain.contains(&word.as_str()) && value.parse::<f64>().is_err() && !word.ends_with("xxx")
}

/// Whether a name says "secret" of what it holds.
fn says(name: &str) -> bool {
    let name = upper(name);
    let last = name.rsplit('_').next().unwrap_or_default();
    !ABOUT.contains(&last) && SECRET.iter().any(|w| name.contains(w)) && !name.contains("PUBLIC")
}

fn upper(name: &str) -> String {
    name.trim_start_matches('-').chars().map(|c| if matches!(c, '-' | '.') { '_' } else { c.to_ascii_uppercase() }).collect()
}

/// Names of what is random and no secret.
fn harmless(name: &str) -> bool {
    let name = upper(name);
    ["HASH", "DIGEST", "SHA", "COMMIT", "REVISION", "VERSION", "CHECKSUM", "UUID", "GUID", "PUBLIC", "CERT", "_CA"]
        .iter()
        .any(|w| name.contains(w))
        || name.ends_with("ID")
}

/// Letters of both cases and digits without a word among them: 24 characters and more, over 4 bits each.
fn random(value: &str) -> bool {
    if !(24..=512).contains(&value.len())
        || !value.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
        || value.starts_with('/')
    {
        return false;
    }
    let has = |of: fn(&u8) -> bool| value.bytes().filter(of).count() >= 3;
    if !(has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit)) {
        return false;
    }
    let mut counts = [0u32; 128];
    value.bytes().for_each(|b| counts[usize::from(b & 127)] += 1);
    let n = value.len() as f64;
    let bits: f64 = counts.iter().filter(|c| **c > 0).map(|c| f64::from(*c) / n).map(|p| -p * p.log2()).sum();
    bits > 4.0
}

/// Whether a text names a Service of the cluster by its DNS name (`db.pay.svc`).
pub fn names_service(text: &str) -> bool {
    text.match_indices(".svc")
        .any(|(at, _)| text[at + 4..].chars().next().is_none_or(|c| !c.is_ascii_alphanumeric() && c != '-' && c != '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gives_a_secret_away() {
        let key = ["-----BEGIN RSA ", "PRIVATE KEY-----\nMIIE"].concat();
        let jwt = format!("eyJ{}.eyJ{}.{}", "a".repeat(20), "b".repeat(20), "c".repeat(20));
        for (name, value, expected) in [
            ("DB_PASSWORD", "hunter2", Some(Leak::Name)),
            ("--api-token", "abcdef", Some(Leak::Name)),
            ("spring.datasource.password", "hunter2", Some(Leak::Name)),
            ("TLS", key.as_str(), Some(Leak::PrivateKey)),
            ("X", concat!("AK", "IA", "ABCDEFGHIJKLMNOP"), Some(Leak::CloudKey)),
            ("X", jwt.as_str(), Some(Leak::Token)),
            ("X", concat!("gh", "p_", "0123456789abcdefghij"), Some(Leak::Token)),
            ("DATABASE_URL", "postgres://app:hunter2@db.pay.svc:5432/pay", Some(Leak::Address)),
            ("SIGNING", "q7Zx0Lk2Vb9Tn4Rw6Ys1Hd8Jf3Gm5Pc", Some(Leak::Random)),
        ] {
            assert_eq!(look(name, value), expected, "{name}");
        }
    }

    #[test]
    fn what_only_looks_like_one() {
        for (name, value) in [
            ("DB_PASSWORD_FILE", "/run/secrets/db"),
            ("DB_PASSWORD", "/run/secrets/db"),
            ("DB_PASSWORD", "$(FROM_ELSEWHERE)"),
            ("TOKEN_TTL", "15m"),
            ("MAX_TOKENS", "4096"),
            ("TOKEN_ENABLED", "true"),
            ("SECRET_NAME", "db-credentials"),
            ("DB_PASSWORD", ""),
            ("DATABASE_URL", "postgres://app@db.pay.svc:5432/pay"),
            ("DATABASE_URL", "postgres://app:$(DB_PASSWORD)@db.pay.svc:5432/pay"),
            ("IMAGE_DIGEST", "q7Zx0Lk2Vb9Tn4Rw6Ys1Hd8Jf3Gm5Pc"),
            ("GIT_COMMIT", "0123456789abcdef0123456789abcdef01234567"),
            ("CLASSPATH", "/opt/App0/lib/Core1/Main2/Foo3/Bar4Baz5"),
            ("FEATURES", "checkoutV2,paymentsV3,ledgerV4Rollout"),
            ("SITE_PUBLIC_TOKEN", "abcdef"),
            ("LOG_LEVEL", "info"),
            ("REGION", "ASIA_PACIFIC_SOUTH_1"),
        ] {
            assert_eq!(look(name, value), None, "{name}={value}");
        }
    }

    #[test]
    fn services_by_their_dns_names() {
        for (text, expected) in [
            ("http://db.pay.svc:80", true),
            ("db.pay.svc.cluster.local", true),
            ("db.pay.svc", true),
            ("a.svcs", false),
            ("https://x.org", false),
        ] {
            assert_eq!(names_service(text), expected, "{text}");
        }
    }
}
