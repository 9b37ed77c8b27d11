//! Masks what must not be seen over somebody's shoulder.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::{Captures, Regex};
use serde_json::{Map, Value};

/// The signs of a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// `••• (12 bytes)`
    Unicode,
    /// `*** (12 bytes)`
    Ascii,
}

/// What kubectl keeps of the object as it was applied: the object again, as JSON.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Parts of texts that are secrets by their look; what the named group holds is masked.
static SECRET: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let patterns = [
        r#"(?i:authorization["']?\s*[:=]\s*["']?(?:bearer|basic|token)\s+)(?<header>[^\s"',]+)"#,
        // Longer than the words that follow it in prose.
        r"(?i:\bbearer\s+)(?<bearer>[A-Za-z0-9._~+/=-]{16,})",
        r"(?<jwt>\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)",
        r"://[^/\s:@]*:(?<url>[^/\s@]+)@",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?<pem>[\s\S]*?)(?:-----END|\z)",
        r"(?i:--?[\w-]*(?:password|passwd|passphrase|token|secret|api-?key)=)(?<flag>[^\s]+)",
    ];
    Regex::new(&patterns.join("|")).ok()
});

/// Masks, in a whole object or a list of objects: values of Secrets, the values of environment variables whose names
/// say that they are secret, the same in what kubectl keeps in annotations, and tokens, passwords in addresses and
/// private keys in any text. Gives how many values were masked.
pub fn redact(value: &mut Value, mask: Mask) -> usize {
    let mut redactor = Redactor { mask, masked: 0 };
    redactor.object(value, None);
    redactor.masked
}

struct Redactor {
    mask: Mask,
    masked: usize,
}

impl Redactor {
    fn sign(&mut self, bytes: usize) -> String {
        self.masked += 1;
        let sign = if self.mask == Mask::Unicode { "•••" } else { "***" };
        format!("{sign} ({bytes} byte{})", if bytes == 1 { "" } else { "s" })
    }

    /// An object; `kind` is what it is when it does not say so itself.
    fn object(&mut self, value: &mut Value, kind: Option<&str>) {
        let Value::Object(map) = value else {
            return self.any(value);
        };
        let kind = map.get("kind").and_then(Value::as_str).or(kind).unwrap_or_default().to_owned();
        if let (Some(of), Some(Value::Array(mut items))) = (kind.strip_suffix("List"), map.get_mut("items").map(Value::take)) {
            items.iter_mut().for_each(|item| self.object(item, Some(of)));
            map.insert("items".to_owned(), Value::Array(items));
        } else if kind == "Secret" {
            self.secret(map);
        } else {
            map.values_mut().for_each(|value| self.any(value));
        }
    }

    fn secret(&mut self, map: &mut Map<String, Value>) {
        for (key, value) in map {
            match key.as_str() {
                "data" | "stringData" => self.hide(value, key == "data"),
                "metadata" => {
                    if let Some(applied) = value.pointer_mut("/annotations").and_then(|all| all.get_mut(LAST_APPLIED)) {
                        self.hide(applied, false);
                    }
                    self.any(value);
                }
                _ => self.any(value),
            }
        }
    }

    /// Masks all that is in `value`.
    fn hide(&mut self, value: &mut Value, encoded: bool) {
        match value {
            Value::Object(map) => map.values_mut().for_each(|value| self.hide(value, encoded)),
            Value::Array(items) => items.iter_mut().for_each(|value| self.hide(value, encoded)),
            Value::Null => {}
            Value::String(text) => {
                let decoded = STANDARD.decode(text.as_bytes()).ok().filter(|_| encoded);
                *text = self.sign(decoded.map_or(text.len(), |bytes| bytes.len()));
            }
            other => *other = Value::String(self.sign(other.to_string().len())),
        }
    }

