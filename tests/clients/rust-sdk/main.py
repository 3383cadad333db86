"""PostHog's Rust SDK. It has no call for remote configurations."""

import os

import observed
import quickstart

ROOT = os.environ["CLIENT_ROOT"]
BUILD = f"mkdir src && mv rust_sdk.rs src/main.rs && cargo run --offline --locked --quiet --target-dir {ROOT}/target"

# What the service is built with is not this program's business.
for name in ("CARGO_TARGET_DIR", "RUSTFLAGS"):
    os.environ.pop(name, None)
os.environ |= {"CARGO_INCREMENTAL": "0", "CARGO_PROFILE_DEV_DEBUG": "false"}
quickstart.follow("rust", "green", ["rust_sdk.rs", "./Cargo.toml", "./Cargo.lock"], ["sh", "-c", BUILD])
observed.judge(f"{ROOT}/program", conditional=True, remote_config=False)
