//! The requests that are measured: one kind each, about people who take turns.

use bytes::Bytes;
use flagstaff::wire::{
    convert,
    v1::{BatchEvaluateFlagsRequest, EvaluateFlagRequest, EvaluateFlagsRequest, EvaluationSubject},
};
use http::{Method, Request};
use http_body_util::Full;
use prost::Message;
use prost_types::{Struct, value::Kind};
use serde_json::{Value, json};

use crate::flags::{KEY, TOKEN};

/// How many people take turns.
pub const PEOPLE: usize = 64;

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, as SDKs do.
    Rest,
    /// gRPC over HTTP/2, as stubs do.
    Grpc,
}

/// A kind of request.
#[derive(Debug)]
pub struct Ask {
    /// How it is sent.
    pub protocol: Protocol,
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    /// One for each of the people, as sent.
    bodies: Vec<Bytes>,
}

impl Ask {
    /// The request of one round.
    ///
    /// # Panics
    ///
    /// If its path or a header is none.
    #[must_use]
    pub fn request(&self, round: usize) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(self.method.clone()).uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let body = self.bodies[round % self.bodies.len()].clone();
        request.body(Full::new(body)).expect("a request")
    }

    /// REST, with these headers beside the host.
    #[must_use]
    pub fn rest(
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        bodies: Vec<Bytes>,
    ) -> Self {
        let own = [("host", "localhost"), ("content-type", "application/json")];
        let headers = own.iter().chain(headers).map(|(name, value)| (*name, (*value).to_owned()));
        let headers = headers.collect();
        Self { protocol: Protocol::Rest, method, path: path.to_owned(), headers, bodies }
    }

    /// The management API, as its admin.
    #[must_use]
    pub fn admin(method: Method, path: &str, body: &Value) -> Self {
        let bearer = format!("Bearer {KEY}");
        let body = Bytes::from(body.to_string());
        Self::rest(method, path, &[("authorization", &bearer)], vec![body])
    }

    fn grpc<M: Message>(method: &str, messages: impl Iterator<Item = M>) -> Self {
        let path = format!("http://localhost/flagstaff.v1.EvaluationService/{method}");
        let headers = vec![
            ("content-type", "application/grpc".to_owned()),
            ("te", "trailers".to_owned()),
            ("authorization", format!("Bearer {KEY}")),
        ];
        let bodies = messages.map(|message| framed(&message)).collect();
        Self { protocol: Protocol::Grpc, method: Method::POST, path, headers, bodies }
    }

    /// One flag, of the project with this number.
    #[must_use]
    pub fn evaluate_flag(project: u64, key: &str, told: Told) -> Self {
        let message = |at| EvaluateFlagRequest {
            project_id: project.to_string(),
            subject: Some(subject(at, told)),
            flag_key: key.to_owned(),
            ..EvaluateFlagRequest::default()
        };
        Self::grpc("EvaluateFlag", (0..PEOPLE).map(message))
    }

    /// All flags of the first project.
    #[must_use]
    pub fn evaluate_flags() -> Self {
        let message = |at| EvaluateFlagsRequest {
            project_id: "1".to_owned(),
            subject: Some(subject(at, Told::Properties)),
            ..EvaluateFlagsRequest::default()
        };
        Self::grpc("EvaluateFlags", (0..PEOPLE).map(message))
    }

    /// All flags of the first project for so many people at once.
    #[must_use]
    pub fn batch(subjects: usize) -> Self {
        let message = BatchEvaluateFlagsRequest {
            project_id: "1".to_owned(),
            subjects: (0..subjects).map(|at| subject(at, Told::LittleAndAll)).collect(),
            ..BatchEvaluateFlagsRequest::default()
        };
        Self::grpc("BatchEvaluateFlags", std::iter::once(message))
    }

    /// All flags of the first project, as SDKs ask.
    #[must_use]
    pub fn flags() -> Self {
        let body = |at| {
            let body = json!({"token": TOKEN, "distinct_id": id(at),
                "person_properties": properties(at)});
            Bytes::from(body.to_string())
        };
        Self::rest(Method::POST, "/flags?v=2", &[], (0..PEOPLE).map(body).collect())
    }
}

/// What a request tells of the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// All properties that flags go by.
    Properties,
    /// The same, in fewer bytes: for many people in one message.
    LittleAndAll,
    /// Nothing: they are stored.
    Nothing,
}

fn subject(at: usize, told: Told) -> EvaluationSubject {
    let properties = match told {
        Told::Properties => Some(properties(at)),
        Told::LittleAndAll => Some(json!({"email": "a@example.com", "plan": "pro", "age": 30})),
        Told::Nothing => None,
    };
    EvaluationSubject {
        distinct_id: id(at),
        person_properties: properties.as_ref().and_then(structure),
        ..EvaluationSubject::default()
    }
}

fn structure(fields: &Value) -> Option<Struct> {
    match convert::value(fields).kind {
        Some(Kind::StructValue(fields)) => Some(fields),
        _ => None,
    }
}

/// One of the people.
#[must_use]
pub fn id(at: usize) -> String {
    format!("0192d7a4-6f0c-7b6e-9c55-{at:012}")
}

/// What flags go by, and a little more.
#[must_use]
pub fn properties(at: usize) -> Value {
    json!({"email": format!("person-{at}@example.com"), "plan": "pro", "age": 20 + at,
        "country": "NL", "$browser": "Firefox"})
}

/// A message as gRPC sends it: not compressed, its length, itself.
fn framed(message: &impl Message) -> Bytes {
    let length = u32::try_from(message.encoded_len()).expect("a message below 4 GiB");
    let mut bytes = vec![0];
    bytes.extend(length.to_be_bytes());
    message.encode(&mut bytes).expect("room to grow");
    bytes.into()
}
