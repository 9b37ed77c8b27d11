//! Runs the suite's tests one after the other (they kill each other's servers) and says what was skipped, in cargo's own format.

use super::lab::Lab;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

pub struct Test {
    pub name: &'static str,
    pub run: fn(&Lab),
}

/// Of libtest's arguments those that matter to one that runs alone: names to run, `--exact`, `--skip`, `--list`.
struct Wanted {
    names: Vec<String>,
    skip: Vec<String>,
    exact: bool,
    list: bool,
}

fn wanted() -> Wanted {
    let mut w = Wanted { names: Vec::new(), skip: Vec::new(), exact: false, list: false };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--list" => w.list = true,
            "--exact" => w.exact = true,
            "--skip" => w.skip.extend(args.next()),
            "--test-threads" | "--format" | "--color" | "--logfile" | "--report-time" | "-Z" => drop(args.next()),
            name if !name.starts_with('-') => w.names.push(name.to_owned()),
            _ => {}
        }
    }
    w
}

pub fn main(tests: &[Test]) -> ExitCode {
    let wanted = wanted();
    let hit = |name: &str, of: &String| if wanted.exact { name == of } else { name.contains(of.as_str()) };
    let chosen: Vec<&Test> = tests
        .iter()
        .filter(|t| (wanted.names.is_empty() || wanted.names.iter().any(|n| hit(t.name, n))) && !wanted.skip.iter().any(|n| hit(t.name, n)))
        .collect();
    if wanted.list {
        chosen.iter().for_each(|t| println!("{}: test", t.name));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} test{}", chosen.len(), if chosen.len() == 1 { "" } else { "s" });
    let (began, lab) = (Instant::now(), Lab::open());
    let (mut passed, mut failed) = (0, Vec::new());
    for test in &chosen {
        let Some(lab) = &lab else {
            println!("test {} ... ignored, needs real control planes: tests/lab/run", test.name);
            continue;
        };
        let at = Instant::now();
        let ok = catch_unwind(AssertUnwindSafe(|| (test.run)(lab))).is_ok();
        println!("test {} ... {} ({:.1} s)", test.name, if ok { "ok" } else { "FAILED" }, at.elapsed().as_secs_f32());
        if ok { passed += 1 } else { failed.push(test.name) }
    }
    if !failed.is_empty() {
        println!("\nfailures:\n    {}", failed.join("\n    "));
    }
    let ignored = if lab.is_none() { chosen.len() } else { 0 };
    if ignored > 0 {
        println!("\nskipped: the real-server suite, {ignored} tests; tests/lab/run brings two control planes up and runs everything");
    }
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {} failed; {ignored} ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        failed.len(),
        tests.len() - chosen.len(),
        began.elapsed().as_secs_f32()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
