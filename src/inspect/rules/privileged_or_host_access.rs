//! Containers that are root on their node, or reach into it.
//!
//! In the namespaces of `infra_namespaces` it is info: what the cluster runs on needs the node.

use super::lint::{TEMPLATED, Whole, several};
use crate::inspect::{Judge, RuleInfo, Severity, Verdict};
use crate::model::template::HostMount;

pub static RULE: RuleInfo = RuleInfo {
    id: "privileged-or-host-access",
    area: "security",
    tier: 2,
    burns: false,
    severity: Severity::Critical,
    scope: "workload, by container",
    summary: "Critical: privileged, SYS_ADMIN or ALL, a runtime's socket, a writable path of the node's system; a warning: the node's namespaces, paths, ports, unsafe sysctls, other capabilities",
    why: "Such a container is root on the node, and through it on the cluster.",
    kinds: TEMPLATED,
    needs: &[],
    leans_on: &[],
    thresholds: &[],
    peers: &[
        "kube-score:container-security-context-privileged",
        "polaris:runAsPrivileged",
        "polaris:dangerousCapabilities",
        "polaris:hostPathSet",
        "polaris:hostNetworkSet",
        "polaris:hostPIDSet",
        "polaris:hostIPCSet",
        "polaris:hostPortSet",
        "polaris:hostProcess",
        "polaris:procMount",
        "kube-linter:privileged-container",
        "kube-linter:docker-sock",
        "kube-linter:sensitive-host-mounts",
        "kube-linter:writable-host-mount",
        "kube-linter:host-network",
        "kube-linter:host-pid",
        "kube-linter:host-ipc",
        "kube-linter:unsafe-proc-mount",
        "kube-linter:unsafe-sysctls",
    ],
    links: &["https://kubernetes.io/docs/concepts/security/pod-security-standards/"],
    judge,
};

/// Capabilities with which a process is as good as root on the node.
const ROOT: [&str; 2] = ["SYS_ADMIN", "ALL"];
/// Those that the baseline of Pod Security lets be added.
const HARMLESS: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const SOCKETS: [&str; 5] = ["docker.sock", "containerd.sock", "crio.sock", "cri-dockerd.sock", "dockershim.sock"];
/// Where the kubelet takes these of everybody (v1.32).
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// Whether what is written there changes the node.
fn system(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    matches!(path, "" | "/etc" | "/proc" | "/root" | "/boot" | "/usr" | "/var" | "/var/lib")
        || ["/var/lib/kubelet", "/etc/kubernetes", "/var/lib/etcd"].iter().any(|p| path == *p || path.starts_with(&format!("{p}/")))
}

fn socket(mount: &HostMount) -> bool {
    let last = mount.path.rsplit('/').next().unwrap_or_default();
    SOCKETS.contains(&last)
        || (matches!(mount.path.trim_end_matches('/'), "/run/containerd" | "/var/run/containerd" | "/run/crio" | "/var/run/crio"))
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(whole) = Whole::of(judge) else { return Verdict::Fine };
    let (mut worst, mut bad) = (Vec::<(String, String)>::new(), Vec::<(String, String)>::new());
    let template = whole.template;
    let pod = [("hostPID", template.host_pid), ("hostIPC", template.host_ipc), ("hostNetwork", whole.shape.host_network)];
    bad.extend(pod.iter().filter(|(_, on)| *on).map(|(field, _)| ((*field).to_owned(), "the pod".to_owned())));
    let unsafe_ones = template.sysctls.iter().filter(|s| !SAFE_SYSCTLS.contains(&&***s));
    bad.extend(unsafe_ones.map(|s| (format!("sysctl {s}"), "the pod".to_owned())));
    for c in &template.containers {
        let mut note = |critical: bool, what: String| if critical { &mut worst } else { &mut bad }.push((what, c.name.to_string()));
        if c.privileged {
            note(true, "privileged".to_owned());
        }
        if c.host_process {
            note(true, "hostProcess".to_owned());
        }
        if c.unmasked {
            note(false, "procMount Unmasked".to_owned());
        }
        for capability in c.capabilities.iter().filter(|cap| !HARMLESS.contains(&&***cap)) {
            note(ROOT.contains(&&**capability), format!("capability {capability}"));
        }
        for mount in &c.host_mounts {
            let writable = if mount.read_only { "" } else { ", writable" };
            note(socket(mount) || (!mount.read_only && system(&mount.path)), format!("hostPath {}{writable}", mount.path));
        }
        for port in &c.host_ports {
            // With the node's network every port is one of the node.
            if !whole.shape.host_network {
                note(false, format!("hostPort {port}"));
            }
        }
    }
    let severity = if worst.is_empty() { Severity::Warning } else { Severity::Critical };
    let all: Vec<_> = worst.into_iter().chain(bad).collect();
    if all.is_empty() {
        return Verdict::Fine;
    }
    let mut names: Vec<String> = Vec::new();
    for (what, _) in &all {
        if !names.contains(what) {
            names.push(what.clone());
        }
    }
    let mut finding = judge.finding(severity, None, several(names, 3));
    for (what, of) in all.iter().take(8) {
        finding = finding.with(what, of, None);
    }
    let finding = finding
        .with("Pod Security", "the level baseline refuses it", None)
        .then("Take it out, or narrow it: a read-only mount of one file, one capability; what needs the node belongs into a namespace of infra_namespaces");
    whole.verdict(judge, Some(finding.edit()))
}

