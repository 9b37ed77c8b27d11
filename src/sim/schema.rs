//! The shape of the kinds that are served: which fields there are, what tells the items of a list apart, and how a protobuf body is read.
//!
//! The table is `schema.txt`, written by `tests/lab/schema` from the API's own .proto files. Kinds of custom resources have no shape:
//! every field of theirs is known.

use super::store::rfc3339;
use base64::Engine as _;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::LazyLock;

/// What tells the items of a list apart.
#[derive(PartialEq, Eq, Debug)]
pub enum Items {
    /// The list or map is one value.
    Whole,
    By(Vec<&'static str>),
    Set,
    /// The entries of a map, or no list.
    Apart,
}

/// One field of a message.
pub struct Field {
    pub name: &'static str,
    tag: u64,
    /// One of the letters of `schema.txt`, or a message.
    pub kind: &'static str,
    pub list: bool,
    pub map: bool,
    inline: bool,
    pub items: Items,
}

static TABLE: LazyLock<HashMap<&'static str, Vec<Field>>> = LazyLock::new(|| {
    let line = |line: &'static str| {
        let mut words = line.split(' ');
        Some((words.next()?, words.filter_map(field).collect()))
    };
    include_str!("schema.txt").lines().filter_map(line).collect()
});

fn field(text: &'static str) -> Option<Field> {
    let (name, rest) = text.split_once('=')?;
    let (tag, kind) = rest.split_once(':')?;
    let bare = kind.trim_start_matches(['*', '%', '+']);
    let end = bare.find(['[', '{']).unwrap_or(bare.len());
    let (list, map) = (kind.starts_with('*'), kind.starts_with('%'));
    let items = match &bare[end..] {
        "{}" => Items::Set,
        "[]" => Items::Whole,
        "" if list => Items::Whole,
        "" => Items::Apart,
        keys => Items::By(keys.trim_matches(['[', ']']).split(',').collect()),
    };
    Some(Field { name, tag: tag.parse().ok()?, kind: &bare[..end], list, map, inline: kind.starts_with('+'), items })
}

/// Whether anything is known about a kind.
pub fn known(kind: &str) -> bool {
    TABLE.contains_key(kind)
}

/// A field of a message, of what stands inside it too.
pub fn find(kind: &str, name: &str) -> Option<&'static Field> {
    let fields = TABLE.get(kind)?;
    fields.iter().find(|f| f.name == name && !f.inline).or_else(|| fields.iter().filter(|f| f.inline).find_map(|f| find(f.kind, name)))
}

/// Takes the fields away that the kind does not have; what they were, `spec.template.spec.hostNam`.
pub fn prune(kind: &str, value: &mut Value) -> Vec<String> {
    let mut found = Vec::new();
    if known(kind) {
        cut(kind, value, "", &mut found);
    }
    found
}

fn cut(kind: &str, value: &mut Value, path: &str, found: &mut Vec<String>) {
    let Value::Object(map) = value else { return };
    let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let strange: Vec<String> = map
        .keys()
        .filter(|k| find(kind, k).is_none() && !(path.is_empty() && matches!(k.as_str(), "apiVersion" | "kind")))
        .cloned()
        .collect();
    for name in strange {
        map.shift_remove(&name);
        found.push(at(&name));
    }
    for (name, inner) in map.iter_mut() {
        let Some(f) = find(kind, name).filter(|f| known(f.kind)) else { continue };
        match inner {
            Value::Array(items) => {
                items.iter_mut().enumerate().for_each(|(n, item)| cut(f.kind, item, &format!("{}[{n}]", at(name)), found));
            }
            Value::Object(entries) if f.map => entries.iter_mut().for_each(|(k, v)| cut(f.kind, v, &format!("{}.{k}", at(name)), found)),
            inner => cut(f.kind, inner, &at(name), found),
        }
    }
}

