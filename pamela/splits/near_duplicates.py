"""Which pictures must lie on one side of a split: near-duplicates, and one content under two ids.

Pictures that share a ``prompt_id`` or a content hash belong together. Those of one source (the
dataset as imported, or one batch) are joined by both relations at once, and the group is known by
the prompt_id (else image_id) that came first, so that it keeps its side when it grows. Sources are
taken in order, the dataset before its batches by name, and what an earlier one settled stays: a
later picture that ties two groups together belongs to both, moves neither, and is set aside where
they lie on different sides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import polars as pl

from pamela.core import schema as s

KEY: Final = "key"  # what a group's side is drawn from
SOURCE: Final = "source"  # the batch's name; empty for the dataset itself
ROW: Final = "row"  # order of arrival within the source
BATCH: Final = r"^data/batches/[^/]+/([^/]+)/"  # of source_file
Token = tuple[str, str]  # (prompt or content, value): what pictures may have in common


def prompt_keys(images: pl.DataFrame) -> pl.DataFrame:
    """Return (image_id, key, sha256): the key is prompt_id, else image_id."""
    return images.select(s.IMAGE, pl.coalesce(s.PROMPT_ID, s.IMAGE).alias(KEY), s.SHA256)


def across_prompts(keyed: pl.DataFrame) -> pl.DataFrame:
    """Return those rows of `prompt_keys` whose content also lies under another key."""
    return keyed.drop_nulls(s.SHA256).filter(pl.col(KEY).n_unique().over(s.SHA256) > 1)


def arrival_order(origins: pl.DataFrame) -> pl.DataFrame:
    """Return (image_id, source, row) from (image_id, source_file, source_row)."""
    source = pl.col(s.SOURCE_FILE).str.extract(BATCH).fill_null("").alias(SOURCE)
    ordered = origins.with_columns(source).sort(SOURCE, s.SOURCE_FILE, s.SOURCE_ROW)
    return ordered.select(s.IMAGE, SOURCE, pl.int_range(pl.len()).alias(ROW))


def group_keys(keyed: pl.DataFrame, arrival: pl.DataFrame) -> pl.DataFrame:
    """Return (image_id, key): a row for each group that an image belongs to, mostly one.

    Parameters
    ----------
    keyed : `prompt_keys` of a dataset's images.
    arrival : `arrival_order` of at least these images.
    """
    ties = across_prompts(keyed)
    came = keyed.join(arrival, on=s.IMAGE)
    order = came.group_by(KEY).agg(pl.col(SOURCE).min(), pl.col(ROW).min())
    first = {key: (source, row) for key, source, row in order.iter_rows()}
    owners = _settle(ties.join(arrival, on=s.IMAGE).sort(ROW), first)
    by_prompt = _owners_frame(owners, "prompt", KEY)
    by_content = _owners_frame(owners, "content", s.SHA256)
    shared = pl.concat(
        [
            keyed.join(by_prompt, on=KEY).select(s.IMAGE, "owner"),
            keyed.join(by_content, on=s.SHA256).select(s.IMAGE, "owner"),
        ]
    ).unique()
    alone = keyed.join(shared, on=s.IMAGE, how="anti").select(s.IMAGE, KEY)
    return pl.concat([alone, shared.rename({"owner": KEY})]).sort(s.IMAGE, KEY)


def _settle(
    ties: pl.DataFrame, first: Mapping[str, tuple[str, int]]
) -> dict[Token, frozenset[str]]:
    """Return the groups of every prompt key and content that `ties` names, source by source.

    Only contents under several prompts are in `ties`: few, so that plain Python will do.
    """
    owners: dict[Token, frozenset[str]] = {}
    for (source,), rows in ties.group_by(SOURCE, maintain_order=True):
        edges = [
            (("prompt", key), ("content", content))
            for key, content in rows.select(KEY, s.SHA256).iter_rows()
        ]
        for prompt, _ in edges:
            if first[prompt[1]][0] < str(source):  # an earlier source settled it by itself
                owners.setdefault(prompt, frozenset({prompt[1]}))
        for component, settled in _components(edges, owners):
            known = frozenset().union(*(owners[token] for token in settled))
            if not known:
                names = [value for kind, value in component if kind == "prompt"]
                known = frozenset({min(names, key=lambda name: first[name])})
            owners |= dict.fromkeys(component, known)
    return owners


def _components(
    edges: list[tuple[Token, Token]], owners: Mapping[Token, frozenset[str]]
) -> list[tuple[list[Token], set[Token]]]:
    """Return the components of tokens that are new, each with the settled tokens it touches."""
    touching: dict[Token, set[Token]] = defaultdict(set)
    for one, other in edges:
        touching[one].add(other)
        touching[other].add(one)
    found: list[tuple[list[Token], set[Token]]] = []
    seen: set[Token] = set(owners)
    for start in touching:
        if start in seen:
            continue
        seen.add(start)
        component, settled, waiting = [], set[Token](), [start]
        while waiting:
            token = waiting.pop()
            component.append(token)
            settled |= {t for t in touching[token] if t in owners}
            fresh = touching[token] - seen
            seen |= fresh
            waiting += fresh
        found.append((component, settled))
    return found


def _owners_frame(owners: Mapping[Token, frozenset[str]], kind: str, column: str) -> pl.DataFrame:
    rows = [(v, o) for (k, v), groups in owners.items() if k == kind for o in sorted(groups)]
    return pl.DataFrame(rows, schema={column: pl.String, "owner": pl.String}, orient="row")