#[cfg(test)]
mod tests {
    use super::super::lint::tests::{judged, one};
    use super::*;
    use serde_json::{Value, json};

    fn container(c: Value) -> Option<Severity> {
        one(RULE.id, c, false).map(|f| f.0)
    }

    fn path(path: &str, read_only: bool) -> Option<Severity> {
        let spec = json!({"volumes": [{"name": "v", "hostPath": {"path": path}}], "containers": [{"name": "a", "volumeMounts": [{"name": "v", "mountPath": "/m", "readOnly": read_only}]}]});
        judged(RULE.id, spec, false).map(|f| f.0)
    }

    #[test]
    fn what_makes_it_root() {
        assert_eq!(container(json!({})), None);
        assert_eq!(container(json!({"securityContext": {"privileged": true}})), Some(Severity::Critical));
        let cap = |c: &str| container(json!({"securityContext": {"capabilities": {"add": [c]}}}));
        assert_eq!(
            (cap("SYS_ADMIN"), cap("CAP_ALL"), cap("NET_ADMIN"), cap("NET_BIND_SERVICE")),
            (Some(Severity::Critical), Some(Severity::Critical), Some(Severity::Warning), None)
        );
        assert_eq!(
            (path("/", false), path("/etc/", false), path("/var/lib/kubelet/pods", false)),
            (Some(Severity::Critical), Some(Severity::Critical), Some(Severity::Critical))
        );
        assert_eq!(
            path("/run/containerd/containerd.sock", true),
            Some(Severity::Critical),
            "a socket takes orders through a read-only mount too"
        );
    }

    #[test]
    fn what_reaches_into_the_node() {
        assert_eq!(
            (path("/etc", true), path("/var/log", true), path("/data", false)),
            (Some(Severity::Warning), Some(Severity::Warning), Some(Severity::Warning))
        );
        assert_eq!(container(json!({"ports": [{"containerPort": 80, "hostPort": 80}]})), Some(Severity::Warning));
        assert_eq!(container(json!({"securityContext": {"procMount": "Unmasked"}})), Some(Severity::Warning));
        let spec = |mut s: Value| {
            s["containers"] = json!([{"name": "a"}]);
            judged(RULE.id, s, false)
        };
        assert_eq!(spec(json!({"hostPID": true, "hostIPC": true})).map(|f| f.1).as_deref(), Some("hostPID, hostIPC"));
        let sysctl = |name: &str| spec(json!({"securityContext": {"sysctls": [{"name": name, "value": "1"}]}})).map(|f| f.0);
        assert_eq!((sysctl("net.ipv4.tcp_syncookies"), sysctl("net.core.somaxconn")), (None, Some(Severity::Warning)));
    }
}
