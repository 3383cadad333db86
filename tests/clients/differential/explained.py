"""Differences between the service and an SDK that are none of the service's.

Each line names what must be so of a filter and the property it meets, or of the flag, for
the SDK to decide otherwise, and the row of evaluation.md section 17 that says so. A
difference that no line explains is a failure. README.md shows the same table.
"""

import re

PLAIN_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
VERSION = re.compile(r"v?\d+(\.\d+)*([-+]|$)")
DATE = re.compile(r"\d{4}-\d\d-\d\d")
NUMERIC = ("gt", "gte", "lt", "lte")
DATES = ("is_date_before", "is_date_after")
TEXT = ("contains", "starts_with", "ends_with", "regex")


class Meeting:
    """A filter and what it finds."""

    def __init__(self, found, person, group_names, sdk, is_negated):
        self.kind, self.operator = found.get("type", "person"), found.get("operator") or "exact"
        self.filter, self.sdk, self.is_negated = found, sdk, is_negated
        properties = person["person_properties"]
        if self.kind == "group":
            properties = person["group_properties"].get(group_names[found["group_type_index"]], {})
        self.missing = self.kind in ("person", "group") and found["key"] not in properties
        self.value = None if self.missing else properties.get(found.get("key"))


def odd_version(meeting):
    versions = [text for text in (meeting.value, meeting.filter.get("value")) if isinstance(text, str)]
    return any("-" in text or "+" in text or re.search(r"(^v?|\.)0\d", text) for text in versions)


def is_number(value):
    """A number, or a text that every implementation reads as one."""
    if isinstance(value, str):
        return PLAIN_NUMBER.fullmatch(value) is not None
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def stripped(value):
    return value.strip() if isinstance(value, str) else value


def is_unreadable(meeting):
    """Whether the property is no version, or no date, where one is needed."""
    readable = VERSION if meeting.operator.startswith("semver") else DATE if meeting.operator in DATES else None
    return readable is not None and not readable.match(str(meeting.value))


# A name, the row of section 17, and when it applies. The name is what the summary prints.
OF_FILTERS = [
    ("missing property", "missing property: the SDK cannot decide that condition, and a later one may",
     lambda meeting: meeting.missing),
    ("null property", "null property value",
     lambda meeting: not meeting.missing and meeting.kind != "cohort" and meeting.value is None),
    ("odd version", "semver leading zeros, pre-release",
     lambda meeting: meeting.operator.startswith("semver") and odd_version(meeting)),
    ("odd number", "gt/lt with string property: Python reads a stricter literal, Node falls back to text",
     lambda meeting: meeting.operator in NUMERIC and not is_number(meeting.value)),
    ("number as date", "date property as number",
     lambda meeting: meeting.operator in DATES and is_number(stripped(meeting.value))),
    ("list as text", "no row: by section 6.1 the text of a list or object is its JSON; Node's is JavaScript's own",
     lambda meeting: meeting.sdk == "node" and meeting.operator.endswith(TEXT)
     and isinstance(meeting.value, (list, dict))),
    ("negated error", "cohort leaf error under negation, `not_in` included",
     lambda meeting: meeting.is_negated and is_unreadable(meeting)),
]

OF_FLAGS = [
    ("inactive flag", "inactive flag: omitted by the service, false in SDKs",
     lambda flag, person: not flag["active"]),
    ("enrolment", "enrolment property absent (Python); the Node SDK knows no enrolment",
     lambda flag, person: flag["filters"].get("feature_enrollment") is True),
    ("no device id", "no device id for device bucketing",
     lambda flag, person: flag.get("bucketing_identifier") == "device_id"
     and "$device_id" not in person["person_properties"]),
]


def explanation(flag, person, project, sdk):
    """The first line that explains why the SDK may decide otherwise about a flag, or None.

    What the flag reads counts as its own: the trees of cohorts, and other flags.
    """
    pending, seen = [flag], set()
    while pending:
        flag = pending.pop()
        for name, _, applies in OF_FLAGS:
            if applies(flag, person):
                return name
        # With each filter, whether something above it turns its result around.
        filters = [(found, False) for condition in flag["filters"]["groups"] for found in condition["properties"]]
        while filters:
            found, is_negated = filters.pop()
            is_negated = is_negated or found.get("negation") is True or found.get("operator") == "not_in"
            if "values" in found:
                filters.extend((inner, is_negated) for inner in found["values"])
            elif found.get("type") == "flag":
                if found["key"] not in seen:
                    seen.add(found["key"])
                    pending.append(project.flags[int(found["key"])])
            elif found.get("type") == "cohort":
                # Cohorts only read earlier ones, so this ends.
                filters.append((project.cohorts[found["value"]]["properties"], is_negated))
            else:
                meeting = Meeting(found, person, project.group_names, sdk, is_negated)
                for name, _, applies in OF_FILTERS:
                    if applies(meeting):
                        return name
    return None
