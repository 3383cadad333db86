//! REST as a client sees it.

use http::{HeaderMap, Method};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{FLAGS, Service};

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// The body; null when it is no JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Status, code and detail of an error in the documented envelope.
    pub(crate) fn error(&self) -> (u16, String, String) {
        let body = self.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (self.status, text("code"), text("detail"))
    }
}

impl Service {
    /// A path of this service, or a link that it gave.
    pub(crate) fn url(&self, path: &str) -> String {
        if path.starts_with("http") {
            return path.to_owned();
        }
        format!("http://{}{path}", self.address)
    }

    /// A request without a credential, to be finished and given to [`send`].
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// Calls with any credential, or none.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Answer {
        let mut request = self.request(method, path);
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        send(request).await
    }

    /// Calls with the admin's key.
    pub(crate) async fn rest(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let answer = self.call(method, path, Some(&self.key), Some(&body)).await;
        (answer.status, answer.json())
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.call(Method::GET, path, Some(&self.key), None).await;
        (answer.status, answer.json())
    }

    pub(crate) async fn patch(&self, id: i64, body: Value) -> (u16, Value) {
        self.rest(Method::PATCH, &format!("{FLAGS}{id}/"), body).await
    }

    /// A new flag of project 1, and its id.
    pub(crate) async fn create(&self, body: Value) -> (i64, Value) {
        let (status, flag) = self.rest(Method::POST, FLAGS, body).await;
        assert_eq!(status, 201, "{flag}");
        (flag["id"].as_i64().unwrap(), flag)
    }

    /// A new flag that everyone gets.
    pub(crate) async fn create_for_everyone(&self, key: &str) -> i64 {
        let everyone = json!({"groups": [{"properties": [], "rollout_percentage": 100}]});
        self.create(json!({"key": key, "filters": everyone})).await.0
    }

    /// What `POST /flags?v=2` answers for one flag and a subject; null when it leaves it out.
    pub(crate) async fn evaluated(&self, token: &str, key: &str) -> Value {
        let body = json!({"token": token, "distinct_id": "somebody"});
        let answer = self.call(Method::POST, "/flags?v=2", None, Some(&body)).await;
        answer.json()["flags"][key].clone()
    }

    /// The whole answer of `POST /flags?v=2` to a body, to which the token is added.
    pub(crate) async fn flags_for(&self, body: &Value) -> Value {
        self.flags_with("", body).await
    }

    /// As [`Self::flags_for`], with more in the query, such as `&config=true`.
    pub(crate) async fn flags_with(&self, query: &str, body: &Value) -> Value {
        let mut body = body.clone();
        body["token"] = self.token.as_str().into();
        let path = format!("/flags?v=2{query}");
        let answer = self.call(Method::POST, &path, None, Some(&body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// The activity of a flag, newest first: what was done, and to which fields.
    pub(crate) async fn history(&self, id: i64) -> Vec<(String, Vec<String>)> {
        let (status, page) = self.get(&format!("{FLAGS}{id}/activity/?limit=1000")).await;
        assert_eq!(status, 200, "{page}");
        page["results"].as_array().unwrap().iter().map(told).collect()
    }

    /// How many flags and activity rows project 1 has: what a refused write must not move.
    pub(crate) async fn totals(&self) -> (i64, i64) {
        let (_, flags) = self.get(FLAGS).await;
        let (_, activity) = self.get(&format!("{FLAGS}activity/")).await;
        (flags["count"].as_i64().unwrap(), activity["total_count"].as_i64().unwrap())
    }
}

/// What a row says was done, and to which fields.
pub(crate) fn told(row: &Value) -> (String, Vec<String>) {
    let field = |change: &Value| change["field"].as_str().unwrap().to_owned();
    let fields = row["detail"]["changes"].as_array().unwrap().iter().map(field).collect();
    (row["activity"].as_str().unwrap().to_owned(), fields)
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Answer { status, headers, text: answer.text().await.unwrap() }
}
