//! `qd etcd status`, `hash`, `verify` and `restore-plan`: what is read of etcd and of its snapshots. Nothing here changes anything.

use super::super::args::{Global, Output};
use super::super::fail::{Code, Failure};
use super::super::read;
use super::{Seen, following};
use crate::action::etcd::hashes;
use crate::action::snapfile::verify;
use crate::model::{EtcdId, Kind, Object};
use crate::runtime::Fleet;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;
use std::io::Write as _;
use std::path::Path;

/// Revisions that are left out after a restore, so that no watch goes on from one that was handed out after the snapshot.
const BUMP: u64 = 1_000_000_000;

/// The subcommands.
pub fn commands() -> [Command; 4] {
    let file = || Arg::new("file").value_name("FILE").required(true).help("The snapshot");
    let status = Command::new("status")
        .about("How each member stands; the same as qd get etcd")
        .after_help("Example:\n  qd etcd status --context lab-1 -o json");
    let hash = Command::new("hash")
        .about("Compare what the members hold, by their hashes of all keys at one revision")
        .after_help("Each member reads all its keys for it.\n\nExit code: 0 when all answered and none differs, 1 when some differ, 3 when a member did not answer.\n\nExample:\n  qd etcd hash --context lab-1");
    let verified = Command::new("verify")
        .about("Whether a snapshot is whole: its SHA-256, and the database in it")
        .after_help("Exit code: 0 when it is, 1 when it is not.\n\nExample:\n  qd etcd verify lab-1.db")
        .arg(file());
    let plan = Command::new("restore-plan")
        .about("The commands that bring a cluster back from a snapshot, member by member; nothing is done")
        .after_help("The members are those that etcd has or had; where none is reached, name them.\n\nExample:\n  qd etcd restore-plan lab-1.db --context lab-1")
        .arg(file())
        .arg(
            Arg::new("member")
                .long("member")
                .value_name("NAME=PEER-URL")
                .action(ArgAction::Append)
                .help("A member of the cluster that is to be; may be given several times"),
        )
        .arg(Arg::new("data_dir").long("data-dir").value_name("DIR").default_value("/var/lib/etcd").help("Where etcd's data is on each"));
    [status, hash, verified, plan]
}

/// Runs one of them, if one was typed.
pub fn chosen(global: &Global, matches: &ArgMatches) -> Option<Result<Code, Failure>> {
    let ("etcd", inner) = matches.subcommand()? else { return None };
    match inner.subcommand()? {
        ("status", _) => Some(read::get(global, "etcd", &[])),
        ("hash", _) => Some(compare(global)),
        ("verify", inner) => Some(whole(global, inner)),
        ("restore-plan", inner) => Some(restore(global, inner)),
        _ => None,
    }
}

fn compare(global: &Global) -> Result<Code, Failure> {
    let json = global.output == Output::Json;
    following(global, Seen::Etcd, async |fleet, _| {
        let (mut code, mut items) = (Code::Done, Vec::new());
        let clusters: Vec<_> = fleet.store.clusters().iter().map(|c| (c.id, c.info.name.clone())).collect();
        for (id, cluster) in clusters {
            let clients = fleet.clients();
            let found = match fleet.alongside(hashes(&clients, id)).await {
                Ok(found) => found,
                Err(why) => {
                    code = if code == Code::Failed { code } else { Code::Partial };
                    eprintln!("qd: {cluster}: {why}");
                    continue;
                }
            };
            for m in &found.members {
                let (hash, compacted, why) = match &m.answer {
                    Ok((hash, compacted)) => (Some(format!("{hash:08x}")), Some(compacted), None),
                    Err(why) => (None, None, Some(why)),
                };
                if why.is_some() && code == Code::Done {
                    code = Code::Partial;
                }
                if json {
                    items.push(json!({"cluster": &*cluster, "kind": "EtcdMember", "namespace": null, "name": m.name, "id": EtcdId(m.id),
                        "revision": found.revision, "hash": hash, "compact_revision": compacted, "message": why}));
                } else {
                    let said = why.cloned().unwrap_or_else(|| format!("compacted to {}", compacted.copied().unwrap_or(0)));
                    writeln!(
                        std::io::stdout(),
                        "{cluster}  {}  {}  at revision {}, {said}",
                        m.name,
                        hash.as_deref().unwrap_or("-"),
                        found.revision
                    )?;
                }
            }
            if let Some(why) = found.differ() {
                code = Code::Failed;
                eprintln!("qd: {cluster}: {why}");
            }
        }
        if json {
            writeln!(std::io::stdout(), "{}", json!({"items": items}))?;
        }
        Ok(code)
    })
}

fn named(matches: &ArgMatches) -> &str {
    matches.get_one::<String>("file").map_or("", String::as_str)
}

