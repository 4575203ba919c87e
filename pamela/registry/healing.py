"""What is amiss in the registry after a crash or a fault of a disk, and how it is mended.

Every check looks first, at the database's own file and the copies; MLflow is imported only when
there is something to write. Where the champion's files are lost for good, the version before it
serves again: that is said, and kept in its tags.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pamela.core.errors import PamelaError
from pamela.core.files import read_json
from pamela.core.paths import Project
from pamela.params import Params
from pamela.registry import copies
from pamela.registry.copies import BUNDLE, BUNDLE_HASH
from pamela.registry.mlflow_model import DESCRIPTION_FILE, write_mlflow_files
from pamela.registry.sqlite_reader import PATH, Version
from pamela.registry.versions import (
    BEST,
    CHALLENGER,
    CHAMPION,
    DECISION,
    FIRST,
    HEAL,
    HEALER,
    NAME,
    PREVIOUS,
    PROMOTED_AT,
    PROMOTED_BECAUSE,
    PROMOTED_OVER,
    RegisteredModel,
    nth_promotion,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

Mend = Callable[[], str]  # does it, and says in a line what was done
Check = Callable[[RegisteredModel], list[Mend]]


def heal(project: Project, params: Params, checks: Sequence[Check] | None = None) -> list[str]:
    """Mend what is amiss; return a line for each thing that was done.

    An empty registry is none of it: `pamela.registry.registration.register_if_empty`.

    Parameters
    ----------
    checks : some of `CHECKS`; by default all.

    Raises
    ------
    PamelaError
        If no version can be champion; it says what to do.
    """
    checks = CHECKS if checks is None else checks
    copies.sweep(project)
    if is_sound(project, params, checks):
        return []
    lines = []
    with copies.locked(project):
        for check in checks:
            for mend in check(RegisteredModel.look(project, params)):
                lines.append(mend())
    return lines


def is_sound(project: Project, params: Params, checks: Sequence[Check] | None = None) -> bool:
    """Tell whether there is nothing to mend that can be (no MLflow import with SQLite)."""
    registry = RegisteredModel.look(project, params)
    asked = CHECKS if checks is None else checks
    return not registry.versions or not any(check(registry) for check in asked)


def is_registered(project: Project, params: Params) -> bool:
    """Tell whether there is a champion with all that belongs to it."""
    return bool(RegisteredModel.look(project, params).versions) and is_sound(project, params)


def _client(registry: RegisteredModel) -> MlflowClient:
    from pamela.registry.tracking.publish import client_of  # what only looks need not wait for it

    return client_of(registry.project, registry.params)


def _fault(registry: RegisteredModel, version: Version) -> str | None:
    """Return what is wrong with a version's files; all are read where an alias names it."""
    return copies.fault_of_version(registry.project, version, thorough=bool(version.aliases))


def _lost(registry: RegisteredModel, version: Version) -> str | None:
    """Return what is wrong with a version's only files; a copy here of what all share is none."""
    return None if copies.is_kept_elsewhere(version) else _fault(registry, version)


# --- the checks, in their order ---------------------------------------------------------------


def lacking_tags(registry: RegisteredModel) -> list[Mend]:
    """Find versions without the tags that say what they are and where their files are."""
    return [
        partial(_mend_tags, registry, version, folder)
        for version in registry.versions
        if not {PATH, BUNDLE_HASH, "model", "model_hash"} <= set(version.tags)
        and (folder := _folder_of(registry.project, version)) is not None
    ]


def _folder_of(project: Project, version: Version) -> Path | None:
    """Return the copy that a version without tags means, if it is one and whole."""
    digest = Path(version.source.rstrip("/")).name
    folder = copies.copies_folder(project) / digest
    return folder if digest and copies.fault_of(folder, digest) is None else None


