"""HPD: human preferences for pictures of a prompt; versions 1, 2 and 3.

A record of ``train.json`` or ``test.json`` (versions 1 and 2) is a prompt with several pictures:
which of them was preferred, or their ranks, of each person where ``raw_annotations`` are there. A
record of version 3 (``all.json``, ``test.json``) is a pair, the preferred picture first. Version
3's ``train.json`` is a part of ``all.json``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.formats import base, layout
from pamela.data.formats.files import shown
from pamela.data.importing.preferences import rankings
from pamela.data.importing.preferences.rankings import NAMED, NO_ORDER, RANK, RANKING, unnamed_note
from pamela.data.importing.preferences.release import ChoiceRelease, FileChoices, images_of

RELEASED: Final = (("all.json",), ("train.json", "preference_train.json"),
                   ("test.json", "preference_test.json"))  # fmt: skip
PATHS: Final = ("image_path", "file_path")  # of a record's pictures
PERSON: Final = "user_hash"
PREFERRED: Final = "human_preference"
EACH: Final = ("raw_annotations", "raw_annotation")  # what each person said
OF_EACH: Final = ("annotation", "rank")  # the ranks in it
PAIR: Final = ("path1", "path2")
MODELS: Final = ("model1", "model2")
VOTES: Final = "choice_dist"
ELSEWHERE: Final = ("midjourney", "hpdv2")  # sources of pairs that version 3's people did not judge
PAIRED: Final = (s.USER, s.IMAGE_A, s.IMAGE_B, s.CHOICE)
ANNOTATORS: Final = "annotators"
COLUMNS: Final = """\
train.json, test.json, all.json (those that are there), or SRC itself; records:
  prompt, image_path or file_path (a list), and human_preference (1: preferred,
  or the place of the one that is), rank, or raw_annotations (annotation or
  rank, user_hash); or, of version 3, prompt, path1 (preferred), path2,
  choice_dist, model1, model2
train/, test/, images/: the pictures, in any folder; else --pictures FOLDER"""


def read(src: Path) -> ChoiceRelease:
    """Read the release at `src`: its folder, or one of its JSON files.

    Raises
    ------
    PamelaError
        If there is no such file, or a record cannot be read.
    """
    root = src.parent
    paths = [src] if src.is_file() else _released(src, root)
    ignored: dict[str, list[str]] = {}
    if paths[0].name == "all.json" and len(paths) > 1 and paths[1].name == "train.json":
        ignored["files"] = [f"{paths.pop(1).name} (a part of all.json)"]
    parts, pictures = [], []
    for path in paths:
        found = _read_file(path, root)
        parts.append(found.choices)
        pictures.append(found.pictures)
        ignored[path.name] = found.ignored
    images, conflicts = images_of(pl.concat(pictures), (s.PROMPT, s.GENERATOR))
    ignored["images"] = conflicts
    choices = pl.concat(parts)
    unnamed = choices.filter(~pl.col(NAMED)).get_column(s.USER)
    return ChoiceRelease(
        choices=choices,
        images=rankings.with_prompt_ids(images),
        folder=src if src.is_dir() else root,
        files=tuple(paths),
        notes=(NO_ORDER, *unnamed_note(unnamed, choices.height)),
        ignored=ignored,
    )


def _released(folder: Path, root: Path) -> list[Path]:
    found = [layout.find_file(folder, names, root) for names in RELEASED]
    paths = [path for path in found if path is not None]
    if not paths:
        names = ", ".join(name for names in RELEASED for name in names)
        raise PamelaError(f"{folder.name}: none of {names} there; give HPD's folder, or its file")
    return paths


def _read_file(path: Path, root: Path) -> FileChoices:
    rows = rankings.read_records(path, root)
    there = rows.columns
    if set(PAIR) <= set(there):
        return _of_pairs(rows, path, root)
    pictures = next((c for c in PATHS if c in there), None)
    ranks = next((c for c in (*EACH, PREFERRED, RANK) if c in there), None)
    if pictures is None or ranks is None or s.PROMPT not in there:
        names = ", ".join(c for c in there if c not in base.SOURCE)
        raise PamelaError(
            f"{shown(path, root)}: not HPD's: records of {names}; expected are prompt, image_path "
            "(or file_path) and human_preference, rank or raw_annotations; or prompt, path1, path2"
        )
    rankings.require_list(rows, pictures, path, root)
    return _of_lists(rows.rename({pictures: "pictures"}), ranks, path, root)


# --- several pictures of a prompt -----------------------------------------------------------------
def _of_lists(rows: pl.DataFrame, ranks: str, path: Path, root: Path) -> FileChoices:
    said = _by_person(rows, ranks, path, root) if ranks in EACH else rows
    rater = rankings.file_rater(path)
    who = s.identifier(PERSON) if PERSON in said.columns else pl.lit(rater)
    ranked = (
        _spread(said.with_columns(who.alias(s.USER)).with_row_index(RANKING), ranks)
        .with_columns(_file(path).alias(s.FILE))
        .with_columns(pl.col(s.FILE).alias(s.IMAGE))
    )
    rankings.reject_ranked_twice(ranked)
    choices = rankings.pairs_of(ranked)
    if ranks == PREFERRED:  # two pictures of several that were not preferred were not compared
        several = ranked.group_by(RANKING).agg(several=pl.len() > 2)
        untold = pl.col("several") & (pl.col(s.CHOICE) == s.TIE)
        choices = choices.join(several, on=RANKING, maintain_order="left").filter(~untold)
    pictures = ranked.select(
        s.IMAGE, s.FILE, base.said(s.PROMPT), pl.lit(None, pl.String).alias(s.GENERATOR),
        *base.SOURCE,
    )  # fmt: skip
    taken = ("pictures", ranks, s.PROMPT, PERSON, *base.SOURCE)
    others = [c for c in rows.columns if c not in taken]
    told = choices.select(*PAIRED, pl.lit(PERSON in said.columns).alias(NAMED))
    return FileChoices(told, pictures, others)


def _by_person(rows: pl.DataFrame, each: str, path: Path, root: Path) -> pl.DataFrame:
    """Return a row per person who ranked a prompt's pictures, their ranks under the name `each`."""
    rankings.require_list(rows, each, path, root)
    inner = rows.schema[each].inner  # type: ignore[attr-defined]
    fields = [field.name for field in inner.fields] if isinstance(inner, pl.Struct) else []
    ranks = next((name for name in OF_EACH if name in fields), None)
    if ranks is None:
        raise PamelaError(
            f"{shown(path, root)}: {each} holds {inner}; records of {' or '.join(OF_EACH)} and "
            f"{PERSON} are expected"
        )
    one = rows.select("pictures", s.PROMPT, each, *base.SOURCE).explode(each)
    person = [pl.col(each).struct.field(PERSON)] if PERSON in fields else []
    return one.with_columns(*person, pl.col(each).struct.field(ranks).alias(each))


