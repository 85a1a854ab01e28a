//! The gateway's own description, as an OpenAPI document: made of the routes and the messages that
//! it works with, so that it cannot say anything else.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use bytes::Bytes;

use super::encode::string;
use super::routes::{ROUTES, Route};
use super::schema::{Field, Kind, Message, SCHEMA};
use crate::grpc;
use crate::rpc::maintenance::ETCD_VERSION;

/// The document, as JSON.
#[must_use]
pub fn document() -> Bytes {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
        let mut text = whole().written(0);
        text.push('\n');
        text.into()
    });
    DOCUMENT.clone()
}

/// A JSON value to be written.
enum Json {
    Text(String),
    True,
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

fn text(text: impl Into<String>) -> Json {
    Json::Text(text.into())
}

fn object<const N: usize>(members: [(&str, Json); N]) -> Json {
    Json::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

impl Json {
    fn written(&self, depth: usize) -> String {
        let mut json = String::new();
        let (open, close, parts): (_, _, Vec<String>) = match self {
            Self::True => return "true".to_owned(),
            Self::Text(text) => {
                string(text, &mut json);
                return json;
            }
            Self::List(values) => ('[', ']', values.iter().map(|v| v.written(depth + 1)).collect()),
            Self::Object(members) => {
                let member = |(name, value): &(String, Self)| {
                    let mut member = String::new();
                    string(name, &mut member);
                    member + ": " + &value.written(depth + 1)
                };
                ('{', '}', members.iter().map(member).collect())
            }
        };
        json.push(open);
        if !parts.is_empty() {
            let indent = format!("\n{}", "  ".repeat(depth + 1));
            json.push_str(&indent);
            json.push_str(&parts.join(&format!(",{indent}")));
            json.push_str(&format!("\n{}", "  ".repeat(depth)));
        }
        json.push(close);
        json
    }
}

fn whole() -> Json {
    let info = object([
        ("title", text("The etcd API as JSON, as Meridian serves it")),
        ("version", text(ETCD_VERSION)),
        (
            "description",
            text(
                "Every call is a POST. 64-bit integers are strings (numbers are accepted), bytes are \
                 base64, what is not set is left out, and unknown members are passed over. Where \
                 authentication is on, the token of /v3/auth/authenticate goes into the header \
                 Authorization.",
            ),
        ),
    ]);
    let paths = ROUTES.iter().map(|route| (route.path.to_owned(), path(route))).collect();
    let token =
        object([("type", text("apiKey")), ("in", text("header")), ("name", text("Authorization"))]);
    object([
        ("openapi", text("3.0.3")),
        ("info", info),
        ("paths", Json::Object(paths)),
        (
            "components",
            object([("schemas", schemas()), ("securitySchemes", object([("token", token)]))]),
        ),
        ("security", Json::List(vec![object([]), object([("token", Json::List(Vec::new()))])])),
    ])
}

fn path(route: &Route) -> Json {
    let name = route.method.name();
    let (_, service) = name.service.rsplit_once('.').unwrap_or(("", name.service));
    let mut about = String::new();
    if name.kind == grpc::Kind::Bidirectional {
        about.push_str("The body may hold several messages, one after the other. ");
    }
    if name.kind != grpc::Kind::Unary {
        about.push_str(
            "The answer is a line of JSON for each message: its member `result`, or `error` at the \
             end.",
        );
    }
    // Some methods have more than one path, and the name of an operation must be one.
    let operation = route.path["/v3/".len()..].replace('/', "_");
    let mut post = vec![
        ("tags".to_owned(), Json::List(vec![text(service)])),
        ("summary".to_owned(), text(format!("{}/{}", name.service, name.method))),
        ("operationId".to_owned(), text(operation)),
    ];
    if !about.is_empty() {
        post.push(("description".to_owned(), text(about.trim())));
    }
    let body = object([("required", Json::True), ("content", content(reference(route.request)))]);
    post.push(("requestBody".to_owned(), body));
    post.push(("responses".to_owned(), responses(route, name.kind)));
    object([("post", Json::Object(post))])
}

fn responses(route: &Route, kind: grpc::Kind) -> Json {
    let reply = reference(route.reply);
    let schema = if kind == grpc::Kind::Unary {
        reply
    } else {
        let members = object([("result", reply), ("error", reference(STATUS))]);
        object([("type", text("object")), ("properties", members)])
    };
    object([
        ("200", object([("description", text("the reply")), ("content", content(schema))])),
        (
            "default",
            object([
                ("description", text("a refusal; the code of HTTP follows from that of gRPC")),
                ("content", content(reference(STATUS))),
            ]),
        ),
    ])
}

fn content(schema: Json) -> Json {
    object([("application/json", object([("schema", schema)]))])
}

/// What every refusal is.
const STATUS: &str = "Status";

fn reference(name: &str) -> Json {
    object([("$ref", text(format!("#/components/schemas/{name}")))])
}

/// The messages of all routes and what stands in them, by name.
fn schemas() -> Json {
    let mut wanted: Vec<&str> = ROUTES.iter().flat_map(|one| [one.request, one.reply]).collect();
    let mut named = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        if !named.insert(name) {
            continue;
        }
        let fields = SCHEMA.find(name).map(|place| &SCHEMA.messages[place].fields);
        for field in fields.into_iter().flatten() {
            if let Kind::Message(place) = field.kind {
                wanted.push(&SCHEMA.messages[place].name);
            }
        }
    }
    let schema = |name: &str| match SCHEMA.find(name) {
        Some(place) => message(&SCHEMA.messages[place]),
        None => object([("type", text("object"))]),
    };
    let mut schemas: Vec<_> = named.iter().map(|name| ((*name).to_owned(), schema(name))).collect();
    let code = object([("type", text("integer")), ("description", text("of gRPC"))]);
    let members = object([("code", code), ("message", object([("type", text("string"))]))]);
    let status = object([("type", text("object")), ("properties", members)]);
    schemas.push((STATUS.to_owned(), status));
    Json::Object(schemas)
}

fn message(message: &Message) -> Json {
    let mut schema = vec![("type".to_owned(), text("object"))];
    if !message.about.is_empty() {
        schema.push(("description".to_owned(), text(&message.about)));
    }
    if !message.fields.is_empty() {
        let members = message.fields.iter().map(|field| (field.name.clone(), member(field)));
        schema.push(("properties".to_owned(), Json::Object(members.collect())));
    }
    Json::Object(schema)
}

fn member(field: &Field) -> Json {
    let of = |kind: &str| object([("type", text(kind))]);
    let formatted = |kind, format| object([("type", text(kind)), ("format", text(format))]);
    let one = match field.kind {
        Kind::Bool => of("boolean"),
        Kind::Int32 | Kind::Uint32 => formatted("integer", field.kind.name()),
        Kind::Int64 | Kind::Uint64 => formatted("string", field.kind.name()),
        Kind::Text => of("string"),
        Kind::Bytes => formatted("string", "byte"),
        Kind::Enum(place) => {
            let values = &SCHEMA.enums[place].values;
            let names = values.iter().map(|(name, _)| text(name)).collect();
            object([("type", text("string")), ("enum", Json::List(names))])
        }
        Kind::Message(place) => reference(&SCHEMA.messages[place].name),
    };
    if field.repeated { object([("type", text("array")), ("items", one)]) } else { one }
}
