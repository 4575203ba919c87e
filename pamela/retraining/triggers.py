"""When a cycle trains: enough new ratings or people, or an old champion (``retrain.triggers``).

A choice counts as a rating does.

Batches that were taken back, people who withdrew, and rejected batches that are still to be tried
apart are reasons by themselves. Read from tables alone, without the registry where that is not
needed: a cycle with nothing to do ends here.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import polars as pl

from pamela.core import schema as s
from pamela.core.paths import Project
from pamela.data import formats
from pamela.data.withdrawn import read_withdrawn
from pamela.evaluation.provenance import stable_hash
from pamela.params import Params
from pamela.registry import versions
from pamela.retraining import inbox, records
from pamela.retraining.gate.decision import Data, judged, last_decision, news
from pamela.retraining.tracking import tracked_hash

TRIALS = ("first", "promote", "hold", "reject")
PROMOTED_AT = "promoted_at"  # the tag of a version: when it became champion, ISO 8601, UTC


@dataclass(frozen=True)
class NewData:
    """What has come since the gate last decided.

    Attributes
    ----------
    data : what a challenger would be trained on now.
    changes : batches ``added``, ``changed``, ``removed`` (`pamela.retraining.gate.decision.news`).
    withdrawn : whether ``data/withdrawn.csv`` names other people.
    """

    data: Data
    changes: dict[str, list[str]]
    withdrawn: bool

    @property
    def added(self) -> list[str]:
        """The batches that the gate has not judged."""
        return self.changes.get("added", [])

    @property
    def group(self) -> list[str]:
        """The batches that are judged next: the new ones, and those that stay on trial."""
        return sorted({*self.added, *self.data.on_trial})


def data_now(project: Project) -> Data:
    """Return the tracked batches and the people who withdrew."""
    gone = sorted(read_withdrawn(project).iter_rows())
    hashes = batch_hashes(project)
    trial = [label for label in judged(project).on_trial if label in hashes]
    return Data(batches=hashes, withdrawn=stable_hash(gone) if gone else "", on_trial=trial)


def new_data(project: Project) -> NewData:
    """Return what has come since the gate last decided."""
    now, before = data_now(project), judged(project)
    withdrew = now.withdrawn != before.withdrawn
    return NewData(now, news(now.batches, before.batches), withdrew)


def fired(project: Project, params: Params, found: NewData, *, now: dt.datetime) -> list[str]:
    """Return why a cycle should train now, for people; empty where it should not.

    Parameters
    ----------
    now : the time, with its zone.
    """
    asked = params.retrain.triggers
    reasons = []
    for kind in ("changed", "removed"):
        if kind in found.changes:
            reasons.append(f"{kind} {', '.join(found.changes[kind])}")
    if found.withdrawn:
        reasons.append("people withdrew")
    if found.added:
        rows, users = new_counts(project, found.added)
        if sum(rows.values()) >= asked.new_ratings:
            given = " and ".join(f"{n:,} new {table}" for table, n in rows.items() if n)
            reasons.append(f"{given} in {', '.join(found.added)}")
        elif users >= asked.new_users:
            reasons.append(f"{users:,} new people in {', '.join(found.added)}")
        elif asked.drift and (drift := _drift(project, params, found.added)):
            reasons.append(f"{drift} in {', '.join(found.added)}")
    age = champion_age(project, params, now=now) if asked.max_age_days else None
    if age is not None and asked.max_age_days and age > dt.timedelta(days=asked.max_age_days):
        reasons.append(f"the champion was last tried {age.days} days ago")
    return reasons


def _drift(project: Project, params: Params, labels: list[str]) -> str:
    from pamela.retraining.drift.record import drift_of_tables  # SciPy, where it is asked alone

    return drift_of_tables(project, params, labels)


def new_counts(project: Project, labels: list[str]) -> tuple[dict[str, int], int]:
    """Return the ratings and the choices in these batches, and their people whom no model knows."""
    found = []
    for label in labels:
        dataset, _, name = label.partition("/")
        found.append(formats.read_batch(project.batches / dataset / name, dataset, project.root))
    people = pl.concat([tables.people for tables in found]).unique(s.USERS_KEYS)
    known = project.validated / "users.parquet"
    if known.is_file():
        users = pl.read_parquet(known, glob=False)
        people = people.join(users, on=list(s.USERS_KEYS), how="anti")
    rows = {
        "ratings": sum(tables.n_ratings for tables in found),
        "choices": sum(tables.n_choices for tables in found),
    }
    return rows, people.height


def champion_age(project: Project, params: Params, *, now: dt.datetime) -> dt.timedelta | None:
    """Return how long the champion has served without a trial; None where nobody knows.

    A challenger that was held is a trial, so that an old champion is no reason again and again. A
    time that lies ahead (the clock was set back) says nothing; where all do, it is now.
    """
    champion = versions.champion(project, params)
    since = champion.tags.get(PROMOTED_AT) if champion else None
    if since is None:
        return None
    times = [since, *(one.at for one in records.read(project) if one.action in TRIALS)]
    past = [time for time in map(dt.datetime.fromisoformat, times) if time <= now]
    return now - max(past, default=now)


def batch_hashes(project: Project) -> dict[str, str]:
    """Return ``{dataset/batch: DVC's hash of its contents}`` of every tracked batch."""
    hashes = {batch.label: tracked_hash(batch.folder) for batch in inbox.accepted(project)}
    return {label: md5 for label, md5 in hashes.items() if md5 is not None}


def pending(project: Project) -> list[list[str]]:
    """Return the groups of rejected batches that are still to be tried apart, and are there."""
    last = last_decision(project)
    if last is None or not last.to_try:
        return []
    there = {batch.label for batch in (*inbox.set_aside(project), *inbox.accepted(project))}
    groups = ([label for label in group if label in there] for group in last.to_try)
    return [group for group in groups if group]
