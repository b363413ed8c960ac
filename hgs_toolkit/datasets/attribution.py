"""Who made what a set shows, and under which licence; carried on into whatever learns from the set."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

ATTRIBUTION = "attribution"
"""Name of the entry of dataset.json, and of the fact of a model file, that holds the credits."""

LICENCE = "licence"
"""Name of the fact of a model file that holds its own licence."""

UNKNOWN = "unknown"


@dataclass(frozen=True, order=True)
class Credit:
    """What must be said of one work.

    Attributes:
        work: its name.
        author: who made it.
        licence: under which licence.
        source: the collection it comes from.
    """

    work: str
    author: str = UNKNOWN
    licence: str = UNKNOWN
    source: str = ""


def credits_to_json(given: Sequence[Credit]) -> list[dict[str, str]]:
    """Plain values for dataset.json, sorted."""
    return [asdict(credit) for credit in sorted(set(given))]


def read_credits(entries: Any) -> list[Credit]:
    """The credits of a dataset.json entry or of a model's fact (JSON text); what is none is passed over."""
    if isinstance(entries, str):
        try:
            entries = json.loads(entries)
        except ValueError:
            return []
    if not isinstance(entries, list):
        return []
    known = Credit.__dataclass_fields__
    rows = [entry for entry in entries if isinstance(entry, dict) and "work" in entry]
    return [Credit(**{name: str(value) for name, value in row.items() if name in known}) for row in rows]


def credits_in(facts: Mapping[str, Any]) -> tuple[Credit, ...]:
    """The credits among the entries of a dataset.json or the facts of a model file."""
    return tuple(read_credits(facts.get(ATTRIBUTION)))


def attribution_facts(known: Sequence[Credit]) -> dict[str, str]:
    """What a model file says of the works that it learned from: JSON text by the name ATTRIBUTION; {} without any."""
    return {ATTRIBUTION: json.dumps(credits_to_json(known))} if known else {}


def terms_of(facts: Mapping[str, str]) -> dict[str, Any]:
    """What must be said of a model wherever its scenes go, from its facts: its licence and the works that it learned
    from, as plain values; {} without any."""
    known = credits_in(facts)
    licence = {LICENCE: facts[LICENCE]} if LICENCE in facts else {}
    return licence | ({ATTRIBUTION: credits_to_json(known)} if known else {})


def summarise(given: Sequence[Credit]) -> str:
    """One line: how many works under which licences, and their authors."""
    if not given:
        return "none"
    licences = Counter(credit.licence for credit in given)
    counted = "; ".join(f"{count} {licence}" for licence, count in sorted(licences.items()))
    return f"{len(given)} works ({counted}) by {', '.join(sorted({credit.author for credit in given}))}"
