//! What an exec plugin wrote on stderr, made fit for an error message: the last words, no escape sequences, nothing
//! that looks like a credential.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use regex::Regex;

use super::error::{printable, shorten};

/// `token=...`, `"id_token": "..."`, `Bearer ...`.
static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"(?i)([\w-]*(?:token|secret|passwd|password|api[_-]?key|authorization|credential)[\w-]*"#,
        r#"(?:=|"\s*:\s*)"?(?:bearer\s+)?|\bbearer\s+)[^\s"',}]+"#
    ))
    .ok()
});
/// User and password as HTTP has them.
static BASIC: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?i)(\bbasic\s+)([A-Za-z0-9+/]{4,}={0,2})").ok());
static ESCAPES: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)").ok());
/// A run that could be a token, with what surrounds it left out.
static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"[^\s"'`,;:=(){}\[\]<>]+"#).ok());

fn replace(text: &str, pattern: &LazyLock<Option<Regex>>, with: impl regex::Replacer) -> String {
    match LazyLock::force(pattern) {
        Some(pattern) => pattern.replace_all(text, with).into_owned(),
        // Without the pattern nothing can be vouched for.
        None => String::new(),
    }
}

/// The last line that says something, at most 160 columns.
pub(super) fn last_words(stderr: &[u8]) -> String {
    let text = replace(&String::from_utf8_lossy(stderr), &ESCAPES, "");
    let line = text.lines().map(printable).rfind(|line| !line.is_empty()).unwrap_or_default();
    let line = replace(&line, &NAMED, "$1[hidden]");
    let line = replace(
        &line,
        &WORD,
        |found: &regex::Captures<'_>| {
            if looks_secret(&found[0]) { "[hidden]".to_owned() } else { found[0].to_owned() }
        },
    );
    shorten(&line, 160)
}

/// A line of a server's prose, which may quote what it was sent.
pub(super) fn unsaid(line: &str) -> String {
    let basic = |found: &regex::Captures<'_>| {
        let pair = STANDARD.decode(&found[2]).is_ok_and(|bytes| bytes.contains(&b':'));
        if pair { format!("{}[hidden]", &found[1]) } else { found[0].to_owned() }
    };
    replace(&replace(line, &NAMED, "$1[hidden]"), &BASIC, basic)
}

/// Long, with letters and digits mixed, and neither a path nor a host name of ordinary labels.
fn looks_secret(word: &str) -> bool {
    if word.starts_with("eyJ") {
        return true;
    }
    if word.starts_with(['/', '.', '~']) {
        return false;
    }
    word.split('.')
        .any(|part| part.len() >= 20 && part.bytes().any(|b| b.is_ascii_digit()) && part.bytes().any(|b| b.is_ascii_alphabetic()))
}

/// Whether the output reads like a question to a person, or like a search for a terminal.
pub(super) fn asks_for_a_person(output: &[u8]) -> bool {
    const SIGNS: [&str; 16] = [
        "/dev/tty",
        "not a tty",
        "not a terminal",
        "inappropriate ioctl",
        "no such device or address",
        "password:",
        "passcode",
        "passphrase",
        "enter ",
        "interactive",
        "prompt",
        "device code",
        "web browser",
        "your browser",
        "following url",
        "log in",
    ];
    let text = String::from_utf8_lossy(output).to_lowercase();
    SIGNS.iter().any(|sign| text.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_kept_and_tokens_are_not() {
        let said = |text: &str| last_words(text.as_bytes());
        assert_eq!(said("warming up\nerror: no session\n\n"), "error: no session");
        assert_eq!(said("\x1b[31mbad\x1b[0m\x1b]0;title\x07 thing"), "bad thing");
        for secret in [
            "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY1",
            "k8s-aws-v1.aHR0cHM6Ly9zdHMuYW1hem9u",
        ] {
            for line in [format!("got {secret} back"), format!("got \"{secret}\""), format!("x={secret},y")] {
                assert!(!said(&line).contains(secret), "{line} became {}", said(&line));
            }
        }
        assert_eq!(said("client_secret=hunter2 is wrong"), "client_secret=[hidden] is wrong");
        assert_eq!(said(r#"{"refresh_token": "abc"}"#), r#"{"refresh_token": "[hidden]"}"#);
        assert_eq!(said("Authorization: Bearer abc123"), "Authorization: Bearer [hidden]");
    }

    #[test]
    fn what_a_server_quotes_of_a_credential_is_not_told() {
        assert_eq!(unsaid("you sent Authorization: Basic cWQ6aHVudGVyMg=="), "you sent Authorization: Basic [hidden]");
        assert_eq!(unsaid("no such user for Bearer abc123"), "no such user for Bearer [hidden]");
        for line in
            ["basic authentication is wanted", "upstream connect error or disconnect/reset before headers", "checkout-5d8f7c9b64-x2x7z"]
        {
            assert_eq!(unsaid(line), line);
        }
    }

    #[test]
    fn words_that_help_stay() {
        for line in [
            "dial tcp: lookup sso-1.eu-west-1.example.com: no such host",
            "cannot read ~/.aws/sso/cache/0123456789abcdef0123.json",
            "token is expired, run aws sso login",
        ] {
            assert_eq!(last_words(line.as_bytes()), line);
        }
    }

    #[test]
    fn a_question_is_recognised() {
        assert!(asks_for_a_person(b"sh: 1: cannot create /dev/tty: No such device or address"));
        assert!(asks_for_a_person(b"Enter MFA code for arn:aws:iam::1:mfa/x:"));
        assert!(!asks_for_a_person(b"error: connection refused"));
    }
}