fn whole(global: &Global, matches: &ArgMatches) -> Result<Code, Failure> {
    let file = named(matches);
    let found = verify(Path::new(file)).map_err(|e| Failure::failed("damaged", format!("{file}: {e}")))?;
    if global.output == Output::Json {
        writeln!(
            std::io::stdout(),
            "{}",
            json!({"file": file, "size_bytes": found.size, "sha256": found.sha256, "page_size_bytes": found.page_size, "transaction": found.transaction})
        )?;
    } else {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{file}: whole, {} bytes, transaction {}, page size {}", found.size, found.transaction, found.page_size)?;
        writeln!(out, "sha256 {}", found.sha256)?;
    }
    Ok(Code::Done)
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// The members: name and peer address.
fn known(fleet: &Fleet) -> Vec<(String, String)> {
    let clusters = fleet.store.clusters();
    let members = clusters.iter().flat_map(|c| c.objects(Kind::EtcdMember)).filter_map(|o| match o {
        // A learner is added again when the others are there.
        Object::EtcdMember(m) if !m.learner => Some((m.meta.name.to_string(), m.peers.first()?.to_string())),
        _ => None,
    });
    let mut members: Vec<_> = members.collect();
    members.sort();
    members
}

fn restore(global: &Global, matches: &ArgMatches) -> Result<Code, Failure> {
    let file = named(matches).to_owned();
    let data = matches.get_one::<String>("data_dir").cloned().unwrap_or_default();
    let given = matches.get_many::<String>("member").into_iter().flatten();
    let given: Vec<(String, String)> = given
        .map(|text| {
            let pair = text.split_once('=').filter(|(name, url)| !name.is_empty() && url.starts_with("http"));
            pair.map(|(n, u)| (n.to_owned(), u.to_owned())).ok_or_else(|| Failure::usage(format!("`{text}`: write NAME=https://HOST:2380")))
        })
        .collect::<Result<_, _>>()?;
    let checked = verify(Path::new(&file));
    let tell = |members: &[(String, String)]| {
        let (lines, mut out) = (steps(&file, &data, members), std::io::stdout().lock());
        if global.output == Output::Json {
            let whole = checked.as_ref().map(|w| w.sha256.clone()).map_err(ToString::to_string);
            let step = |(about, commands): &(String, Vec<String>)| json!({"about": about, "commands": commands});
            let steps: Vec<_> = lines.iter().map(step).collect();
            writeln!(out, "{}", json!({"file": file, "sha256": whole.as_ref().ok(), "damage": whole.as_ref().err(), "steps": steps}))?;
        } else {
            match &checked {
                Ok(found) => writeln!(out, "# {file} is whole: {} bytes, transaction {}", found.size, found.transaction)?,
                Err(e) => writeln!(out, "# NOT CHECKED: {file}: {e}")?,
            }
            for (about, commands) in &lines {
                writeln!(out, "\n# {about}\n{}", commands.join("\n"))?;
            }
        }
        Ok(if checked.is_ok() { Code::Done } else { Code::Failed })
    };
    if !given.is_empty() {
        return tell(&given);
    }
    following(global, Seen::Etcd, async |fleet, _| {
        let members = known(fleet);
        if members.is_empty() {
            return Err(Failure::failed("unreachable", "no member of etcd is reached").hint("--member NAME=PEER-URL, once for each"));
        }
        tell(&members)
    })
}

/// What is done, in order: what for, and the commands.
fn steps(file: &str, data: &str, members: &[(String, String)]) -> Vec<(String, Vec<String>)> {
    let initial = members.iter().map(|(name, url)| format!("{name}={url}")).collect::<Vec<_>>().join(",");
    let (new, old) = (format!("{data}.restored"), format!("{data}.before"));
    let token = format!("restored-{}", Path::new(file).file_stem().and_then(|s| s.to_str()).unwrap_or("snapshot"));
    let all: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    let all = all.join(", ");
    let mut steps = vec![
        (
            "Everywhere: stop the API servers, then etcd. With kubeadm both are static pods:".to_owned(),
            vec![
                "mkdir -p /etc/kubernetes/stopped".to_owned(),
                "mv /etc/kubernetes/manifests/kube-apiserver.yaml /etc/kubernetes/manifests/etcd.yaml /etc/kubernetes/stopped/".to_owned(),
            ],
        ),
        (format!("Copy the same file to each of {all}, and check it there"), vec![format!("qd etcd verify {}", quoted(file))]),
    ];
    for (name, url) in members {
        steps.push((format!("On {name}"), vec![
            format!(
                "etcdutl snapshot restore {} --name {} --initial-cluster {} --initial-cluster-token {} --initial-advertise-peer-urls {} --data-dir {} --bump-revision {BUMP} --mark-compacted",
                quoted(file), quoted(name), quoted(&initial), quoted(&token), quoted(url), quoted(&new)
            ),
            format!("mv {} {} && mv {} {}", quoted(data), quoted(&old), quoted(&new), quoted(data)),
        ]));
    }
    steps.push((
        "Everywhere, one soon after the other: start etcd; when it answers, the API servers".to_owned(),
        vec![
            "mv /etc/kubernetes/stopped/etcd.yaml /etc/kubernetes/manifests/".to_owned(),
            "mv /etc/kubernetes/stopped/kube-apiserver.yaml /etc/kubernetes/manifests/".to_owned(),
        ],
    ));
    steps.push((
        "Look; then restart the controllers, the scheduler and whatever watches, since revisions have jumped".to_owned(),
        vec!["qd etcd status".to_owned()],
    ));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_has_its_own_command_and_they_agree_on_the_cluster() {
        let members = [("a".to_owned(), "https://10.0.0.1:2380".to_owned()), ("b".to_owned(), "https://10.0.0.2:2380".to_owned())];
        let lines: Vec<String> = steps("/b/my snap.db", "/var/lib/etcd", &members).into_iter().flat_map(|(_, c)| c).collect();
        let restores: Vec<&String> = lines.iter().filter(|l| l.starts_with("etcdutl")).collect();
        assert_eq!(restores.len(), 2);
        for (line, name) in restores.iter().zip(["a", "b"]) {
            assert!(line.contains("'/b/my snap.db'") && line.contains(&format!("--name {name} ")), "{line}");
            assert!(line.contains("--initial-cluster a=https://10.0.0.1:2380,b=https://10.0.0.2:2380 "), "{line}");
        }
        assert!(restores[1].contains("--initial-advertise-peer-urls https://10.0.0.2:2380 "), "{}", restores[1]);
    }
}
