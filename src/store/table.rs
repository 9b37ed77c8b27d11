//! One kind's rows in one cluster: slots that stay where they are, found by uid and by name, swept after a list.

use crate::model::{Object, Str, Uid};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use std::hash::BuildHasher as _;

/// Rows of one kind in one cluster.
#[derive(Default)]
pub struct Table {
    slots: Vec<Option<Object>>,
    /// The list that last named the row.
    seen: Vec<u32>,
    free: Vec<u32>,
    by_uid: HashTable<u32>,
    /// Empty where several rows may have one name.
    by_name: HashTable<u32>,
    hasher: DefaultHashBuilder,
    lists: HashMap<Option<Str>, u32>,
    list: u32,
}

/// What an upsert did.
pub enum Upsert {
    Added(u32),
    Changed(u32, Object),
    /// No projected field is different.
    Same,
}

impl Table {
    /// Rows in use.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The row in that slot.
    pub fn get(&self, slot: u32) -> Option<&Object> {
        self.slots.get(slot as usize)?.as_ref()
    }
    /// All rows with their slots.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Object)> {
        self.slots.iter().enumerate().filter_map(|(n, o)| Some((n as u32, o.as_ref()?)))
    }
    /// Where the object of that uid is.
    pub fn slot_of(&self, uid: Uid) -> Option<u32> {
        let slots = &self.slots;
        self.by_uid.find(self.hasher.hash_one(uid), |s| slots[*s as usize].as_ref().is_some_and(|o| o.meta().uid == uid)).copied()
    }

    /// The object of that name.
    pub fn named(&self, namespace: &str, name: &str) -> Option<&Object> {
        let is = |o: &&Object| &*o.meta().name == name && &*o.meta().namespace == namespace;
        if self.by_name.is_empty() {
            return self.iter().map(|(_, o)| o).find(is);
        }
        let here = |slot: &u32| self.get(*slot).as_ref().is_some_and(is);
        self.by_name.find(self.hasher.hash_one((namespace, name)), here).and_then(|slot| self.get(*slot))
    }

    pub(super) fn upsert(&mut self, object: Object) -> Upsert {
        let uid = object.meta().uid;
        if let Some(slot) = self.slot_of(uid) {
            self.seen[slot as usize] = self.list;
            let place = &mut self.slots[slot as usize];
            return match place {
                Some(old) if *old == object => {
                    *old = object;
                    Upsert::Same
                }
                _ => match place.replace(object) {
                    Some(before) => Upsert::Changed(slot, before),
                    None => Upsert::Added(slot),
                },
            };
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                self.seen.push(0);
                (self.slots.len() - 1) as u32
            }
        };
        self.slots[slot as usize] = Some(object);
        self.seen[slot as usize] = self.list;
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.by_uid.insert_unique(hasher.hash_one(uid), slot, |s| slots[*s as usize].as_ref().map_or(0, |o| hasher.hash_one(o.meta().uid)));
        let hash = |slot: u32| slots[slot as usize].as_ref().map_or(0, |o| hasher.hash_one((&*o.meta().namespace, &*o.meta().name)));
        if slots[slot as usize].as_ref().is_some_and(|o| o.kind().one_of_a_name()) {
            self.by_name.insert_unique(hash(slot), slot, |s| hash(*s));
        }
        Upsert::Added(slot)
    }

    pub(super) fn remove(&mut self, uid: Uid) -> Option<(u32, Object)> {
        let slots = &self.slots;
        let entry =
            self.by_uid.find_entry(self.hasher.hash_one(uid), |s| slots[*s as usize].as_ref().is_some_and(|o| o.meta().uid == uid)).ok()?;
        let (slot, _) = entry.remove();
        self.free.push(slot);
        let object = self.slots[slot as usize].take()?;
        let hash = self.hasher.hash_one((&*object.meta().namespace, &*object.meta().name));
        if let Ok(entry) = self.by_name.find_entry(hash, |s| *s == slot) {
            entry.remove();
        }
        Some((slot, object))
    }

    /// A list of this scope begins: what it does not name is gone at its end.
    pub(super) fn begin(&mut self, scope: Option<Str>) {
        self.list += 1;
        self.lists.insert(scope, self.list);
    }

    /// The uids in that scope that the list did not name.
    pub(super) fn unseen(&mut self, scope: Option<&Str>) -> Vec<Uid> {
        let Some(since) = self.lists.remove(&scope.cloned()) else { return Vec::new() };
        let gone = |(n, o): (usize, &Option<Object>)| {
            let o = o.as_ref()?;
            (self.seen[n] < since && scope.is_none_or(|ns| *ns == o.meta().namespace)).then(|| o.meta().uid)
        };
        self.slots.iter().enumerate().filter_map(gone).collect()
    }

    pub(super) fn shrink(&mut self) {
        self.slots.shrink_to_fit();
        self.seen.shrink_to_fit();
    }
}
