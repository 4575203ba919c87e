"""What serves and why, and moving the alias ``champion`` by hand: rollback and promotion.

Both are written into the version's tags first and into ``reports/promotions.jsonl`` after the alias
moved; where that was interrupted, `complete_records` writes the line of the tags.
"""

from __future__ import annotations

import datetime as dt
import getpass
import re
import subprocess
from typing import Any, Final

from pamela.core.errors import PamelaError, hidden
from pamela.core.paths import Project
from pamela.params import Params
from pamela.registry import copies, healing, versions
from pamela.registry.sqlite_reader import Version
from pamela.registry.versions import CHAMPION, NAME, PREVIOUS, champion, choose, list_versions
from pamela.retraining import records

ROLLBACK, MANUAL, FIRST = "rollback", "manual", "first"
# Those that write their record from the tags; the gate's have more to say.
FROM_TAGS: Final = (ROLLBACK, MANUAL, FIRST, versions.HEAL)
DATASET: Final = re.compile(r"(?P<name>[^ ,]+) \((?P<hash>[0-9a-f]+)\)")
ROWS: Final = re.compile(r"(?P<what>.+) \((?P<rows>\d+)\)")
FIGURE: Final = re.compile(
    r"(?:seen|unseen|gate)_\w*(?:srocc|pairwise_accuracy|choice_accuracy)\w*"
)
DATASETS_TAG, BATCHES_TAG, COMMIT_TAG = "datasets", "batches", "git_commit"
CHOICES_TAG: Final = "choices"  # that it was fitted on; versions on ratings alone have none


