//! Rows for people and for scripts.

use super::args::Output;
use super::fail::Failure;
use crate::model::{Kind, MovedData, Object};
use crate::runtime::{Fleet, now};
use crate::store::{Cluster, Store};
use crate::table::{Align, Column, Ctx, Row, RowKey, Show, Subject};
use crate::view::width;
use serde_json::{Value, json};
use std::io::Write as _;

/// How each cluster stands, beside the items.
fn clusters(store: &Store) -> Vec<Value> {
    let at = now();
    store
        .clusters()
        .iter()
        .map(|c| json!({"name": &*c.info.name, "state": c.state.word(), "age_s": c.age(at), "message": c.state.reason()}))
        .collect()
}

/// Prints rows in the chosen form: the columns that are shown so.
pub fn rows(output: Output, ctx: &Ctx, subject: Subject, keys: &[RowKey]) -> Result<(), Failure> {
    let shown = |c: &&Column| match output {
        Output::Table => c.show == Show::Always,
        Output::Wide => c.show != Show::Hidden,
        _ => true,
    };
    let columns: Vec<&Column> = subject.columns().iter().filter(shown).filter(|c| c.unit != crate::table::Unit::Trend).collect();
    let rows: Vec<Row> = keys.iter().filter_map(|k| Row::of(ctx.store, *k)).collect();
    columns_of(output, ctx, subject, &columns, &rows, &[])
}

