//! What the messages of `proto/` are made of, read from the descriptors that the build leaves.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::source_code_info::Location;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet,
};

/// All messages and enums. A place in the list stands for each.
#[derive(Default)]
pub(super) struct Schema {
    pub(super) messages: Vec<Message>,
    pub(super) enums: Vec<Enumeration>,
    places: BTreeMap<String, Kind>,
}

#[derive(Default)]
pub(super) struct Message {
    pub(super) name: String,
    /// In the order in which they are declared, which is that of etcd's JSON.
    pub(super) fields: Vec<Field>,
    pub(super) oneofs: Vec<String>,
    pub(super) about: String,
}

pub(super) struct Field {
    pub(super) name: String,
    /// The name in camel case.
    pub(super) json_name: String,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) repeated: bool,
    /// Which of the message's oneofs it belongs to.
    pub(super) oneof: Option<usize>,
}

pub(super) struct Enumeration {
    pub(super) values: Vec<(String, i32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Text,
    Bytes,
    Enum(usize),
    Message(usize),
}

/// The place of a message without fields and name.
pub(super) const EMPTY: usize = 0;

/// The messages of this build.
pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let descriptors = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
    let set = FileDescriptorSet::decode(&descriptors[..]).expect("what the build wrote");
    Schema::read(&set)
});

impl Schema {
    fn read(set: &FileDescriptorSet) -> Self {
        let mut schema = Self::default();
        schema.messages.push(Message::default());
        // First the names, since messages refer to each other.
        let mut declared = Vec::new();
        for file in &set.file {
            let package = format!(".{}", file.package());
            for (number, message) in file.message_type.iter().enumerate() {
                let about = comment(file, number);
                schema.declare(&package, message, about, &mut declared);
            }
            for one in &file.enum_type {
                schema.declare_enum(&package, one);
            }
        }
        for (place, message) in declared {
            let fields = message.field.iter().map(|field| schema.field(field)).collect();
            schema.messages[place].fields = fields;
        }
        schema
    }

    /// Where the message of this name is, such as `etcdserverpb.PutRequest`.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        match self.places.get(&format!(".{name}")) {
            Some(Kind::Message(place)) => Some(*place),
            _ => None,
        }
    }

    fn declare<'a>(
        &mut self,
        scope: &str,
        message: &'a DescriptorProto,
        about: String,
        declared: &mut Vec<(usize, &'a DescriptorProto)>,
    ) {
        let place = self.messages.len();
        let name = format!("{scope}.{}", message.name());
        let oneofs = message.oneof_decl.iter().map(|one| one.name().to_owned()).collect();
        let fields = Vec::new();
        self.messages.push(Message { name: name[1..].to_owned(), fields, oneofs, about });
        for inner in &message.nested_type {
            self.declare(&name, inner, String::new(), declared);
        }
        for one in &message.enum_type {
            self.declare_enum(&name, one);
        }
        self.places.insert(name, Kind::Message(place));
        declared.push((place, message));
    }

    fn declare_enum(&mut self, scope: &str, one: &EnumDescriptorProto) {
        let name = format!("{scope}.{}", one.name());
        let values = one.value.iter().map(|value| (value.name().to_owned(), value.number()));
        let enumeration = Enumeration { values: values.collect() };
        self.places.insert(name, Kind::Enum(self.enums.len()));
        self.enums.push(enumeration);
    }

    fn field(&self, field: &FieldDescriptorProto) -> Field {
        let kind = match field.r#type() {
            Type::Bool => Kind::Bool,
            Type::Int32 => Kind::Int32,
            Type::Int64 => Kind::Int64,
            Type::Uint32 => Kind::Uint32,
            Type::Uint64 => Kind::Uint64,
            Type::String => Kind::Text,
            Type::Bytes => Kind::Bytes,
            Type::Enum | Type::Message => self.places[field.type_name()],
            other => panic!("no message of etcd has a field of {other:?}"),
        };
        Field {
            name: field.name().to_owned(),
            json_name: field.json_name().to_owned(),
            number: u32::try_from(field.number()).expect("numbers of fields are positive"),
            kind,
            repeated: field.label() == Label::Repeated,
            oneof: field.oneof_index.and_then(|index| usize::try_from(index).ok()),
        }
    }
}

impl Kind {
    /// As protobuf calls it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Text => "string",
            Self::Bytes => "bytes",
            Self::Enum(_) => "enum",
            Self::Message(_) => "message",
        }
    }
}

/// What stands above the message of this number in its file.
fn comment(file: &FileDescriptorProto, number: usize) -> String {
    const MESSAGES: i32 = 4;
    let locations = file.source_code_info.iter().flat_map(|info| &info.location);
    let above =
        |place: &&Location| matches!(place.path[..], [MESSAGES, at] if at as usize == number);
    let text = locations.into_iter().find(above).map(Location::leading_comments);
    text.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}