def describe_champion(project: Project, params: Params) -> dict[str, Any]:
    """Return what serves, since when, trained on what, and why; of the champion's tags alone.

    Raises
    ------
    PamelaError
        If no version is champion.
    """
    version = _holder(project, params)
    tags = version.tags
    fitted = ROWS.fullmatch(tags.get("fitted_on", ""))
    registered = dt.datetime.fromtimestamp(version.created // 1000, dt.UTC)
    return {
        "version": version.version,
        "model": _short(tags, "model_hash"),
        "since": tags.get(versions.PROMOTED_AT) or None,
        "registered_at": registered.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "by": tags.get(versions.PROMOTED_BY) or None,
        "as": tags.get(versions.PROMOTED_AS) or None,
        "why": tags.get(versions.PROMOTED_BECAUSE) or None,
        "replaced": tags.get(versions.PROMOTED_OVER) or None,
        "datasets": {m["name"]: m["hash"] for m in DATASET.finditer(tags.get(DATASETS_TAG, ""))},
        "ratings": int(fitted["rows"]) if fitted else None,
        "choices": int(tags.get(CHOICES_TAG, 0)) if fitted else None,
        "batches": [one for one in tags.get(BATCHES_TAG, "").split(", ") if one],
        "commit": tags.get(COMMIT_TAG),
        "encoder": tags.get("encoder"),
        "evaluated_model": _short(tags, "evaluated_model_hash"),
        "figures": {k: float(v) for k, v in sorted(tags.items()) if FIGURE.fullmatch(k)},
        "bundle_hash": tags.get(copies.BUNDLE_HASH),
        "files": version.path or hidden(version.source),
    }


def champion_fault(project: Project, params: Params) -> str | None:
    """Return what is wrong with the champion's files, in words; None where all is well."""
    return copies.fault_of_version(project, _holder(project, params))


def rollback(project: Project, params: Params, *, why: str, by: str) -> str:
    """Let ``previous`` serve again and the present champion be ``previous``; return a line.

    Raises
    ------
    PamelaError
        If no version served before, its files are lost, or it was trained on people who have
        withdrawn since.
    """
    healing.heal(project, params, [healing.wrong_aliases])
    now = champion(project, params)
    target = next((v for v in list_versions(project, params) if PREVIOUS in v.aliases), None)
    if target is None:
        who = f"version {now.version}" if now else "this registry"
        raise PamelaError(
            f"nothing to roll back to: no version was champion before {who}; "
            "`pamela promote VERSION --why TEXT` takes any"
        )
    return _move(project, params, target, now, ROLLBACK, why, by)


def promote(
    project: Project,
    params: Params,
    number: str,
    *,
    why: str,
    by: str,
    despite_withdrawn: bool = False,
) -> str:
    """Let a version serve because a person says so; return a line.

    Raises
    ------
    PamelaError
        If there is no such version, it serves already, its files are lost, or (unless
        `despite_withdrawn`) it was trained on people who have withdrawn since.
    """
    if not why.strip():
        raise PamelaError("--why: say why; it is kept with the version and in the records")
    healing.heal(project, params, [healing.wrong_aliases])
    target = choose(f"models:/{NAME}/{number}", list_versions(project, params), None, number)
    now = champion(project, params)
    if now is not None and now.version == target.version:
        raise PamelaError(f"version {number} is the champion already")
    return _move(project, params, target, now, MANUAL, why, by, despite_withdrawn=despite_withdrawn)


def complete_records(project: Project, params: Params) -> None:
    """Write the record of how the champion came to serve, unless it is there."""
    version = champion(project, params)
    tags = version.tags if version else {}
    if version is None or tags.get(versions.PROMOTED_AS) not in FROM_TAGS:
        return
    record = {
        "at": tags[versions.PROMOTED_AT],
        "action": tags[versions.PROMOTED_AS],
        "by": tags[versions.PROMOTED_BY],
        "version": version.version,
        "previous": tags[versions.PROMOTED_OVER] or None,
        "why": tags[versions.PROMOTED_BECAUSE],
        "decision": tags[versions.DECISION],
        copies.BUNDLE_HASH: tags.get(copies.BUNDLE_HASH),
    }
    records.append(project, record)


def person(project: Project) -> str:
    """Return who types: git's ``user.name``, else the name of the account."""
    done = subprocess.run(
        ["git", "config", "user.name"],
        cwd=project.root,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or getpass.getuser()


def _holder(project: Project, params: Params) -> Version:
    """Return the champion; the error says what there is."""
    uri = f"models:/{NAME}@{CHAMPION}"
    return choose(uri, list_versions(project, params), CHAMPION, None)


def _move(
    project: Project,
    params: Params,
    target: Version,
    now: Version | None,
    action: str,
    why: str,
    by: str,
    *,
    despite_withdrawn: bool = False,
) -> str:
    from pamela.registry import registration  # telling what serves needs none of it

    _require_files(project, params, target)
    withdrawn = _withdrawn_in(project, params, target)
    if withdrawn and not despite_withdrawn:
        raise PamelaError(
            f"version {target.version} was trained on {withdrawn:,} of the people who have "
            "withdrawn since (data/withdrawn.csv); nothing was moved; `pamela retrain --once` "
            f"trains without them; `pamela promote {target.version} --despite-withdrawn "
            "--why TEXT` lets it serve nevertheless"
        )
    if withdrawn:
        why = f"{why} (despite {withdrawn:,} withdrawn people)"
    promotion = registration.Promotion(why, by, action, over=now.version if now else "")
    registration.set_champion(project, params, target.version, promotion)
    complete_records(project, params)
    before = f"; version {now.version} is previous" if now else ""
    return f"version {target.version} is champion{before}; why: {why}"


def _withdrawn_in(project: Project, params: Params, target: Version) -> int:
    from pamela.retraining.withdrawal import withdrawn_in

    folder = versions.resolve(f"models:/{NAME}/{target.version}", project, params)
    return withdrawn_in(project, folder)


def _require_files(project: Project, params: Params, target: Version) -> None:
    fault = copies.fault_of_version(project, target)
    if fault is None:
        return
    source = copies.find_source(project, target)
    if source is not None:
        with copies.locked(project):
            copies.rebuild(project, target, source)
        return
    whole = [
        v.version
        for v in list_versions(project, params)
        if copies.fault_of_version(project, v) is None
    ]
    raise PamelaError(
        f"version {target.version} cannot serve: {fault}, and no other copy is left; nothing was "
        "moved; `pamela promote VERSION --why TEXT` takes a whole one "
        f"({', '.join(whole) or 'there is none'})"
    )


def _short(tags: dict[str, str], key: str) -> str | None:
    return f"{tags.get('model')}-{tags[key][:8]}" if key in tags else None