/// Field, title and value.
pub type Cell = (&'static str, &'static str, crate::table::Value<'static>);

/// Something that is printed below the rows, and stands beside the items in JSON.
pub struct Below {
    /// The field in JSON.
    pub id: &'static str,
    pub rows: Vec<Vec<Cell>>,
}

/// Prints these columns of these rows in the chosen form.
pub fn columns_of(
    output: Output,
    ctx: &Ctx,
    subject: Subject,
    columns: &[&'static Column],
    rows: &[Row],
    below: &[Below],
) -> Result<(), Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match output {
        Output::Json | Output::Yaml => {
            let item = |r: &Row| columns.iter().map(|c| (c.id.to_owned(), c.value(ctx, *r).json(ctx.now))).collect();
            let items: Vec<Value> = rows.iter().map(|r| Value::Object(item(r))).collect();
            let mut document = json!({"items": items, "clusters": clusters(ctx.store)});
            for part in below {
                let cells = |row: &Vec<(&str, &str, crate::table::Value)>| {
                    row.iter().map(|(id, _, value)| ((*id).to_owned(), value.json(ctx.now))).collect::<serde_json::Map<_, _>>()
                };
                document[part.id] = part.rows.iter().map(|row| Value::Object(cells(row))).collect();
            }
            if output == Output::Json {
                serde_json::to_writer_pretty(&mut out, &document).map_err(std::io::Error::from)?;
                writeln!(out)?;
            } else {
                write!(out, "{}", crate::doc::Doc::new(&document).text())?;
            }
        }
        Output::Markdown | Output::Html | Output::Sarif | Output::Junit | Output::Metrics => {
            return Err(Failure::usage("only `qd inspect` writes reports: -o markdown, html, sarif, junit, metrics"));
        }
        Output::Name => {
            for row in rows {
                match row.object() {
                    Some(o) => writeln!(out, "{}/{}", o.kind().name().to_lowercase(), row.name())?,
                    None => writeln!(out, "cluster/{}", row.name())?,
                }
            }
        }
        Output::Csv => {
            writeln!(out, "{}", columns.iter().map(|c| c.id).collect::<Vec<_>>().join(","))?;
            for row in rows {
                let cells = columns.iter().map(|c| csv(&plain(&c.value(ctx, *row).json(ctx.now))));
                writeln!(out, "{}", cells.collect::<Vec<_>>().join(","))?;
            }
        }
        Output::Table | Output::Wide => {
            let titles: Vec<(&str, Align)> = columns.iter().map(|c| (c.title, c.align)).collect();
            let cells: Vec<Vec<String>> =
                rows.iter().map(|r| columns.iter().map(|c| clean(&c.value(ctx, *r).text(ctx.now))).collect()).collect();
            grid(&mut out, &titles, &cells)?;
            for part in below.iter().filter(|part| !part.rows.is_empty()) {
                let titles: Vec<(&str, Align)> =
                    part.rows[0].iter().enumerate().map(|(n, cell)| (cell.1, if n == 0 { Align::Left } else { Align::Right })).collect();
                let cells: Vec<Vec<String>> =
                    part.rows.iter().map(|row| row.iter().map(|cell| clean(&cell.2.text(ctx.now))).collect()).collect();
                writeln!(out)?;
                grid(&mut out, &titles, &cells)?;
            }
            if rows.is_empty() {
                eprintln!("qd: no {}", subject.name());
            }
        }
    }
    out.flush()?;
    Ok(())
}

/// A table with its titles, as wide as what is in it.
pub fn grid(out: &mut impl std::io::Write, titles: &[(&str, Align)], cells: &[Vec<String>]) -> std::io::Result<()> {
    let most = |n: usize, title: &str| cells.iter().map(|r| width(&r[n])).max().unwrap_or(0).max(title.len());
    let widths: Vec<usize> = titles.iter().enumerate().map(|(n, (title, _))| most(n, title)).collect();
    let line = |texts: Vec<&str>| {
        let mut text = String::new();
        for (n, cell) in texts.iter().enumerate() {
            let pad = " ".repeat(widths[n].saturating_sub(width(cell)));
            let (a, b) = if titles[n].1 == Align::Right { (pad.as_str(), *cell) } else { (*cell, pad.as_str()) };
            text.push_str(a);
            text.push_str(b);
            text.push_str("  ");
        }
        text.truncate(text.trim_end().len());
        text
    };
    writeln!(out, "{}", line(titles.iter().map(|t| t.0).collect()))?;
    for row in cells {
        writeln!(out, "{}", line(row.iter().map(String::as_str).collect()))?;
    }
    Ok(())
}

/// Writes a text to standard output. `print!` would panic when whoever reads has gone.
pub fn text(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// A cell in one line.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

pub fn csv(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// Prints one object: why it is as it is, then its YAML with secrets masked.
pub fn description(
    output: Output,
    fleet: &Fleet,
    (cluster, object): (&Cluster, &Object),
    full: Result<Value, String>,
    moved: Option<&MovedData>,
) -> Result<(), Failure> {
    let at = now();
    let mut sections = crate::inspect::explain::explain(&fleet.engine, &fleet.store, cluster, object, at);
    crate::inspect::explain::with_moved(&mut sections, moved);
    let masked = full.map(|mut v| {
        crate::doc::redact(&mut v, crate::doc::Mask::Ascii);
        v
    });
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if output == Output::Json {
        let sections: Vec<Value> = sections
            .iter()
            .map(|s| json!({"title": s.title, "lines": s.lines.iter().map(|l| json!({"label": l.label, "text": l.text})).collect::<Vec<_>>()}))
            .collect();
        let m = object.meta();
        let mut document = json!({"cluster": &*cluster.info.name, "kind": object.kind().name(), "namespace": (!m.namespace.is_empty()).then_some(&*m.namespace), "name": &*m.name,
            "why": sections, "object": masked.as_ref().ok(), "message": masked.as_ref().err()});
        if object.kind() == Kind::Backup {
            document["volume_bytes"] = moved.map(|m| m.bytes).into();
        }
        serde_json::to_writer_pretty(&mut out, &document).map_err(std::io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    let m = object.meta();
    let place = if m.namespace.is_empty() { String::new() } else { format!("{}/", m.namespace) };
    writeln!(out, "{} {place}{} in {}", object.kind().name(), m.name, cluster.info.name)?;
    for section in sections {
        writeln!(out, "\n{}", section.title)?;
        let label = section.lines.iter().map(|l| width(&l.label)).max().unwrap_or(0);
        for line in section.lines {
            writeln!(out, "  {}{}  {}", line.label, " ".repeat(label - width(&line.label)), clean(&line.text))?;
        }
    }
    writeln!(out, "\nYAML")?;
    match masked {
        Ok(value) => {
            let doc = crate::doc::Doc::new(&value);
            for at in doc.visible() {
                if let Some(line) = doc.shown(at) {
                    writeln!(out, "  {}", line.text)?;
                }
            }
        }
        Err(reason) => writeln!(out, "  not fetched: {reason}")?,
    }
    out.flush()?;
    Ok(())
}
