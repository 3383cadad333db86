"""PostHog's Go SDK, at the newest version that the module proxy lists: it knows no If-None-Match."""

import os

import observed
import quickstart
from harness import PROJECT, flagstaff

# It names no project when it reads remote configurations, so the key has to be of this one alone.
made = flagstaff("keys", "create", "--project", PROJECT, "--scopes", "feature_flag:read")
os.environ["FLAGSTAFF_KEY"] = made.split()[-1]
quickstart.follow("go", "on for ann", ["go_sdk.go", "./go.mod", "./go.sum"], ["go", "run", "."])
observed.judge(os.environ["CLIENT_ROOT"] + "/program", conditional=False, remote_config=True)