/// Numbers that are nothing when they are zero; others are there to say so.
const NOTHING_AT_ZERO: [&str; 10] = [
    "minReadySeconds",
    "hostPort",
    "generation",
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
    "priority",
    "revision",
];
/// Switches that say something when they are off.
const OFF_COUNTS: [&str; 10] = [
    "automountServiceAccountToken",
    "enableServiceLinks",
    "controller",
    "blockOwnerDeletion",
    "suspend",
    "immutable",
    "optional",
    "allowPrivilegeEscalation",
    "runAsNonRoot",
    "readOnlyRootFilesystem",
];

/// A protobuf message as JSON.
///
/// # Errors
/// Bytes that are no such message.
pub fn decode(kind: &str, bytes: &[u8]) -> Result<Value, String> {
    let mut map = Map::new();
    message(kind, bytes, &mut map)?;
    Ok(Value::Object(map))
}

/// One field of the wire: its tag, and a number or bytes.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn wire<'a>(rest: &mut &'a [u8]) -> Result<(u64, Wire<'a>), String> {
    let broken = |_| "the body breaks off".to_owned();
    let key = prost::encoding::decode_varint(rest).map_err(broken)?;
    let take = |n: usize, rest: &mut &'a [u8]| {
        let (piece, left) = rest.split_at_checked(n).ok_or("the body breaks off")?;
        *rest = left;
        Ok::<&'a [u8], String>(piece)
    };
    let value = match key & 7 {
        0 => Wire::Number(prost::encoding::decode_varint(rest).map_err(broken)?),
        1 => Wire::Bytes(take(8, rest)?),
        2 => {
            let length = prost::encoding::decode_varint(rest).map_err(broken)?;
            Wire::Bytes(take(usize::try_from(length).unwrap_or(usize::MAX), rest)?)
        }
        5 => Wire::Bytes(take(4, rest)?),
        other => return Err(format!("wire type {other}")),
    };
    Ok((key >> 3, value))
}

fn message(kind: &str, mut rest: &[u8], map: &mut Map<String, Value>) -> Result<(), String> {
    let fields = TABLE.get(kind).ok_or_else(|| format!("{kind} cannot be read"))?;
    while !rest.is_empty() {
        let (tag, value) = wire(&mut rest)?;
        let Some(f) = fields.iter().find(|f| f.tag == tag) else { continue };
        match value {
            Wire::Bytes(bytes) if f.inline => message(f.kind, bytes, map)?,
            Wire::Bytes(bytes) if f.map => {
                let (mut key, mut inner, mut entry) = (String::new(), one(f, Wire::Bytes(&[]))?, bytes);
                while !entry.is_empty() {
                    match wire(&mut entry)? {
                        (1, Wire::Bytes(b)) => key = String::from_utf8_lossy(b).into_owned(),
                        (2, v) => inner = one(f, v)?,
                        _ => {}
                    }
                }
                map.entry(f.name).or_insert_with(|| json!({}))[key] = inner;
            }
            value if f.list => {
                let item = one(f, value)?;
                if let Value::Array(all) = map.entry(f.name).or_insert_with(|| json!([])) {
                    all.push(item);
                }
            }
            value => {
                let inner = one(f, value)?;
                let nothing = match &inner {
                    Value::Null => true,
                    Value::String(text) => text.is_empty(),
                    Value::Number(n) => n.as_i64() == Some(0) && NOTHING_AT_ZERO.contains(&f.name),
                    Value::Bool(on) => !on && !OFF_COUNTS.contains(&f.name),
                    Value::Object(inner) => inner.is_empty() && f.name == "status",
                    Value::Array(_) => false,
                };
                if !nothing {
                    map.insert(f.name.to_owned(), inner);
                }
            }
        }
    }
    Ok(())
}

/// Numbers and texts of a small message, by tag.
type Parts<'a> = (HashMap<u64, i64>, HashMap<u64, &'a [u8]>);

