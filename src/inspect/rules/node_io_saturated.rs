//! A node's disk is slower than what waits for it.
//!
//! A request of a disk that spins may take 50 ms, where node_exporter says which do. Left out: what a container writes into its own root filesystem
//! (cAdvisor counts volumes with it; needs the kubelet's statistics), and etcd on the same device.

use super::measured::{BASE, Measured, USUAL, after, held};
use crate::inspect::{Need, RuleInfo};
use crate::model::VerbId;

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "node-io-saturated",
        area: "node",
        scope: "node",
        summary: "More than 10 requests wait for a disk, one takes over 20 ms (50 where it spins), or everything waits for disks 5 % of the time, for 15 minutes; critical from 10 % on",
        why: "Writes into the container layer go through overlayfs copy-up on a disk shared with logs, images and every neighbour; the VM had its own disk.",
        needs: &[Need::Query("disk-queue")],
        thresholds: &[after("15m")],
        peers: &["node-mixin:NodeDiskIOSaturation"],
        links: &["https://docs.kernel.org/accounting/psi.html", "https://docs.kernel.org/filesystems/overlayfs.html"],
        ..BASE
    },
    queries: &["disk-queue", "disk-await", "io-pressure"],
    says: |seen| format!("{} {}: {}", seen.signal.title, seen.label("device"), seen.value()),
    next: "See who writes most; move that path to an emptyDir or a volume, cut logs, or give images a device of their own",
    more: |_, finding| {
        let on = finding.there();
        finding.act(VerbId::Cordon, on, &[])
    },
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

held!(900);
