//! EndpointSlices: how many endpoints a Service has, and how these are. Their addresses are not kept.

use super::{Interner, Labels, Meta, Str, Uid, time, wire};

/// How many endpoints there are, and how many of them are so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Endpoints {
    pub all: u32,
    /// Get new connections.
    pub ready: u32,
    /// Answer, the terminating among them.
    pub serving: u32,
    pub terminating: u32,
}

impl Endpoints {
    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.all += other.all;
        self.ready += other.ready;
        self.serving += other.serving;
        self.terminating += other.terminating;
    }
    /// Takes others away that were added before.
    pub fn take(&mut self, other: Self) {
        self.all -= other.all;
        self.ready -= other.ready;
        self.serving -= other.serving;
        self.terminating -= other.terminating;
    }
}

/// What addresses a slice has: the pods of a dual-stack Service are in slices of both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressType {
    V4,
    V6,
    Other,
}

/// An EndpointSlice (discovery.k8s.io/v1).
#[derive(Clone, PartialEq, Debug)]
pub struct EndpointSlice {
    /// Without labels, owner and finalizers: there are many of them.
    pub meta: Meta,
    /// The Service in its namespace; none: it is of none.
    pub service: Option<Str>,
    pub addresses: AddressType,
    pub endpoints: Endpoints,
}

const SERVICE: &str = "kubernetes.io/service-name";

impl EndpointSlice {
    /// Projects the wire's object.
    pub fn of(o: &wire::EndpointSlice, i: &mut Interner) -> Self {
        let none = wire::ObjectMeta::default();
        let meta = o.metadata.as_ref().unwrap_or(&none);
        let created = time::of(meta.creation_timestamp);
        let mut endpoints = Endpoints::default();
        for endpoint in &o.endpoints {
            let is = endpoint.conditions.clone().unwrap_or_default();
            let ready = is.ready.unwrap_or(true);
            endpoints.add(Endpoints {
                all: 1,
                ready: u32::from(ready),
                serving: u32::from(is.serving.unwrap_or(ready)),
                terminating: u32::from(is.terminating == Some(true)),
            });
        }
        Self {
            meta: Meta {
                version: meta.resource_version.parse().unwrap_or(0),
                ..Meta::bare(Uid::parse(&meta.uid), Str::from(&*meta.name), i.str(&meta.namespace), Labels::default(), created)
            },
            service: meta.labels.iter().find(|p| p.key == SERVICE).and_then(|p| i.opt(&p.value)),
            addresses: match o.address_type.as_str() {
                "IPv4" => AddressType::V4,
                "IPv6" => AddressType::V6,
                _ => AddressType::Other,
            },
            endpoints,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Object, decode_json, decode_proto, object::json_to_proto};
    use serde_json::json;

    #[test]
    fn both_encodings_count_the_same_and_keep_no_address() {
        let value = json!({"metadata": {"name": "web-x", "namespace": "shop", "uid": "u", "labels": {SERVICE: "web", "app": "web"}}, "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true, "serving": true, "terminating": false}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": false, "serving": true, "terminating": true}},
                {"addresses": ["10.0.0.3"], "conditions": {"ready": false}}, {"addresses": ["10.0.0.4"]}]});
        let mut i = Interner::default();
        let one = decode_json(Kind::EndpointSlice, value.to_string().as_bytes(), &mut i).unwrap();
        assert_eq!(one, decode_proto(Kind::EndpointSlice, &json_to_proto(Kind::EndpointSlice, &value).unwrap(), &mut i).unwrap());
        let Object::EndpointSlice(slice) = one else { panic!() };
        assert_eq!(slice.endpoints, Endpoints { all: 4, ready: 2, serving: 3, terminating: 1 });
        assert_eq!((slice.service.as_deref(), slice.addresses, slice.meta.labels.is_empty()), (Some("web"), AddressType::V4, true));
    }

    #[test]
    fn a_slice_stays_small() {
        assert!(size_of::<EndpointSlice>() <= 200, "{}", size_of::<EndpointSlice>());
    }
}