fn one(f: &Field, value: Wire<'_>) -> Result<Value, String> {
    let bytes = match value {
        Wire::Number(n) if f.kind == "b" => return Ok(json!(n != 0)),
        Wire::Number(n) => return Ok(json!(n.cast_signed())),
        Wire::Bytes(bytes) => bytes,
    };
    let parts = || -> Result<Parts<'_>, String> {
        let (mut rest, mut numbers, mut texts) = (bytes, HashMap::new(), HashMap::new());
        while !rest.is_empty() {
            match wire(&mut rest)? {
                (tag, Wire::Number(n)) => drop(numbers.insert(tag, n.cast_signed())),
                (tag, Wire::Bytes(b)) => drop(texts.insert(tag, b)),
            }
        }
        Ok((numbers, texts))
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(match f.kind {
        "s" => json!(text(bytes)),
        "y" => json!(base64::engine::general_purpose::STANDARD.encode(bytes)),
        "q" => json!(parts()?.1.get(&1).map(|b| text(b)).unwrap_or_default()),
        "t" => parts()?.0.get(&1).map_or(Value::Null, |seconds| json!(rfc3339(*seconds))),
        "o" => {
            let (numbers, texts) = parts()?;
            match numbers.get(&1) {
                Some(1) => json!(texts.get(&3).map(|b| text(b)).unwrap_or_default()),
                _ => json!(numbers.get(&2).copied().unwrap_or(0)),
            }
        }
        "r" => parts()?.1.get(&1).map_or(Value::Null, |raw| serde_json::from_slice(raw).unwrap_or(Value::Null)),
        kind => decode(kind, bytes)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_that_is_served_has_its_shape() {
        for r in super::super::register::REGISTER.iter().filter(|r| !["keda.sh", "velero.io", "wgpolicyk8s.io"].contains(&r.group)) {
            assert!(known(r.kind), "{}", r.kind);
        }
        let ports = find("Container", "ports").unwrap();
        assert_eq!((ports.kind, &ports.items), ("ContainerPort", &Items::By(vec!["containerPort", "protocol"])));
        assert_eq!(find("Volume", "emptyDir").unwrap().kind, "EmptyDirVolumeSource", "what stands inside counts");
        assert!(find("Container", "limits").is_none());
    }

    #[test]
    fn fields_that_there_are_not_are_named_and_taken_away() {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"any": "thing"}},
            "spec": {"containers": [{"name": "a", "imag": "x", "resources": {"limits": {"cpu": "1"}}}], "volumes": [{"name": "v", "emptyDir": {}}], "hostNam": "h"}});
        assert_eq!(prune("Pod", &mut pod), ["spec.hostNam", "spec.containers[0].imag"]);
        assert_eq!(prune("Pod", &mut pod), Vec::<String>::new());
        assert_eq!(prune("ScaledObject", &mut json!({"spec": {"any": 1}})), Vec::<String>::new());
    }

    #[test]
    fn protobuf_is_read_as_the_json_it_would_have_been() {
        // Made by hand: name "w", no replicas, a selector, a strategy without a type, a container that asks for a CPU, an empty status.
        let bytes = b"\x0a\x05\x0a\x01w\x1a\x00\x12:\x08\x00\x12\x0a\x0a\x08\x0a\x03app\x12\x01w\x1a\x15\x12\x13\x12\x11\x0a\x01cB\x0c\x12\x0a\x0a\x03cpu\x12\x03\x0a\x011\x22\x0f\x0a\x00\x12\x0b\x12\x09\x08\x01\x10\x00\x1a\x0325%(\x008\x00\x1a\x00";
        let read = decode("Deployment", bytes).unwrap();
        assert_eq!(
            read,
            json!({"metadata": {"name": "w"}, "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "w"}},
                "template": {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]}}, "strategy": {"rollingUpdate": {"maxSurge": "25%"}}}})
        );
        assert!(decode("Deployment", &bytes[..20]).is_err());
    }
}
