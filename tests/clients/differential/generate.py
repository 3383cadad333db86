"""Random flags, cohorts and people, all from one seed.

Values are chosen close together, so that conditions often match, and so that what
decides is the operator and its coercions rather than chance. Everything is valid for
the management API: the service under test refuses the rest. Numbers have a fraction, since
JavaScript cannot tell 1 from 1.0, and the Node SDK decides nothing about either.
"""

import random
import uuid

PROPERTIES = {
    "plan": ["free", "pro", "Pro", "ENTERPRISE", "tëam", "STRASSE", "", "42", 42.5, None],
    "email": ["ann@example.com", "Bob@Example.COM", "admin@acme.org", "none", "a+b@example.com"],
    "age": [17.5, 18.25, 20.5, "21", "1e2", "+5", " 5", "abc", "", True, None, -3.5, "inf", "NaN"],
    "version": ["1.2.3", "v1.2.3", "1.2", "1.3.0", "2.0.0-beta", "2.0.0", "0.2.5", "01.2.3", "nonsense"],
    "joined": [
        "2021-05-05", "2024-02-29T12:30:00Z", "2023-11-05T01:30:00+02:00",
        "2022-06-01", "2022-01-01 10:00:00", "not a date", 1700000000.5, None,
    ],
    "admin": [True, False, "true", "FALSE", "yes", 0.5, None],
    "tags": [["a", "b"], [], ["true"], [True, "TRUE"], {"b": "x", "a": 2.5}, "a", '["a","b"]'],
    "country": ["NL", "nl", "DE", "İstanbul"],
}

TEXTS = ["pro", "PRO", "example", "@", "a", "x", "ST", "é", "true", '["a"', "2"]
NUMBERS = ["18", "20.5", "20", "1e2", "0", "-3"]
DATES = ["2022-06-01", "2023-01-01T00:00:00Z", "2021-05-05T02:00:00+02:00", "-30d", "3y", "2h", "30m", "5w"]
VERSIONS = ["1.2.3", "v1.3", "2.0.0-rc.1", "1.2", "0.2.3", "0.0.3", "2"]
PATTERNS = ["^p.*o$", "[0-9]+", r"^[a-z]+@example\.com$", "a|b", r"^\d{2}$", r"\.com$", "^$", "e"]

OPERATORS = {
    "exact": None, "is_not": None, "is_set": ["is_set"], "is_not_set": ["is_not_set"],
    "icontains": TEXTS, "not_icontains": TEXTS, "starts_with": TEXTS, "not_starts_with": TEXTS,
    "ends_with": TEXTS, "not_ends_with": TEXTS, "regex": PATTERNS, "not_regex": PATTERNS,
    "gt": NUMBERS, "gte": NUMBERS, "lt": NUMBERS, "lte": NUMBERS,
    "is_date_before": DATES, "is_date_after": DATES,
    "semver_eq": VERSIONS, "semver_neq": VERSIONS, "semver_gt": VERSIONS, "semver_gte": VERSIONS,
    "semver_lt": VERSIONS, "semver_lte": VERSIONS, "semver_tilde": VERSIONS,
    "semver_caret": VERSIONS, "semver_wildcard": ["1.*", "1.2.*", "0.*", "2.0.*"],
}

FITTING = {
    "gt": "age", "gte": "age", "lt": "age", "lte": "age", "is_date_before": "joined", "is_date_after": "joined",
} | {name: "version" for name in OPERATORS if name.startswith("semver")}


