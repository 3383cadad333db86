"""PostHog's Rust SDK. It has no call for remote configurations."""

import os
import subprocess

import observed
import quickstart

ROOT = os.environ["CLIENT_ROOT"]
CARGO = ["cargo", "build", "--offline", "--quiet", "--target-dir", ROOT]

# As at its installation, so that nothing but the program itself is built again.
for name in ("CARGO_TARGET_DIR", "RUSTFLAGS"):
    os.environ.pop(name, None)
os.environ |= {"CARGO_INCREMENTAL": "0", "CARGO_PROFILE_DEV_DEBUG": "false"}
quickstart.follow(
    "rust", "with a green button", ["rust_sdk.rs", "./Cargo.toml", "./Cargo.lock"],
    ["sh", "-c", f"""
        mkdir src && mv rust_sdk.rs src/main.rs && sed -i 's/^name = "observed"/name = "app"/' Cargo.toml Cargo.lock &&
        {' '.join(CARGO)} && {ROOT}/debug/app"""],
)
subprocess.run([*CARGO, "--locked"], check=True)
observed.judge(f"{ROOT}/debug/observed", conditional=True, remote_config=False)
