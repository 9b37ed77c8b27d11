//! What a container tells its runtime of memory and processors: options of the JVM, and the variables that others read.

use super::wire;

/// What a runtime is told, in the environment or on the command line.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Told {
    /// A JVM by its options or command.
    pub jvm: bool,
    /// The largest heap in bytes (`-Xmx`).
    pub heap: Option<i64>,
    /// The largest heap as a share of the memory limit, in thousandths.
    pub heap_share: Option<u32>,
    /// Options come from a place that is not read (a ConfigMap, a Secret, a variable of the shell): what is not seen here may be there.
    pub elsewhere: bool,
    /// `-XX:-UseContainerSupport`.
    pub unaware: bool,
    /// Processors (`-XX:ActiveProcessorCount`).
    pub jvm_cpus: bool,
    /// `GOMAXPROCS`.
    pub go_cpus: bool,
    /// `OMP_NUM_THREADS`.
    pub omp_cpus: bool,
    /// The workers of nginx.
    pub nginx_cpus: bool,
}

/// Names of variables with options of the JVM.
fn for_jvm(name: &str) -> bool {
    let ends = ["JAVA_OPTS", "JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "HEAP_OPTS", "JVM_OPTS", "JVM_OPTIONS"].iter().any(|e| name.ends_with(e));
    ends || name == "CATALINA_OPTS"
}

impl Told {
    /// Reads a container. The command line has the word over the environment, and `_JAVA_OPTIONS` over both.
    pub fn of(c: &wire::Container) -> Self {
        let mut told = Self { elsewhere: !c.env_from.is_empty(), ..Self::default() };
        let mut last = None;
        for var in &c.env {
            match var.name.as_str() {
                "GOMAXPROCS" => told.go_cpus = true,
                "OMP_NUM_THREADS" => told.omp_cpus = true,
                "NGINX_ENTRYPOINT_WORKER_PROCESSES_AUTOTUNE" | "NGINX_WORKER_PROCESSES" => told.nginx_cpus = true,
                "_JAVA_OPTIONS" => last = Some(&var.value),
                name if for_jvm(name) => {
                    told.jvm = true;
                    told.elsewhere |= var.value_from.is_some();
                    told.options(&var.value);
                }
                _ => {}
            }
        }
        let line = c.command.iter().chain(&c.args);
        for text in line {
            let java = |w: &str| w == "java" || w.ends_with("/java");
            told.jvm |= text.split_whitespace().any(|w| java(w) || w.starts_with("-Xmx"));
            told.options(text);
        }
        if let Some(text) = last {
            told.jvm = true;
            told.options(text);
        }
        told
    }

    /// Whether it says nothing.
    pub fn nothing(&self) -> bool {
        *self == Self::default()
    }

    fn options(&mut self, text: &str) {
        for word in text.split_whitespace().map(|w| w.trim_matches(['"', '\''])) {
            let flag = word.strip_prefix("-XX:");
            if let Some(size) = word.strip_prefix("-Xmx").or_else(|| flag?.strip_prefix("MaxHeapSize=")) {
                (self.heap, self.elsewhere) = bytes(size).map_or((self.heap, true), |n| (Some(n), self.elsewhere));
            } else if let Some(share) = flag.and_then(|f| f.strip_prefix("MaxRAMPercentage=")) {
                self.share(share.parse::<f64>().ok().map(|p| p * 10.0));
            } else if let Some(part) = flag.and_then(|f| f.strip_prefix("MaxRAMFraction=")) {
                self.share(part.parse::<f64>().ok().filter(|n| *n >= 1.0).map(|n| 1000.0 / n));
            } else if flag.is_some_and(|f| f.starts_with("ActiveProcessorCount=")) {
                self.jvm_cpus = true;
            } else if let Some(sign) = flag.and_then(|f| f.strip_suffix("UseContainerSupport")) {
                self.unaware = sign == "-";
            } else if word.starts_with("$") && word.to_ascii_uppercase().contains("OPT") {
                self.elsewhere = true;
            }
        }
    }

    fn share(&mut self, thousandths: Option<f64>) {
        match thousandths.filter(|t| (0.0..=1000.0).contains(t)) {
            Some(t) => self.heap_share = Some(t as u32),
            None => self.elsewhere = true,
        }
    }
}

/// `512m`, `2g`, `1048576`: bytes, as the JVM reads them.
fn bytes(text: &str) -> Option<i64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: i64 = text[..end].parse().ok()?;
    let shift = match &text[end..] {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        "t" | "T" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn told(container: Value) -> Told {
        Told::of(&serde_json::from_value(container).unwrap())
    }

    #[test]
    fn heaps_and_processors() {
        let env = |name: &str, value: &str| told(json!({"env": [{"name": name, "value": value}]}));
        assert_eq!(
            (env("JAVA_TOOL_OPTIONS", "-Xms1g -Xmx2g").heap, env("KAFKA_HEAP_OPTS", "-Xmx512M").heap),
            (Some(2 << 30), Some(512 << 20))
        );
        assert_eq!(env("JAVA_OPTS", "-XX:MaxRAMPercentage=75.0").heap_share, Some(750));
        assert_eq!(env("JAVA_OPTS", "-XX:MaxRAMFraction=2").heap_share, Some(500));
        assert!(env("JAVA_OPTS", "-XX:-UseContainerSupport").unaware && !env("JAVA_OPTS", "-XX:+UseContainerSupport").unaware);
        assert!(env("JAVA_OPTS", "-XX:ActiveProcessorCount=2").jvm_cpus && env("GOMAXPROCS", "2").go_cpus);
        assert!(told(json!({"env": [{"name": "LOG_LEVEL", "value": "info"}]})).nothing());
    }

    #[test]
    fn the_last_word_counts_and_what_is_not_seen_is_known_not_to_be() {
        let both = told(
            json!({"env": [{"name": "JAVA_TOOL_OPTIONS", "value": "-Xmx1g"}], "command": ["sh", "-c", "exec java -Xmx2g -jar /app.jar"]}),
        );
        assert_eq!((both.jvm, both.heap, both.elsewhere), (true, Some(2 << 30), false));
        let last = told(json!({"env": [{"name": "_JAVA_OPTIONS", "value": "-Xmx3g"}], "args": ["-Xmx2g"]}));
        assert_eq!(last.heap, Some(3 << 30));
        for container in [
            json!({"env": [{"name": "JAVA_OPTS", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]}),
            json!({"envFrom": [{"configMapRef": {"name": "c"}}], "command": ["java"]}),
            json!({"command": ["sh", "-c", "java $JAVA_OPTS -jar a.jar"]}),
            json!({"args": ["-Xmx${HEAP}"]}),
        ] {
            let told = told(container.clone());
            assert!(told.elsewhere && told.heap.is_none(), "{container}");
        }
    }
}