class Generator:
    """One seed's worth of a project."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def chance(self, share):
        return self.random.random() < share

    def pick(self, values):
        return self.random.choice(values)

    # --- filters ---

    def filter(self, kind="person"):
        operator = self.pick(list(OPERATORS))
        key = FITTING.get(operator) or self.pick(list(PROPERTIES))
        if self.chance(0.1):
            key = self.pick(list(PROPERTIES))
        values = OPERATORS[operator]
        value = self.pick(values) if values else self.operand(key)
        return {"key": key, "type": kind, "operator": operator, "value": value}

    def operand(self, key):
        """What `exact` and `is_not` compare with: a value, a list of some, or a boolean."""
        known = [value for value in PROPERTIES[key] if value is not None and not isinstance(value, dict)]
        if self.chance(0.2):
            return self.pick([True, False, "true", ["true", "false"], ["false"], []])
        if self.chance(0.4):
            flat = [value for value in known if not isinstance(value, list)] or ["a"]
            return self.random.sample(flat, min(len(flat), 2))
        return self.pick(known)

    def cohort(self, earlier):
        """A tree; `earlier` are ids of cohorts that it may read."""

        def leaf():
            if earlier and self.chance(0.2):
                found = {"key": "id", "type": "cohort", "value": self.pick(earlier),
                         "operator": self.pick(["in", "not_in"])}
            else:
                found = self.filter()
            return found | {"negation": True} if self.chance(0.2) else found

        groups = [
            {"type": self.pick(["AND", "OR"]), "values": [leaf() for _ in range(self.random.randint(1, 3))]}
            for _ in range(self.random.randint(1, 2))
        ]
        return {"properties": {"type": self.pick(["AND", "OR"]), "values": groups}}

    # --- flags ---

    def flag(self, key, cohorts, readable, group_types):
        """A flag for POST; `readable` are ids and filters of flags that it may depend on."""
        by_group = group_types > 0 and self.chance(0.12)
        kind = "group" if by_group else "person"
        multivariate = self.chance(0.35)
        filters = {"groups": [
            self.condition(kind, cohorts, readable, multivariate)
            for _ in range(self.random.randint(1, 3))
        ]}
        if by_group:
            filters["aggregation_group_type_index"] = self.random.randrange(group_types)
            for condition in filters["groups"]:
                for found in condition["properties"]:
                    found["group_type_index"] = filters["aggregation_group_type_index"]
        if multivariate:
            shares = self.pick([[50, 50], [10, 20, 70], [33.33, 33.33, 33.34], [100, 0]])
            filters["multivariate"] = {"variants": [
                {"key": name, "rollout_percentage": share} for name, share in zip("abc", shares)
            ]}
        if self.chance(0.1):
            filters["early_exit"] = True
        if not by_group and self.chance(0.06):
            filters["holdout"] = {"id": 5, "exclusion_percentage": self.pick([10, 50, 100])}
        elif not by_group and self.chance(0.04):
            filters["feature_enrollment"] = True
        flag = {"key": key, "filters": filters, "active": not self.chance(0.05)}
        if not by_group and self.chance(0.05):
            flag["bucketing_identifier"] = "device_id"
        return flag

    def condition(self, kind, cohorts, readable, multivariate):
        properties = [self.filter(kind) for _ in range(self.pick([0, 1, 1, 1, 2, 2, 3]))]
        if kind == "person" and cohorts and self.chance(0.15):
            properties.append({"key": "id", "type": "cohort", "value": self.pick(cohorts),
                               "operator": self.pick(["in", "in", "not_in"])})
        if kind == "person" and readable and self.chance(0.1):
            flag, has_variants = self.pick(readable)
            value = self.pick(["a", True, False] if has_variants else [True, False])
            properties.append({"key": str(flag), "type": "flag", "operator": "flag_evaluates_to",
                               "value": value})
        condition = {"properties": properties,
                     "rollout_percentage": self.pick([None, 0, 10, 33.33, 50, 75.5, 100, 100])}
        if multivariate and self.chance(0.3):
            condition["variant"] = self.pick(["a", "b"])
        return condition

    # --- people ---

    def person(self, group_names):
        """What is sent about one person: the same to the service and to each SDK."""
        name = str(uuid.UUID(int=self.random.getrandbits(128)))
        distinct_id = self.pick([name, name, f"user-{self.random.randint(1, 10**6)}", f"用户-{name[:8]}"])
        properties = {key: self.pick(values) for key, values in PROPERTIES.items() if self.chance(0.9)}
        if self.chance(0.5):
            properties["$device_id"] = f"device-{self.random.randint(1, 10**6)}"
        for flag in range(0, 200):
            if self.chance(0.3):
                enrolled = self.pick([True, False, "true", "True"])
                properties[f"$feature_enrollment/flag-{flag}"] = enrolled
        groups = {group: f"{group}-{self.random.randint(1, 10**6)}" for group in group_names if self.chance(0.8)}
        group_properties = {
            group: {key: self.pick(values) for key, values in PROPERTIES.items() if self.chance(0.9)}
            for group in groups
        }
        return {"distinct_id": distinct_id, "person_properties": properties, "groups": groups,
                "group_properties": group_properties}
