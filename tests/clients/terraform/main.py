"""PostHog's Terraform provider and the configuration of docs/clients.md: a flag's whole life."""

import os
import pathlib
import subprocess
import tempfile

import quickstart
from harness import KEY, PROJECT, call, change_flag, expect, row

ADDRESS = "posthog_feature_flag.checkout"
NO_CHANGES, CHANGES = 0, 2


class Terraform:
    """A folder with the configuration, and the provider that was built instead of a downloaded one."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.configuration = quickstart.adapted((quickstart.FOLDER / "flags.tf").read_text())
        self.write(self.configuration)
        (self.folder / "terraformrc").write_text(
            'provider_installation {\n'
            f'  dev_overrides {{ "posthog/posthog" = "{os.environ["CLIENT_ROOT"]}/bin" }}\n'
            '  direct {}\n}\n'
        )

    def write(self, configuration):
        (self.folder / "flags.tf").write_text(configuration)

    def run(self, *words, codes=(0,)):
        environment = os.environ | {
            "POSTHOG_API_KEY": KEY, "TF_CLI_CONFIG_FILE": str(self.folder / "terraformrc"), "CHECKPOINT_DISABLE": "1",
        }
        done = subprocess.run(
            ["terraform", *words, "-no-color"], cwd=self.folder, env=environment, capture_output=True, text=True
        )
        if done.returncode not in codes:
            raise AssertionError(f"terraform {words[0]}: {done.stdout[-800:]} {done.stderr[-800:]}")
        return done.returncode

    def plan(self):
        """Whether the plan has changes."""
        return self.run("plan", "-input=false", "-detailed-exitcode", codes=(NO_CHANGES, CHANGES))

    def apply(self):
        self.run("apply", "-input=false", "-auto-approve")


def flag():
    """The flag that the configuration describes; None if there is none."""
    listed = call("GET", "feature_flags/?key=managed-checkout")["results"]
    return listed[0] if listed else None


def main():
    with tempfile.TemporaryDirectory() as folder:
        terraform = Terraform(folder)
        with row("plan and apply"):
            expect("the plan", terraform.plan(), CHANGES)
            terraform.apply()
            made = flag()
            expect("the name", made["name"], "The new checkout")
            expect("the share", made["filters"]["groups"][0]["rollout_percentage"], 100)
            expect("the countries", made["filters"]["groups"][0]["properties"][0]["value"], ["AU", "NZ"])
        with row("no drift on the second plan"):
            expect("the plan", terraform.plan(), NO_CHANGES)
        with row("update"):
            terraform.write(terraform.configuration.replace("The new checkout", "The newer checkout"))
            terraform.apply()
            expect("the name", flag()["name"], "The newer checkout")
            expect("the plan", terraform.plan(), NO_CHANGES)
        with row("drift is seen and mended"):
            change_flag(made, active=False)
            expect("the plan", terraform.plan(), CHANGES)
            terraform.apply()
            expect("whether it is on", flag()["active"], True)
        with row("import"):
            terraform.run("state", "rm", ADDRESS)
            terraform.run("import", "-input=false", ADDRESS, f"{PROJECT}/{made['id']}")
            # What was read is spelled as the service stores it; one apply settles that, and changes nothing.
            expect("the plan", terraform.plan(), CHANGES)
            terraform.apply()
            expect("the filters", flag()["filters"], made["filters"])
            expect("the plan", terraform.plan(), NO_CHANGES)
        with row("destroy"):
            terraform.run("destroy", "-input=false", "-auto-approve")
            expect("the flag", flag(), None)


main()