def _mend_tags(registry: RegisteredModel, version: Version, folder: Path) -> str:
    from pamela.registry.version_facts import model_tags

    tags = model_tags(read_json(folder / "bundle.json"))
    tags |= {BUNDLE_HASH: folder.name, PATH: registry.project.relative(folder)}
    for key, value in tags.items():
        if key not in version.tags:
            _client(registry).set_model_version_tag(NAME, version.version, key, value)
    return f"version {version.version}: its tags were lacking; they are those of its files"


def made_twice(registry: RegisteredModel) -> list[Mend]:
    """Find versions of the same bundle: one that nothing refers to is one too many."""
    by_bundle: dict[str, list[Version]] = {}
    for version in registry.versions:
        if BUNDLE_HASH in version.tags:
            by_bundle.setdefault(version.tags[BUNDLE_HASH], []).append(version)
    doubles: list[Mend] = []
    for same in by_bundle.values():
        kept = max(same, key=_weight)
        doubles += [
            partial(_drop, registry, v, kept)
            for v in same
            if v is not kept and not any(_weight(v)[:3])
        ]
    return doubles


def _weight(version: Version) -> tuple[bool, bool, bool, int]:
    judged = any(key.startswith("gate_") for key in version.tags)
    return bool(version.aliases), _served(version), judged, -int(version.version)


def _served(version: Version) -> bool:
    """Tell whether it was champion: its tags of that are complete, or older than times are."""
    tags = version.tags
    return DECISION in tags or (PROMOTED_BECAUSE in tags and PROMOTED_AT not in tags)


def _drop(registry: RegisteredModel, version: Version, kept: Version) -> str:
    _client(registry).delete_model_version(NAME, version.version)
    return f"version {version.version}: the same as version {kept.version}; removed"


def lost_files(registry: RegisteredModel) -> list[Mend]:
    """Find versions whose files are lost or damaged while something else holds the same."""
    mends: list[Mend] = []
    for version in registry.versions:
        fault = _fault(registry, version)
        source = copies.find_source(registry.project, version) if fault else None
        if fault and source:
            mends.append(partial(_rebuild, registry, version, fault, source))
    return mends


def _rebuild(registry: RegisteredModel, version: Version, fault: str, source: copies.Source) -> str:
    try:
        copies.rebuild(registry.project, version, source)
    except PamelaError as error:
        return f"version {version.version}: {fault}, and not to be rebuilt: {error}"
    return f"version {version.version}: {fault}; rebuilt from {source.name}"


def undescribed(registry: RegisteredModel) -> list[Mend]:
    """Find copies that MLflow cannot serve, as they lack its files."""
    folders = {v.version: registry.project.root / v.path for v in registry.versions if v.path}
    return [
        partial(_describe, number, folder)
        for number, folder in folders.items()
        if (folder / "bundle.json").is_file() and not (folder / DESCRIPTION_FILE).is_file()
    ]


def _describe(number: str, folder: Path) -> str:
    write_mlflow_files(folder)
    return f"version {number}: MLflow's files were lacking; written"


def no_champion(registry: RegisteredModel) -> list[Mend]:
    """Find the alias ``champion`` nowhere, or on a version whose files are lost."""
    holder = registry.champion
    if not registry.versions or (holder and _lost(registry, holder) is None):
        return []
    return [partial(_seat_another, registry, holder)]


