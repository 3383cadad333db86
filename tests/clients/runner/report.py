"""The lines that a run prints, and what they come to."""

import dataclasses
import time

WORDS = {"ok": "ok  ", "fail": "FAIL", "skip": "SKIP"}


@dataclasses.dataclass
class Report:
    """Counts rows while it prints them. `strict`: a required client that is skipped is a failure."""

    strict: bool
    counts: dict = dataclasses.field(default_factory=lambda: dict.fromkeys(WORDS, 0))
    refused: list = dataclasses.field(default_factory=list)
    began: float = dataclasses.field(default_factory=time.monotonic)

    def row(self, outcome, database, client, capability, detail=""):
        """Prints one line, such as `ok    postgres  python  local evaluation with 304s`."""
        self.counts[outcome] += 1
        told = f"{capability}: {detail}" if detail else capability
        print(f"{WORDS[outcome]}  {database:<8}  {client:<14}  {told}", flush=True)

    def skipped(self, database, client, reason):
        """A whole client that could not be had."""
        self.row("skip", database, client.name, "not run", reason)
        if client.required and self.strict:
            self.refused.append(f"{client.name} ({database}): {reason}")

    def end(self):
        """Prints the summary; the exit code."""
        seconds = time.monotonic() - self.began
        counts = self.counts
        print(f"\n{counts['ok']} ok, {counts['fail']} failed, {counts['skip']} skipped, in {seconds:.0f} s")
        for told in self.refused:
            print(f"required, but skipped: {told}")
        return 1 if counts["fail"] or self.refused or not counts["ok"] else 0
