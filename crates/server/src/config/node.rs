//! A YAML (or JSON) document as a tree whose keys know their lines: all that is asked of the YAML
//! crate, so that it can be exchanged in this one file.

use serde_core::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Spanned};

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a map.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: u64,
    pub(crate) value: Node,
}

impl Node {
    /// Reads a document; of equal keys both are kept, in order.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let options = serde_saphyr::options! {
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            with_snippet: false,
        };
        if text.trim().is_empty() {
            return Ok(Self::Null);
        }
        serde_saphyr::from_str_with_options(text, options).map_err(|e| e.to_string())
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Builder)
    }
}

struct Builder;

impl<'de> Visitor<'de> for Builder {
    type Value = Node;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value, a list or a map")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, on: bool) -> Result<Node, E> {
        Ok(Node::Bool(on))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Int(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Int(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = items.next_key::<Spanned<String>>()? {
            let value = items.next_value()?;
            map.push(Entry { line: key.referenced.line(), key: key.value, value });
        }
        Ok(Node::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Node};

    #[test]
    fn keys_know_their_lines_in_yaml_and_json() {
        let entry = |key: &str, line, value| Entry { key: key.to_owned(), line, value };
        let yaml = "# first\na: 1\nb:\n  c: 'x'\n  d: [true, null]\na: -2\n";
        let inner = vec![
            entry("c", 4, Node::Text("x".to_owned())),
            entry("d", 5, Node::List(vec![Node::Bool(true), Node::Null])),
        ];
        let want = Node::Map(vec![
            entry("a", 2, Node::Int(1)),
            entry("b", 3, Node::Map(inner)),
            entry("a", 6, Node::Int(-2)),
        ]);
        assert_eq!(Node::parse(yaml), Ok(want));
        let json = Node::parse("{\n \"a\": \"b\"\n}").unwrap();
        assert_eq!(json, Node::Map(vec![entry("a", 2, Node::Text("b".to_owned()))]));
    }

    #[test]
    fn what_is_not_yaml_is_refused_with_its_place() {
        let error = Node::parse("a: 1\nb: [1\n").unwrap_err();
        assert!(error.contains("line"), "{error}");
        assert_eq!(Node::parse("\n"), Ok(Node::Null));
        assert_eq!(Node::parse("# only a remark\n"), Ok(Node::Null));
    }
}