    fn any(&mut self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                let secret = map.get("name").and_then(Value::as_str).is_some_and(is_secret_name);
                for (key, value) in map {
                    match value {
                        Value::String(text) if !text.is_empty() && key == "value" && secret => *text = self.sign(text.len()),
                        Value::String(text) if key == LAST_APPLIED => self.applied(text),
                        _ => self.any(value),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|value| self.any(value)),
            Value::String(text) => self.text(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// JSON inside a text.
    fn applied(&mut self, text: &mut String) {
        let before = self.masked;
        match serde_json::from_str::<Value>(text) {
            Ok(mut value) => {
                self.object(&mut value, None);
                if self.masked > before {
                    *text = value.to_string();
                }
            }
            Err(_) => self.text(text),
        }
    }

    fn text(&mut self, text: &mut String) {
        let Some(regex) = SECRET.as_ref().filter(|regex| regex.is_match(text)) else {
            return;
        };
        *text = regex
            .replace_all(text, |found: &Captures<'_>| {
                let whole = found.get(0).map_or(0..0, |whole| whole.range());
                let names = ["header", "bearer", "jwt", "url", "pem", "flag"];
                let secret = names.iter().find_map(|name| found.name(name)).map_or(whole.clone(), |secret| secret.range());
                let haystack = &found[0];
                let (start, end) = (secret.start - whole.start, secret.end - whole.start);
                format!("{}{}{}", &haystack[..start], self.sign(secret.len()), &haystack[end..])
            })
            .into_owned();
    }
}

/// Whether an environment variable's name says that its value is a secret.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_uppercase();
    let anywhere = ["PASSWORD", "PASSWD", "PASSPHRASE", "TOKEN", "SECRET", "CREDENTIAL"];
    anywhere.iter().any(|word| name.contains(word))
        || name.split(|c: char| !c.is_alphanumeric()).any(|word| {
            // Not KEYCLOAK, but APIKEY.
            word.ends_with("KEY") || word.ends_with("KEYS") || matches!(word, "PWD" | "PASS" | "AUTH")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn redacted(mut value: Value) -> (Value, usize) {
        let masked = redact(&mut value, Mask::Unicode);
        (value, masked)
    }

    #[test]
    fn the_values_of_a_secret_are_masked_with_their_size() {
        let applied = r#"{"kind":"Secret","data":{"a":"aHVudGVyMg=="}}"#;
        let (value, masked) = redacted(json!({
            "kind": "Secret", "type": "Opaque",
            "metadata": {"name": "db", "annotations": {LAST_APPLIED: applied, "note": "x"}},
            "data": {"password": "aHVudGVyMg==", "one": "YQ==", "odd": "no base64!", "none": null},
            "stringData": {"plain": "hunter2"},
        }));
        assert_eq!(value["data"], json!({"password": "••• (7 bytes)", "one": "••• (1 byte)", "odd": "••• (10 bytes)", "none": null}));
        assert_eq!(value["stringData"]["plain"], "••• (7 bytes)");
        assert_eq!(value["metadata"]["annotations"][LAST_APPLIED], "••• (45 bytes)");
        assert_eq!((&value["metadata"]["name"], &value["type"], masked), (&json!("db"), &json!("Opaque"), 5));
    }

    #[test]
    fn secrets_in_lists_are_masked_too() {
        let secret = json!({"data": {"a": "YQ=="}});
        let (value, masked) = redacted(json!({"kind": "SecretList", "items": [secret]}));
        assert_eq!((&value["items"][0]["data"]["a"], masked), (&json!("••• (1 byte)"), 1));
        let (value, _) = redacted(json!({"kind": "List", "items": [{"kind": "Secret", "data": {"a": "YQ=="}}]}));
        assert_eq!(value["items"][0]["data"]["a"], "••• (1 byte)");
    }

    #[test]
    fn environment_variables_are_masked_by_name() {
        let env = |name: &str| json!({"name": name, "value": "v"});
        let names = ["DB_PASSWORD", "token", "API_KEY", "apiKey", "AWS_SECRET_ACCESS_KEY", "MYSQL_PWD", "dbPasswd"];
        let plain = ["KEYCLOAK_URL", "PASSENGER_PORT", "PATH", "MODE"];
        let all: Vec<_> = names.iter().chain(&plain).map(|name| env(name)).collect();
        let (value, masked) =
            redacted(json!({"kind": "Pod", "spec": {"containers": [{"name": "token-server", "env": all, "image": "i"}]}}));
        assert_eq!(masked, names.len());
        let container = &value["spec"]["containers"][0];
        assert_eq!(container["image"], "i");
        for (index, name) in names.iter().chain(&plain).enumerate() {
            let wanted = if names.contains(name) { "••• (1 byte)" } else { "v" };
            assert_eq!(container["env"][index]["value"], wanted, "{name}");
        }
        let (reference, masked) = redacted(json!({"env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}));
        assert_eq!((&reference["env"][0]["valueFrom"]["secretKeyRef"]["name"], masked), (&json!("s"), 0));
    }

    #[test]
    fn what_kubectl_keeps_does_not_give_it_away() {
        let applied = json!({"kind": "Pod", "spec": {"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}}).to_string();
        let (value, masked) = redacted(json!({"kind": "Pod", "metadata": {"annotations": {LAST_APPLIED: applied}}}));
        let text = value["metadata"]["annotations"][LAST_APPLIED].as_str().unwrap();
        assert!(text.contains("DB_PASSWORD") && !text.contains("hunter2") && masked == 1, "{text}");
        let untouched = "{ \"kind\": \"Pod\" }";
        let (value, _) = redacted(json!({"metadata": {"annotations": {LAST_APPLIED: untouched}}}));
        assert_eq!(value["metadata"]["annotations"][LAST_APPLIED], untouched, "as it was, spaces too");
    }

    #[test]
    fn tokens_addresses_keys_and_flags_in_any_text() {
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc_DEF-123";
        let cases = [
            ("Authorization: Bearer abcdefgh1234", "Authorization: Bearer ••• (12 bytes)"),
            ("-H 'Authorization: Basic YTpi' x", "-H 'Authorization: Basic ••• (4 bytes)' x"),
            ("use bearer 0123456789abcdef", "use bearer ••• (16 bytes)"),
            ("a bearer authentication", "a bearer authentication"),
            (jwt, "••• (52 bytes)"),
            ("postgres://app:hunter2@db:5432/x", "postgres://app:••• (7 bytes)@db:5432/x"),
            ("run --db-password=hunter2 --port=5", "run --db-password=••• (7 bytes) --port=5"),
            ("--token-file=/var/run/token", "--token-file=/var/run/token"),
            ("https://example.org:8443/a@b", "https://example.org:8443/a@b"),
            ("the bearer of news", "the bearer of news"),
        ];
        for (text, wanted) in cases {
            assert_eq!(redacted(json!({"args": [text]})).0["args"][0], wanted);
        }
        let pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n";
        let (value, _) = redacted(json!({"kind": "ConfigMap", "data": {"k": pem}}));
        assert_eq!(value["data"]["k"], "-----BEGIN RSA PRIVATE KEY-----••• (6 bytes)-----END RSA PRIVATE KEY-----\n");
    }

    #[test]
    fn the_mask_may_be_ascii() {
        let mut value = json!({"kind": "Secret", "data": {"a": "YWI="}});
        redact(&mut value, Mask::Ascii);
        assert_eq!(value["data"]["a"], "*** (2 bytes)");
    }
}