def _spread(said: pl.DataFrame, ranks: str) -> pl.DataFrame:
    """Return a row per picture with its rank: the less the better."""
    if ranks == PREFERRED and not isinstance(said.schema[ranks], pl.List):  # the place of one
        place, n = pl.col(ranks).cast(pl.Int64, strict=False), pl.col("pictures").list.len()
        broken = said.filter(~(place.is_between(0, n.cast(pl.Int64) - 1)).fill_null(False))
        if broken.height:
            row = broken.row(0, named=True)
            raise PamelaError(
                f"{row[s.SOURCE_FILE]} record {row[s.SOURCE_ROW]}: {PREFERRED} {row[ranks]!r} is "
                "the place of none of its pictures"
            )
        places = said.with_columns(pl.int_ranges(n).alias("place"))
        rows = rankings.spread(places, "pictures", "place")
        return rows.with_columns((pl.col("place") != pl.col(ranks)).cast(pl.Float64).alias(RANK))
    rows = rankings.spread(said, "pictures", ranks)
    value = pl.col(ranks)
    return rows.with_columns((-value if ranks == PREFERRED else value).alias(RANK))


def _file(path: Path) -> pl.Expr:
    """Return where a picture lies: a bare name in the folder that is called as its file is."""
    name = pl.col("pictures").str.replace_all("\\", "/", literal=True)
    bare = ~name.str.contains("/", literal=True)
    return pl.when(bare).then(pl.lit(f"{path.stem}/") + name).otherwise(name)


# --- pairs, the preferred picture first -----------------------------------------------------------
def _of_pairs(rows: pl.DataFrame, path: Path, root: Path) -> FileChoices:
    if s.PROMPT not in rows.columns:
        raise PamelaError(f"{shown(path, root)}: no prompt in its records; HPD's have one")
    first, second = (base.text(c) for c in PAIR)
    empty = rows.filter(first.is_null() | second.is_null())
    if empty.height:
        row = empty.row(0, named=True)
        raise PamelaError(
            f"{row[s.SOURCE_FILE]} record {row[s.SOURCE_ROW]}: path1 or path2 is empty; a pair "
            "needs both"
        )
    source = base.text(MODELS[0]) if MODELS[0] in rows.columns else pl.lit(None, pl.String)
    who = pl.when(source.is_in(ELSEWHERE)).then(source).otherwise(pl.lit(ANNOTATORS))
    even = pl.lit(False)
    if isinstance(rows.schema.get(VOTES), pl.List):
        votes = pl.col(VOTES)
        even = (votes.list.get(0, null_on_oob=True) == votes.list.get(1, null_on_oob=True)) & (
            votes.list.len() == 2
        )
    choices = rows.select(
        who.alias(s.USER),
        pl.min_horizontal(first, second).alias(s.IMAGE_A),
        pl.max_horizontal(first, second).alias(s.IMAGE_B),
        pl.when(even.fill_null(False)).then(pl.lit(s.TIE))
        .when(first <= second).then(pl.lit(s.CHOSE_A))
        .otherwise(pl.lit(s.CHOSE_B)).alias(s.CHOICE),
        pl.lit(False).alias(NAMED),
    )  # fmt: skip
    known = (s.PROMPT, *PAIR, *MODELS, *base.SOURCE)
    others = [c for c in rows.columns if c not in known]
    return FileChoices(choices, _pictures_of_pairs(rows), others)


def _pictures_of_pairs(rows: pl.DataFrame) -> pl.DataFrame:
    sides = []
    for column, model in zip(PAIR, MODELS, strict=True):
        named = base.category(model) if model in rows.columns else pl.lit(None, pl.String)
        generator = pl.when(named != ELSEWHERE[1]).then(named).alias(s.GENERATOR)
        sides.append(
            rows.select(base.text(column).alias(s.IMAGE), base.text(column).alias(s.FILE),
                        base.said(s.PROMPT), generator, *base.SOURCE)
        )  # fmt: skip
    return pl.concat(sides)
