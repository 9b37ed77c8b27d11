//! How many endpoints each Service has: sums over its slices, kept by adding and taking away single ones.

use super::uses::{Place, Sought};
use crate::model::endpoints::AddressType;
use crate::model::{EndpointSlice, Endpoints};
use hashbrown::HashMap;

/// The Services of one cluster that have slices.
#[derive(Default)]
pub struct EndpointsOf {
    /// By the addresses of the slices; with how many there are.
    sums: HashMap<Place, [(u32, Endpoints); 3]>,
}

fn lane(addresses: AddressType) -> usize {
    match addresses {
        AddressType::V4 => 0,
        AddressType::V6 => 1,
        AddressType::Other => 2,
    }
}

impl EndpointsOf {
    pub fn add(&mut self, slice: &EndpointSlice) {
        let Some(service) = &slice.service else { return };
        let sums = self.sums.entry(Place(slice.meta.namespace.clone(), service.clone())).or_default();
        let (slices, sum) = &mut sums[lane(slice.addresses)];
        *slices += 1;
        sum.add(slice.endpoints);
    }

    pub fn take(&mut self, slice: &EndpointSlice) {
        let Some(service) = &slice.service else { return };
        let sought = Sought(&slice.meta.namespace, service);
        let Some(sums) = self.sums.get_mut(&sought) else { return };
        let (slices, sum) = &mut sums[lane(slice.addresses)];
        *slices -= 1;
        sum.take(slice.endpoints);
        if sums.iter().all(|(slices, _)| *slices == 0) {
            self.sums.remove(&sought);
        }
    }

    /// None where there is no slice. Pods with addresses of both families count once.
    pub fn of(&self, namespace: &str, service: &str) -> Option<Endpoints> {
        let sums = self.sums.get(&Sought(namespace, service))?;
        sums.iter().map(|(_, sum)| *sum).max_by_key(|s| (s.all, s.ready))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Interner, Kind, Object, decode_json};
    use serde_json::json;

    fn slice(name: &str, family: &str, ready: usize, unready: usize) -> EndpointSlice {
        let endpoint = |ready: bool| json!({"addresses": ["x"], "conditions": {"ready": ready}});
        let all: Vec<_> = std::iter::repeat_n(endpoint(true), ready).chain(std::iter::repeat_n(endpoint(false), unready)).collect();
        let value = json!({"metadata": {"name": name, "namespace": "pay", "uid": name, "labels": {"kubernetes.io/service-name": "web"}}, "addressType": family, "endpoints": all});
        match decode_json(Kind::EndpointSlice, value.to_string().as_bytes(), &mut Interner::default()).unwrap() {
            Object::EndpointSlice(s) => EndpointSlice::clone(&s),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn slices_add_up_and_both_families_count_once() {
        let mut all = EndpointsOf::default();
        let counts = |all: &EndpointsOf| all.of("pay", "web").map(|e| (e.ready, e.all));
        assert_eq!(counts(&all), None);
        for s in [slice("a", "IPv4", 2, 1), slice("b", "IPv4", 1, 0), slice("c", "IPv6", 3, 1)] {
            all.add(&s);
        }
        assert_eq!(counts(&all), Some((3, 4)));
        assert_eq!(all.of("shop", "web"), None);
        all.take(&slice("b", "IPv4", 1, 0));
        all.take(&slice("c", "IPv6", 3, 1));
        assert_eq!(counts(&all), Some((2, 3)));
        all.take(&slice("a", "IPv4", 2, 1));
        assert_eq!(counts(&all), None);
    }
}
