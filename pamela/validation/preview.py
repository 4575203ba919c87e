"""What validate would say of a dataset before it is imported: the same rules, nothing written."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from pamela.core import schema as s
from pamela.core.paths import Project
from pamela.data import image_files
from pamela.data.formats import Tables
from pamela.params import ValidateParams
from pamela.validation import checks, validate
from pamela.validation.division import TableResult, TableResults, check_table
from pamela.validation.rows import Rows, any_left, too_faulty


def check_tables(
    project: Project, tables: Tables, root: Path, params: ValidateParams
) -> TableResults:
    """Hold the ratings, choices and images of `tables` to the project's expectations.

    Parameters
    ----------
    root : what the paths of pictures are relative to.

    Raises
    ------
    PamelaError
        If a structural expectation fails.
    """
    suites = validate.load_suites(project)
    hashes = image_files.hash_files(tables.images.get_column(s.FILE).drop_nulls(), root)
    images = tables.images.drop(s.SHA256).join(hashes, on=s.FILE, how="left", maintain_order="left")
    decoded = pl.DataFrame(schema={s.SHA256: pl.String, image_files.DECODES: pl.Boolean})
    if tables.has_images:
        decoded = image_files.decode_files(images.select(s.FILE, s.SHA256), root)
    states = checks.image_states(images, decoded, has_images=tables.has_images)
    latest, repeats = params.latest_rated_at, tables.repeats
    rows = Rows(
        tables.name, [tables.ratings], [tables.choices], tables.scale, latest, repeats=repeats
    )
    images_checked = check_table(tables.name, "images", states, suites["images"])
    return {**rows.check(states, suites), "images": images_checked}


def describe(results: TableResults, allowed: float) -> list[str]:
    """Return for people which rules are broken, where first, and whether validate would stop."""
    lines = [_by_rule(table, result) for table, result in results.items() if result.rows_in]
    for table in too_faulty(results, allowed):
        lines.append(f"validate would stop: {results[table].describe_share(allowed, table)}")
    if not any_left(results):
        lines.append("validate would stop: no rating and no choice is left")
    return lines


def _by_rule(table: str, result: TableResult) -> str:
    if not result.quarantined.height:
        return f"{table}: no row breaks a rule"
    first = result.quarantined.unique("rule", keep="first", maintain_order=True)
    where = {r["rule"]: f"{r[s.SOURCE_FILE]} row {r[s.SOURCE_ROW]}" for r in first.to_dicts()}
    rules = (f"{rule} {n:,} (first {where[rule]})" for rule, n in result.by_rule.items())
    return f"{table}: {', '.join(rules)}"
