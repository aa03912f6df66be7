"""Judges calls by policies, as IAM does.

Of the language of policies it knows what ours are written in. Anything else in a policy is an error: what is not understood
allows nothing and refuses nothing.
"""

import itertools
import re
from dataclasses import dataclass, field
from functools import cache

# By which a condition compares a value of the call with one of the policy.
OPERATORS = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringLike": lambda value, pattern: is_like(value, pattern),
    # AWS has these two do the same.
    "ArnEquals": lambda value, pattern: is_arn_like(value, pattern),
    "ArnLike": lambda value, pattern: is_arn_like(value, pattern),
}
SETS = ("ForAllValues", "ForAnyValue")
# Keys that `calls.py` finds for each call to which AWS gives them, with whether they have several values.
KEYS = {
    "dynamodb:LeadingKeys": True,
    "ecs:cluster": False,
    "events:detail-type": False,
    "events:source": False,
    "iam:PassedToService": False,
}
ELEMENTS = {"Sid", "Effect", "Action", "Resource", "Condition"}


class NotUnderstood(Exception):
    """A policy that this page has no words for."""


@dataclass(frozen=True)
class Call:
    """What IAM sees of a call: its action, one resource, and the keys that conditions may ask for. Of a key that may have
    several values, it has a tuple of them."""

    action: str
    resource: str
    keys: dict = field(default_factory=dict, hash=False)

    def __str__(self):
        of = "".join(f", {key} {value}" for key, value in self.keys.items())
        return f"{self.action} of {self.resource}{of}"


@dataclass(frozen=True)
class Condition:
    """One key of a condition, with the values that the policy has for it."""

    operator: str
    key: str
    values: tuple

    @classmethod
    def read(cls, operator, key, values):
        of, _, comparison = operator.rpartition(":")
        if comparison not in OPERATORS or of not in ("", *SETS):
            raise NotUnderstood(f"the operator {operator}")
        if key not in KEYS:
            raise NotUnderstood(f"the key {key}")
        if KEYS[key] != bool(of):
            raise NotUnderstood(f"{operator} of {key}, which has {'several values' if KEYS[key] else 'one value'}")
        return cls(operator, key, _texts(values))

    def holds(self, call):
        of, _, comparison = self.operator.rpartition(":")
        given = call.keys.get(self.key)
        if given is None:
            # All of no values are as they should be.
            return of == "ForAllValues"
        matches = (any(OPERATORS[comparison](value, wanted) for wanted in self.values) for value in _several(given))
        return all(matches) if of == "ForAllValues" else any(matches)

    def only(self, value):
        """The same with one of its values."""
        return Condition(self.operator, self.key, (value,))

    def fits(self, call):
        """Whether a value of the call is one for which the policy has its values."""
        comparison = OPERATORS[self.operator.rpartition(":")[2]]
        given = _several(call.keys.get(self.key, ()))
        return any(comparison(value, wanted) for value in given for wanted in self.values)


@dataclass(frozen=True)
class Right:
    """The least part of a statement: an action, a resource, and a value for each key of its condition."""

    sid: str
    action: str
    resource: str
    conditions: tuple

    def serves(self, call):
        """Whether the call is one of those that this part is for."""
        return (
            is_like(call.action.lower(), self.action.lower())
            and is_arn_like(call.resource, self.resource)
            and all(condition.fits(call) for condition in self.conditions)
        )

    def __str__(self):
        where = "".join(f" where {condition.key} is {condition.values[0]}" for condition in self.conditions)
        return f"{self.sid}: {self.action} of {self.resource}{where}"


@dataclass(frozen=True)
class Statement:
    """A statement of a policy."""

    sid: str
    effect: str
    actions: tuple
    resources: tuple
    conditions: tuple

    @classmethod
    def read(cls, statement):
        if unknown := set(statement) - ELEMENTS:
            raise NotUnderstood(f"{', '.join(sorted(unknown))} of a statement")
        if statement.get("Effect") not in ("Allow", "Deny"):
            raise NotUnderstood(f"the effect {statement.get('Effect')}")
        conditions = tuple(
            Condition.read(operator, key, values)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
        actions, resources = _texts(statement["Action"]), _texts(statement["Resource"])
        return cls(statement.get("Sid", ""), statement["Effect"], actions, resources, conditions)

    def matches(self, call):
        return (
            any(is_like(call.action.lower(), action.lower()) for action in self.actions)
            and any(is_arn_like(call.resource, resource) for resource in self.resources)
            and all(condition.holds(call) for condition in self.conditions)
        )

    def rights(self):
        """Its least parts."""
        values = [[condition.only(value) for value in condition.values] for condition in self.conditions]
        for action, resource, conditions in itertools.product(self.actions, self.resources, itertools.product(*values)):
            yield Right(self.sid, action, resource, conditions)


def read_policy(document):
    """The statements of a policy, which is given as JSON has it."""
    if document.get("Version") != "2012-10-17" or set(document) - {"Version", "Id", "Statement"}:
        raise NotUnderstood(f"a policy with {', '.join(sorted(document))} of version {document.get('Version')}")
    return [Statement.read(statement) for statement in _several(document["Statement"])]


def is_allowed(call, statements):
    """Whether these statements together allow a call: one of them has to, and none may deny it."""
    effects = {statement.effect for statement in statements if statement.matches(call)}
    return effects == {"Allow"}


def is_like(text, pattern):
    """Whether a text is like a pattern, in which a star stands for any characters and a question mark for one."""
    return bool(_pattern(pattern).fullmatch(text))


def is_arn_like(arn, pattern):
    """The same for ARNs, whose six parts are compared one by one: no star stands for a colon before the last part."""
    parts, patterns = arn.split(":", 5), pattern.split(":", 5)
    return pattern == "*" or len(parts) == len(patterns) and all(map(is_like, parts, patterns))


@cache
def _pattern(text):
    if "${" in text:
        raise NotUnderstood(f"the variable in {text}")
    meaning = {"*": ".*", "?": "."}
    return re.compile("".join(meaning.get(character) or re.escape(character) for character in text), re.DOTALL)


def _several(value):
    return value if isinstance(value, (list, tuple)) else [value]


def _texts(value):
    """The texts of an element that has one or several."""
    texts = tuple(_several(value))
    for text in texts:
        if not isinstance(text, str):
            raise NotUnderstood(f"{text!r} in place of a text")
        _pattern(text)
    return texts
