//! Pages to read that rules name, those of one's own too.

use super::*;

#[test]
fn links_of_ones_own_rule_are_checked_and_shown() {
    let (dir, config) = house();
    let run = |args: &[&str]| qd(dir.path(), &[&["--config", &config][..], args].concat());
    let file = dir.path().join("rules/few.toml");
    let linked = |link: &str| OWN.replace("least = 3\n", &format!("least = 3\nlinks = ['http://wiki/few#why', '{link}']\n"));
    std::fs::write(&file, linked("https://wiki.example.com/few")).unwrap();
    let (_, out, _) = run(&["rule", "show", "few"]);
    assert!(out.contains("read       http://wiki/few#why\n") && out.contains("read       https://wiki.example.com/few\n"), "{out}");
    let (_, out, _) = run(&["rule", "show", "few", "-o", "json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["links"], serde_json::json!(["http://wiki/few#why", "https://wiki.example.com/few"]));
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2}\n";
    let web = dir.path().join("web.yaml");
    std::fs::write(&web, deployment).unwrap();
    let web = web.to_str().unwrap();
    let (_, out, err) = run(&["inspect", "--file", web, "-o", "html"]);
    assert!(out.contains("<a href=\"http://wiki/few#why\" rel=\"noreferrer\">http://wiki/few#why</a>"), "{out}{err}");
    std::fs::write(&file, linked("wiki.example.com/few")).unwrap();
    let (code, _, err) = run(&["inspect", "--file", web]);
    assert!(code == 2 && err.contains("few.toml:7:33: expected an address that begins with http:// or https://"), "{code} {err}");
}

#[test]
fn the_links_of_a_rule_are_shown() {
    let dir = room();
    let (_, out, _) = qd(dir.path(), &["rule", "show", "node-not-ready"]);
    assert!(out.contains("read       https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubenodenotready/\n"), "{out}");
    let (_, out, _) = qd(dir.path(), &["rule", "show", "pdb-missing", "-o", "json"]);
    assert!(out.contains("\"https://kubernetes.io/docs/tasks/run-application/configure-pdb/\""), "{out}");
}
