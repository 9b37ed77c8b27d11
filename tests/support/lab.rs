//! The lab that `QD_LAB` names: real control planes, what kubectl says of them, and `qd` run against them.

use super::derive::World;
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The contexts that `tests/lab/run` brings up; the second one is the older Kubernetes.
pub const CONTEXTS: [&str; 2] = ["lab-1", "lab-2"];

pub struct Lab {
    home: PathBuf,
    /// Where its binaries are.
    bin: PathBuf,
    /// Held by the test that runs its pair of Alertmanagers: there is one.
    alertmanagers: Mutex<()>,
    /// Held by the test that defines kinds, or needs that there are none.
    definitions: Mutex<()>,
}

/// Which of a lab's hundreds of ports tests' own clusters have: those after the two that all share.
static PLACES: Mutex<[bool; 7]> = Mutex::new([false; 7]);

/// A cluster that no other test touches, without any fault; it goes when the test ends.
pub struct Own {
    lab: Lab,
    place: usize,
    _dir: tempfile::TempDir,
}

impl std::ops::Deref for Own {
    type Target = Lab;
    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.lab.try_lab(&["down"]);
        PLACES.lock().unwrap()[self.place] = false;
    }
}

/// A directory for one run of `qd`: state, configuration and home, and nothing of the person's own.
pub struct Room {
    dir: tempfile::TempDir,
}

impl Room {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }
    /// What is in the log files of `qd`.
    pub fn log(&self) -> String {
        let files = std::fs::read_dir(self.state()).unwrap().map(|f| f.unwrap().path());
        files.filter(|f| f.extension().is_some_and(|e| e == "log")).map(|f| std::fs::read_to_string(f).unwrap()).collect()
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    /// What `qd` is to see of the environment.
    pub fn env(&self, kubeconfig: &Path) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("PATH", std::env::var_os("PATH").unwrap().into()),
            ("HOME", self.path("home")),
            ("XDG_CONFIG_HOME", self.path("config")),
            ("XDG_STATE_HOME", self.path("xdg")),
            ("QD_STATE_DIR", self.state()),
            ("KUBECONFIG", kubeconfig.into()),
            ("TERM", "xterm-256color".into()),
            ("LANG", "C.UTF-8".into()),
        ]
    }
    /// `qd` with these arguments, to its end.
    pub fn qd(&self, kubeconfig: &Path, args: &[&str]) -> Output {
        Command::new(QD).args(args).env_clear().envs(self.env(kubeconfig)).output().unwrap()
    }
    /// The JSON that `qd` prints, with its exit code and what it says on standard error.
    pub fn json(&self, kubeconfig: &Path, args: &[&str]) -> (Value, i32, String) {
        let out = self.qd(kubeconfig, args);
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        let value = serde_json::from_slice(&out.stdout)
            .unwrap_or_else(|e| panic!("qd {}: {e}\n{}\n{stderr}", args.join(" "), String::from_utf8_lossy(&out.stdout)));
        (value, out.status.code().unwrap_or(-1), stderr)
    }
}

/// The binary that cargo built for this test.
pub const QD: &str = env!("CARGO_BIN_EXE_qd");

