//! Counts what answering costs within the process under callgrind: from the
//! request as a connection reads it to the last byte of the body. The whole
//! service does it, on SQLite, on one thread; only sockets and their framing
//! are left out.
//!
//! ```sh
//! cargo run --release -p load-bench --bin handlers-budget              # compare
//! cargo run --release -p load-bench --bin handlers-budget -- --record  # commit the new record
//! ```
//!
//! It fails if a case takes over 5 % more instructions than recorded in
//! `budget.json`, or allocates more often.

#![expect(clippy::expect_used, reason = "a bench stops when it cannot go on")]

use std::{
    error::Error,
    path::Path,
    pin::pin,
    process::ExitCode,
    task::{Context, Poll, Waker},
};

use axum::body::Body;
use bench_support::{budget::Budget, folder::Folder};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta};
use clap::Parser;
use flagstaff::{
    auth::{Secret, TokenKind},
    clock::Clock,
    config::{BootstrapSettings, ServeSettings},
    server::Server,
    telemetry::Telemetry,
};
use http::{Method, Request, Response, StatusCode, header::ETAG};
use http_body_util::{BodyExt, Full};
use load_bench::{
    ask::{Ask, Told},
    flags::{FLAGS, KEY, SECRET, TOKEN, kinds},
};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

const NAMES: [&str; 6] = [
    "evaluate-flag",
    "evaluate-flags-50",
    "batch-100x10",
    "flags-5",
    "flags-350",
    "definitions-304",
];

/// How often a case is asked.
const ROUNDS: usize = 64;
/// How often whoever answers may ask to be asked again: a yield or two, and not a query.
const MOST_PENDING: usize = 1_000;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("budget.json");
    Budget { names: &NAMES, rounds: ROUNDS, file: &file, measure }.run()
}

fn measure(name: &str) -> u64 {
    let case = Case::named(name);
    // What is read and built when first asked for is not the usual cost.
    case.warm_up();
    let allocations = allocation_counter::measure(|| (0..ROUNDS).for_each(|at| case.answer(at)));
    case.warm_up();
    measured_rounds(&case);
    allocations.count_total
}

#[inline(never)]
fn measured_rounds(case: &Case) {
    (0..ROUNDS).for_each(|round| case.answer(round));
}

/// A running service and what is asked of it.
struct Case {
    runtime: Runtime,
    server: Server,
    ask: Ask,
    status: StatusCode,
    _folder: Folder,
}

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    serve: ServeSettings,
}

impl Case {
    fn named(name: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let folder = Folder::new();
        let server = runtime.block_on(start(&folder));
        let flags = match name {
            "evaluate-flag" | "evaluate-flags-50" | "definitions-304" => 50,
            "batch-100x10" => 10,
            "flags-350" => 350,
            _ => 5,
        };
        let (ask, status) = runtime.block_on(async {
            seed(&server, flags).await;
            match name {
                "evaluate-flag" => {
                    (Ask::evaluate_flag(1, "flag-25", Told::Properties), StatusCode::OK)
                }
                "evaluate-flags-50" => (Ask::evaluate_flags(), StatusCode::OK),
                "batch-100x10" => (Ask::batch(100), StatusCode::OK),
                "definitions-304" => (held(&server).await, StatusCode::NOT_MODIFIED),
                _ => (Ask::flags(), StatusCode::OK),
            }
        });
        Self { runtime, server, ask, status, _folder: folder }
    }

    /// With the runtime, which may be needed for what has to be read first.
    fn warm_up(&self) {
        self.runtime.block_on(async {
            for round in 0..ROUNDS {
                let answer = answered(&self.server, self.ask.request(round)).await;
                assert_eq!(answer.status(), self.status, "{answer:?}");
            }
        });
    }

    /// Without the runtime, so that nothing else is counted: all that is needed is at hand, and
    /// whoever makes room for others is asked again at once.
    fn answer(&self, round: usize) {
        let _inside = self.runtime.enter();
        let mut answer = pin!(answered(&self.server, self.ask.request(round)));
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..MOST_PENDING {
            if let Poll::Ready(answer) = answer.as_mut().poll(&mut context) {
                assert_eq!(answer.status(), self.status);
                return;
            }
        }
        panic!("an answer waits for something that is not at hand");
    }
}

async fn start(folder: &Folder) -> Server {
    let arguments = ["handlers", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
    let arguments = arguments.into_iter().chain(["--rate-limits", "off"]);
    let mut settings = Settings::parse_from(arguments).serve;
    let chosen = |kind, text| Some(Secret::chosen(kind, text).expect("a token of its kind"));
    settings.bootstrap = BootstrapSettings {
        project_token: chosen(TokenKind::Project, TOKEN),
        project_secret: chosen(TokenKind::ProjectSecret, SECRET),
        personal_api_key: chosen(TokenKind::Personal, KEY),
    };
    let url = format!("sqlite://{}/flagstaff.db?mode=rwc", folder.path().display());
    let telemetry = Telemetry::quiet().expect("instruments");
    // Time stands still, so that what is trusted for a moment, as keys are, stays so.
    let clock = Clock::stopped(DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
    Server::start_at(clock, settings, &url, &telemetry).await.expect("the service starts")
}

async fn seed(server: &Server, flags: usize) {
    let kinds = kinds();
    for at in 0..flags {
        let body = json!({"key": format!("flag-{}", at + 1), "filters": kinds[at % kinds.len()]});
        let made = answered(server, Ask::admin(Method::POST, FLAGS, &body).request(0)).await;
        assert_eq!(made.status(), StatusCode::CREATED, "{made:?}");
    }
}

/// Asks for definitions that are held already.
async fn held(server: &Server) -> Ask {
    let bearer = format!("Bearer {SECRET}");
    let get = |etag: &str| {
        let headers = [("authorization", bearer.as_str()), ("if-none-match", etag)];
        Ask::rest(Method::GET, "/flags/definitions", &headers, vec![Bytes::new()])
    };
    let feed = answered(server, get("").request(0)).await;
    let etag = feed.headers().get(ETAG).expect("an entity tag");
    get(etag.to_str().expect("text"))
}

/// The whole answer. What a refusal over gRPC costs is not what is asked.
async fn answered(server: &Server, request: Request<Full<Bytes>>) -> Response<Bytes> {
    let (head, body) = server.answer(request.map(Body::new)).await.into_parts();
    let body = body.collect().await.expect("a whole answer");
    for told in [Some(&head.headers), body.trailers()].into_iter().flatten() {
        let status = told.get("grpc-status");
        assert!(status.is_none_or(|status| status == "0"), "{told:?}");
    }
    Response::from_parts(head, body.to_bytes())
}