def _seat_another(registry: RegisteredModel, holder: Version | None) -> str:
    from pamela.registry import registration

    project, params = registry.project, registry.params
    able = [v for v in registry.versions if v != holder and (holder is None or _served(v))]
    whole = [
        v for v in able if copies.is_kept_elsewhere(v) or not copies.fault_of_version(project, v)
    ]
    why = "no version held the alias champion"
    if holder is not None:
        why = f"version {holder.version}: {_fault(registry, holder)}, and no other copy is left"
    healed = registration.Promotion(why, HEALER, HEAL)
    if not whole:
        number = _register_trained(registry, why)
        registration.move_champion(project, params, number, healed)
        return f"{why}; {BUNDLE}, as it was trained last, is champion as version {number}"
    if holder is not None:
        over = holder.tags.get(PROMOTED_OVER, registry.aliases.get(PREVIOUS))
        chosen = next((v for v in whole if v.version == over), max(whole, key=_last_served))
    else:
        chosen = max(whole, key=_last_served)
        if _served(chosen):  # it serves again as what it was; its tags tell why
            _client(registry).set_registered_model_alias(NAME, CHAMPION, chosen.version)
            return f"{why}; version {chosen.version}, which held it last, has it again"
        # the first publication was interrupted
        first = registration.Promotion(FIRST, action="first")
        registration.move_champion(project, params, chosen.version, first)
        return f"{why}; version {chosen.version}, {FIRST}, has it"
    registration.move_champion(project, params, chosen.version, healed)
    return f"{why}; version {chosen.version} is champion"


def _last_served(version: Version) -> tuple[bool, int, str, int]:
    """Order versions: the one that served last, whatever the clock said; else the first."""
    served, number = _served(version), int(version.version)
    when = version.tags.get(PROMOTED_AT, "")  # of versions from before promotions were counted
    return served, nth_promotion(version), when, number if served else -number


def _register_trained(registry: RegisteredModel, why: str) -> str:
    from pamela.registry import registration

    try:
        bundle = registry.project.models / BUNDLE
        return registration.register(registry.project, registry.params, bundle)
    except PamelaError as error:
        raise PamelaError(
            f"{why}, and no version can be: {error}; bring mlartifacts/registry back from a "
            "backup, or run `make repro`"
        ) from None


def wrong_aliases(registry: RegisteredModel) -> list[Mend]:
    """Find aliases that point nowhere or at a best without files, and what the tags contradict."""
    holder = registry.champion
    if holder is None:
        return []
    wanted = dict(registry.aliases)
    over = holder.tags.get(PROMOTED_OVER)
    if over and over != holder.version and registry.version(over):
        wanted[PREVIOUS] = over
    for alias in (PREVIOUS, CHALLENGER):
        if wanted.get(alias) == holder.version:
            del wanted[alias]
    best = registry.version(wanted.get(BEST))
    if best and _lost(registry, best) and not copies.find_source(registry.project, best):
        del wanted[BEST]  # else every trial would stop at it
    wanted = {alias: number for alias, number in wanted.items() if registry.version(number)}
    return [
        partial(_point, registry, alias, wanted.get(alias))
        for alias in sorted({*registry.aliases, *wanted})
        if wanted.get(alias) != registry.aliases.get(alias)
    ]


def _point(registry: RegisteredModel, alias: str, number: str | None) -> str:
    before = registry.aliases.get(alias)
    was = f"pointed at version {before}" if before else "was nowhere"
    if number is None:
        _client(registry).delete_registered_model_alias(NAME, alias)
        return f"alias {alias}: {was}; removed"
    _client(registry).set_registered_model_alias(NAME, alias, number)
    return f"alias {alias}: {was}; it is version {number}"


def not_noted(registry: RegisteredModel) -> list[Mend]:
    """Find a champion that is not noted beside the copies, for the day the database is lost."""
    holder = registry.champion
    if holder is None or not {PATH, BUNDLE_HASH} <= set(holder.tags):
        return []
    noted = copies.noted_champion(registry.project).get(BUNDLE_HASH)
    return [] if noted == holder.tags[BUNDLE_HASH] else [partial(_note, registry, holder)]


def _note(registry: RegisteredModel, holder: Version) -> str:
    copies.remember_champion(registry.project, holder)
    return f"version {holder.version}: noted beside the copies as what serves"


CHECKS: Final[tuple[Check, ...]] = (
    lacking_tags, made_twice, lost_files, undescribed, no_champion, wrong_aliases, not_noted,
)  # fmt: skip
