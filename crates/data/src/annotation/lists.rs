use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::entry::AnnotationEntry;
use crate::study::Split;

/// Reads the lists `train`, `val` and `test` and ignores other keys.
pub(super) struct SplitLists;

impl<'de> Visitor<'de> for SplitLists {
    type Value = [Option<Vec<AnnotationEntry>>; 3];

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with the lists train, val and test")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut lists = [None, None, None];
        while let Some(key) = map.next_key::<String>()? {
            match Split::ALL.iter().position(|split| split.name() == key) {
                None => drop(map.next_value::<IgnoredAny>()?),
                Some(place) if lists[place].is_some() => {
                    return Err(serde::de::Error::custom(format!(
                        "the list '{key}' stands twice"
                    )));
                }
                Some(place) => {
                    lists[place] = Some(map.next_value_seed(EntryList(Split::ALL[place].name()))?);
                }
            }
        }
        Ok(lists)
    }
}

/// Reads the entries of one list; the name is for messages.
struct EntryList(&'static str);

impl<'de> DeserializeSeed<'de> for EntryList {
    type Value = Vec<AnnotationEntry>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for EntryList {
    type Value = Vec<AnnotationEntry>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a list '{}'", self.0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut read = Vec::new();
        while let Some(entry) = entries.next_element::<Value>()? {
            let described = AnnotationEntry::deserialize(&entry).map_err(|error| {
                let id = entry
                    .get("id")
                    .map_or_else(String::new, |id| format!(" ({id})"));
                serde::de::Error::custom(format!("{}[{}]{id}: {error}", self.0, read.len()))
            })?;
            read.push(described);
        }
        Ok(read)
    }
}
