"""What must hold after any cycle, and at the end of a soak; checked without the product's code."""

from __future__ import annotations

import fcntl
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import psutil
from scipy.stats import spearmanr

from benchmarks.soak.deliveries import KEYS, Account, Delivery
from pamela.core.dataset import Pairs, load_fold
from pamela.core.paths import Project
from pamela.training.bundle import load_evaluated
from tests.conftest import run_in

ALIASES: Final = ("champion", "previous", "best")
LEFT: Final = re.compile(r"\..+\.\d+(\.t[0-9a-f]{8})?(\.\w+)?|.*\.tmp|\..+\.accepted")
LEFT_OUT: Final = (".git", ".venv", "__pycache__")
LOCKS: Final = (".prefect/retrain.lock", ".dvc/tmp/lock", ".dvc/tmp/rwlock.lock")


class Soaked:
    """A project, its account, and how good the champion has been."""

    def __init__(self, project: Path, account: Account, *, tolerance: float) -> None:
        self.project, self.account, self.tolerance = project, account, tolerance
        fold = load_fold(Project(project), 0)
        self._items, self._people = fold.items, fold.people
        self._frozen = Pairs.concat(fold["test_seen"], fold["test_unseen"])
        self.best = self.srocc(self.champion())

    # --- the champion -------------------------------------------------------------------------

    def aliases(self) -> dict[str, str]:
        """Return who holds which alias."""
        return self.aliases_of(self.project)

    @staticmethod
    def aliases_of(project: Path) -> dict[str, str]:
        """Return who holds which alias, from the database."""
        with sqlite3.connect(project / "mlflow.db") as db:
            rows = db.execute(
                "select alias, version from registered_model_aliases where name = 'pamela'"
            )
            return {alias: str(version) for alias, version in rows}

    def champion(self) -> Path:
        """Return the folder of the champion's files."""
        with sqlite3.connect(self.project / "mlflow.db") as db:
            ((source,),) = db.execute(
                "select v.source from model_versions v join registered_model_aliases a "
                "on a.name = v.name and a.version = v.version where a.alias = 'champion'"
            )
        return self.project / "mlartifacts" / "registry" / Path(source).name

    def srocc(self, folder: Path) -> float:
        """Score a version on the hold-out as imported."""
        mean = load_evaluated(folder).model.predict(self._items, self._people, self._frozen).mean
        users = self._frozen.user
        return float(np.mean([
            spearmanr(np.round(mean[users == u], 6), self._frozen.rating[users == u]).statistic
            for u in np.unique(users)
        ]))  # fmt: skip

    # --- after every cycle --------------------------------------------------------------------

    def faults(self) -> Iterator[str]:
        """Yield what is wrong now; to be asked when no cycle runs, whether it was killed or not."""
        aliases = self.aliases()
        if "champion" not in aliases:
            yield "no champion"
            return
        now = self.srocc(self.champion())
        if now < self.best - self.tolerance:
            yield f"the champion fell from {self.best:.3f} to {now:.3f}"
        self.best = max(self.best, now)
        for one in self.account.deliveries:
            yield from self._nowhere(one)

    def _places(self, one: Delivery) -> list[str]:
        homes = ("inbox", "batches", "set_aside")
        return [h for h in homes if (self.project / "data" / h / "planted" / one.name).is_dir()]

    def _nowhere(self, one: Delivery) -> Iterator[str]:
        """Yield a fault unless the batch lies whole in one place at least."""
        for home in self._places(one):
            folder = self.project / "data" / home / "planted" / one.name
            found = {path.name: path.read_text() for path in folder.iterdir()}
            if found.items() >= one.contents.items():
                return
        yield f"{one.name} is whole in none of {self._places(one) or 'data'}"

    # --- after a cycle that ran to its end ------------------------------------------------------

    def faults_at_rest(self) -> Iterator[str]:
        """Yield what is wrong after a cycle that had nothing more to do."""
        yield from self.faults()
        yield from self._wrong_rows()
        yield from self._wrong_records()
        yield from self._left_over()
        done = run_in(self.project, "python", "-m", "dvc", "status", "--json",
                      *map(str, self.project.glob("data/batches/*/*.dvc")),
                      *map(str, self.project.glob("data/set_aside/*/*.dvc")))  # fmt: skip
        if done.stdout.strip() not in ("{}", ""):
            yield f"dvc status: {done.stdout.strip()}"

    def _wrong_rows(self) -> Iterator[str]:
        """Yield where training tables, quarantine and folders disagree with the account."""
        data = self.project / "data"
        learned = pl.concat(
            pl.read_parquet(file).select(*KEYS, batch=pl.lit(file.stem.partition("@")[2]))
            for file in sorted((data / "validated" / "ratings.parquet").glob("*.parquet"))
        )
        faulty = pl.read_parquet(data / "quarantine" / "planted" / "ratings.parquet")
        for one in self.account.deliveries:
            places = self._places(one)
            if len(places) != 1:
                yield f"{one.name} lies in {places}"
                continue
            mine = learned.filter(pl.col("batch") == one.name).select(KEYS)
            if places == ["batches"]:
                if not _same(mine, one.sound):
                    yield f"{one.name}: {len(mine)} of {len(one.sound)} ratings are in the tables"
                apart = faulty.filter(pl.col("source_file").str.contains(f"/{one.name}/"))
                if not _same(apart.select(KEYS), one.faulty):
                    yield f"{one.name}: {len(apart)} of {len(one.faulty)} rows in the quarantine"
                if one.kind in ("refused", "incomplete"):
                    yield f"{one.name} was taken"
            elif len(mine):
                yield f"{one.name} lies in {places[0]} and is in the tables"
            refusal = data / "inbox" / "planted" / one.name / "_REFUSED"
            if places == ["inbox"] and one.kind != "incomplete":
                if one.kind != "refused":
                    yield f"{one.name} was not taken"
                elif "off_scale" not in refusal.read_text():
                    yield f"{one.name}: {refusal.read_text()}"
        brought = pl.concat([one.sound for one in self.account.deliveries])
        pairs = learned.join(brought, on=KEYS[:2], how="semi").select(KEYS[:2])
        if pairs.is_duplicated().any():  # of others, somebody may have rated anew
            yield "a rating is in the training tables twice"

    def _wrong_records(self) -> Iterator[str]:
        lines = (self.project / "reports" / "promotions.jsonl").read_text().splitlines()
        records: list[dict[str, Any]] = [json.loads(line) for line in lines]
        ids = [one["decision"] for one in records if one.get("decision")]
        if len(ids) != len(set(ids)):
            yield "promotions.jsonl holds a decision twice"
        last: dict[str, Any] = json.loads((self.project / "reports" / "gate.json").read_text())
        if last["state"] != "done" or last["id"] not in ids:
            yield f"the last decision is {last['state']}, recorded: {last['id'] in ids}"
        served = [one["version"] for one in records if one["action"] in ("first", "promote")]
        aliases = self.aliases()
        if aliases["champion"] != served[-1]:
            yield f"champion is {aliases['champion']}, the records say {served[-1]}"
        if len(served) > 1 and aliases.get("previous") != served[-2]:
            yield f"previous is {aliases.get('previous')}, the records say {served[-2]}"
        aside = self.project / "data" / "set_aside" / "planted"
        for batch in aside.glob("*/"):
            if not aside.joinpath(f"{batch.name}.json").is_file():
                yield f"{batch.name} was set aside without its record"

    def _left_over(self) -> Iterator[str]:
        for path in self.project.rglob("*"):
            parts = path.relative_to(self.project).parts
            if not set(parts) & set(LEFT_OUT) and LEFT.fullmatch(path.name):
                yield f"left over: {path.relative_to(self.project)}"
        for name in LOCKS:
            if not _is_free(self.project / name):
                yield f"{name} is held"
        waits = self.project / ".dvc" / "tmp" / "rwlock"
        text = waits.read_text() if waits.is_file() else ""  # DVC passes over who is gone
        if any(psutil.pid_exists(int(pid)) for pid in re.findall(r'"pid": (\d+)', text)):
            yield f"DVC thinks that somebody reads or writes: {text}"
        for process in processes_of(self.project):
            yield f"still running: {' '.join(process.cmdline())}"


def _same(left: pl.DataFrame, right: pl.DataFrame) -> bool:
    return left.sort(KEYS).equals(right.select(KEYS).sort(KEYS))


def _is_free(lock: Path) -> bool:
    """Tell whether nobody holds a lock of the kernel's on a file."""
    if not lock.is_file():
        return True
    with lock.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def processes_of(project: Path) -> list[psutil.Process]:
    """Return the processes that work in `project`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(project):
                found.append(process)
        except psutil.Error:
            continue
    return found
