"""Generated Python stubs against the service: a line for each capability."""

import sys
import traceback

import checks
import watch
from service import Service
from walk import walk

CAPABILITIES = [
    ("every RPC", walk),
    ("typed filters", checks.typed_filters),
    ("metadata", checks.metadata),
    ("credentials", checks.credentials),
    ("error details", checks.error_details),
    ("retry info", checks.retry_info),
    ("batch stream", checks.streamed),
    ("compression", checks.compression),
    ("deadline", checks.deadline),
    ("watch", watch.watch),
    ("watch through a restart", watch.restart),
]


def main():
    with Service() as service:
        for capability, check in CAPABILITIES:
            try:
                outcome, told = "ok", check(service)
            except Exception as error:  # Whatever it is, the others have their turn.
                traceback.print_exc(file=sys.stderr)
                outcome, told = "fail", " ".join(str(error).split())
            print(f"{capability}\t{outcome}\t{told}", flush=True)


main()
