//! What the name of an image says of the runtime in it.

/// A JDK, as its image's tag has it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Jdk {
    pub major: u32,
    /// `8u191`'s 191, `11.0.16`'s 16; none where the tag does not say.
    pub update: Option<u32>,
}

impl Jdk {
    /// Whether it knows of its container's limits; none where the tag does not say enough.
    pub fn aware(self) -> Option<bool> {
        match self.major {
            ..8 | 9 => Some(false),
            8 => self.update.map(|u| u >= 191),
            _ => Some(true),
        }
    }

    /// `8u181`, `17`.
    pub fn text(self) -> String {
        match (self.major, self.update) {
            (8, Some(u)) => format!("8u{u}"),
            (major, Some(u)) => format!("{major}.0.{u}"),
            (major, None) => major.to_string(),
        }
    }
}

/// The last part of an image's name, and its tag.
fn parts(image: &str) -> (&str, &str) {
    let name = image.split('@').next().unwrap_or(image);
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split_once(':').unwrap_or((last, ""))
}

/// Whether an image is one of the usual JDKs, or says that it is made of one.
pub fn jvm(image: &str) -> bool {
    let (name, tag) = parts(image);
    let said = |text: &str| {
        text.split(['-', '_', '.']).any(|w| matches!(w.trim_end_matches(|c: char| c.is_ascii_digit()), "jdk" | "jre" | "openjdk" | "java"))
    };
    said(name) || said(tag) || ["temurin", "corretto", "zulu-openjdk", "liberica", "sapmachine", "semeru"].iter().any(|w| name.contains(w))
}

/// The JDK of such an image, where the tag says which.
pub fn jdk(image: &str) -> Option<Jdk> {
    if !jvm(image) {
        return None;
    }
    let (name, tag) = parts(image);
    let made_of = |text: &str| !matches!(text, "openjdk" | "java" | "jdk" | "jre");
    // An app's own version stands first in its tag: of these only `-jdk17` and the like say something.
    let base = !name.split(['-', '_']).all(made_of)
        || ["temurin", "corretto", "liberica", "sapmachine", "semeru", "zulu"].iter().any(|w| name.contains(w));
    if base {
        return version(tag);
    }
    let after = |word: &str| tag.find(word).map(|at| tag[at + word.len()..].trim_start_matches(['-', '_']));
    ["jdk", "jre", "java"].iter().find_map(|w| after(w).and_then(version))
}

/// `8u181-jre`, `11.0.4`, `17`.
fn version(text: &str) -> Option<Jdk> {
    let digits = |t: &str| t[..t.find(|c: char| !c.is_ascii_digit()).unwrap_or(t.len())].parse::<u32>().ok();
    let major = digits(text)?;
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    if major == 8 {
        return Some(Jdk { major, update: rest.strip_prefix('u').and_then(digits) });
    }
    Some(Jdk { major, update: rest.strip_prefix(".0.").and_then(digits) })
}

/// The Go of a `golang` image: its minor version.
pub fn go(image: &str) -> Option<u32> {
    let (name, tag) = parts(image);
    let rest = tag.strip_prefix("1.").filter(|_| name == "golang")?;
    rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
}

/// Whether it is nginx, which takes as many workers as there are processors.
pub fn nginx(image: &str) -> bool {
    matches!(parts(image).0, "nginx" | "openresty" | "nginx-unprivileged")
}

/// Whether it computes with OpenMP, which takes as many threads as there are processors.
pub fn openmp(image: &str) -> bool {
    ["pytorch", "tensorflow"].iter().any(|w| parts(image).0.starts_with(w))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jdks_by_their_tags() {
        for (image, expected) in [
            ("openjdk:8u181-jre", Some((8, Some(181)))),
            ("openjdk:8-jre-alpine", Some((8, None))),
            ("eclipse-temurin:17-jre", Some((17, None))),
            ("reg:5000/base/amazoncorretto:11.0.4", Some((11, Some(4)))),
            ("java:7", Some((7, None))),
            ("reg/pay/checkout:1.8-jdk17", Some((17, None))),
            ("reg/pay/checkout:1.8", None),
            ("nginx:1.25", None),
            ("javascript-app:8", None),
        ] {
            assert_eq!(jdk(image).map(|j| (j.major, j.update)), expected, "{image}");
        }
        let aware = |image: &str| jdk(image).and_then(Jdk::aware);
        assert_eq!((aware("openjdk:8u190"), aware("openjdk:8u191"), aware("openjdk:8")), (Some(false), Some(true), None));
        assert_eq!((aware("java:7"), aware("openjdk:9"), aware("openjdk:10")), (Some(false), Some(false), Some(true)));
    }

    #[test]
    fn others_by_their_names() {
        assert_eq!((go("golang:1.22-alpine"), go("golang:1"), go("reg/golang-app:1.2")), (Some(22), None, None));
        assert!(nginx("reg/nginx:1.25@sha256:aa") && !nginx("nginx-exporter:1") && openmp("pytorch/pytorch:2.1"));
    }
}