impl Lab {
    /// The lab of `QD_LAB`, if there is one.
    pub fn open() -> Option<Self> {
        let home = PathBuf::from(std::env::var_os("QD_LAB").filter(|v| !v.is_empty())?);
        assert!(home.join("kubeconfig").is_file(), "QD_LAB={}: no lab there; tests/lab/lab up -n 2 --old makes one", home.display());
        let bin = std::env::var_os("LAB_BIN").filter(|v| !v.is_empty()).map_or_else(|| home.join("bin"), PathBuf::from);
        Some(Self { home, bin, alertmanagers: Mutex::default(), definitions: Mutex::default() })
    }
    /// Brings up a cluster of a test's own, its context `lab-1`, with this many nodes and members of etcd.
    pub fn own(&self, nodes: usize, etcd: usize) -> Own {
        self.own_with(nodes, etcd, &[])
    }
    /// The same with more arguments of `lab up`.
    pub fn own_with(&self, nodes: usize, etcd: usize, more: &[&str]) -> Own {
        // Beside this one: a temporary directory elsewhere may be too small for an etcd.
        let dir = tempfile::tempdir_in(self.home.parent().unwrap()).unwrap();
        let place = {
            let mut places = PLACES.lock().unwrap();
            let free = places.iter().position(|taken| !taken).unwrap();
            places[free] = true;
            free
        };
        let own = Own {
            lab: Self {
                home: dir.path().to_owned(),
                bin: self.bin.clone(),
                alertmanagers: Mutex::default(),
                definitions: Mutex::default(),
            },
            place,
            _dir: dir,
        };
        let port: u16 = std::fs::read_to_string(self.home.join("port")).unwrap().trim().parse().unwrap();
        // Its cluster has the hundred after its own port.
        std::fs::write(own.home.join("port"), (port + 200 + 100 * u16::try_from(place).unwrap()).to_string()).unwrap();
        own.lab(&[&["up", "-n", "1", "--etcd", &etcd.to_string()], more].concat());
        own.lab(&["fill", "lab-1", "--nodes", &nodes.to_string(), "--pods", "0"]);
        own
    }
    /// Waits until no other test runs the pair of Alertmanagers; one that failed has ended its own.
    pub fn alone_with_alertmanagers(&self) -> MutexGuard<'_, ()> {
        self.alertmanagers.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Waits until no other test has defined kinds: a short name would mean either.
    pub fn alone_with_definitions(&self) -> MutexGuard<'_, ()> {
        self.definitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub fn kubeconfig(&self) -> PathBuf {
        self.home.join("kubeconfig")
    }
    /// A file of one cluster: certificates, keys, logs.
    pub fn file(&self, context: &str, name: &str) -> PathBuf {
        self.home.join(context).join(name)
    }
    /// The same clusters, as somebody who may read neither Secrets nor nodes.
    pub fn viewer(&self) -> PathBuf {
        self.home.join("kubeconfig-viewer")
    }
    /// Runs `tests/lab/lab`, whatever comes of it.
    pub fn try_lab(&self, args: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/lab");
        Command::new(script).args(args).env("LAB_HOME", &self.home).env("LAB_BIN", &self.bin).env_remove("LAB_PORT").output().unwrap()
    }
    /// Runs `tests/lab/lab`.
    pub fn lab(&self, args: &[&str]) {
        let out = self.try_lab(args);
        assert!(
            out.status.success(),
            "lab {}: {}{}",
            args.join(" "),
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
    }
    /// A certificate of a cluster's authority for a client that may do all, from an hour ago until so many seconds from now, and its key.
    pub fn client_certificate(&self, context: &str, name: &str, life: i64) -> [String; 2] {
        let mut issuer = rcgen::CertificateParams::default();
        issuer.distinguished_name = rcgen::DistinguishedName::new();
        issuer.distinguished_name.push(rcgen::DnType::CommonName, "lab-ca");
        let key = std::fs::read_to_string(self.file(context, "ca.key")).unwrap();
        let issuer = rcgen::Issuer::new(issuer, rcgen::KeyPair::from_pem(&key).unwrap());
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "system:masters");
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let at = |secs: i64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(secs.unsigned_abs());
        (params.not_before, params.not_after) = (at(now() - 3600), at(now() + life));
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        [certificate.pem(), key.serialize_pem()]
    }
    /// Whether `lab velero` was done.
    pub fn has_velero(&self) -> bool {
        self.file(CONTEXTS[0], "velero.pid").is_file()
    }
    /// `kubectl`, whatever comes of it.
    pub fn try_kubectl<S: AsRef<OsStr>>(&self, context: &str, args: &[S]) -> Output {
        Command::new("kubectl").arg("--kubeconfig").arg(self.kubeconfig()).args(["--context", context]).args(args).output().unwrap()
    }
    pub fn kubectl<S: AsRef<OsStr>>(&self, context: &str, args: &[S]) -> String {
        let out = self.try_kubectl(context, args);
        assert!(out.status.success(), "kubectl: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }
    /// `kubectl apply` of these objects.
    pub fn apply(&self, context: &str, objects: &Value) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), objects.to_string()).unwrap();
        self.kubectl(context, &["apply", "-f", file.path().to_str().unwrap()]);
    }
    /// Everything that the comparison needs of one cluster.
    pub fn world(&self, context: &str) -> World {
        const KINDS: &str = "nodes,pods,deployments.apps,statefulsets.apps,daemonsets.apps,replicasets.apps,jobs.batch,cronjobs.batch,horizontalpodautoscalers.v2.autoscaling,poddisruptionbudgets.policy,events.v1.,namespaces,persistentvolumeclaims,services,endpointslices.discovery.k8s.io,ingresses.networking.k8s.io";
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let all = json(&self.kubectl(context, &["get", KINDS, "-A", "-o", "json"]));
        let mut lists = std::collections::BTreeMap::<String, Vec<Value>>::new();
        for o in all["items"].as_array().unwrap() {
            lists.entry(o["kind"].as_str().unwrap().into()).or_default().push(o.clone());
        }
        let version = json(&self.kubectl(context, &["version", "-o", "json"]));
        let config = json(&std::fs::read_to_string(self.kubeconfig()).unwrap());
        let server = config["clusters"].as_array().unwrap().iter().find(|c| c["name"] == context).unwrap()["cluster"]["server"].clone();
        World {
            context: context.into(),
            server: server.as_str().unwrap().into(),
            version: version["serverVersion"]["gitVersion"].as_str().unwrap().into(),
            lists,
        }
    }
}

pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// Asks again and again until there is an answer.
pub fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + limit;
    loop {
        match ask() {
            Ok(value) => return value,
            Err(e) => assert!(Instant::now() < end, "waited {} s for {what}\n{e}", limit.as_secs()),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
