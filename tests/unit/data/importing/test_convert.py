"""Tables as people have them become the tables format: what was said is read, nothing guessed."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.data.formats.base import Tables
from pamela.data.importing.dataset import import_dataset
from pamela.data.importing.open_tables import Opener
from pamela.data.importing.options import (
    TableOptions,
    parse_columns,
    parse_encoding,
    parse_scale,
    parse_separator,
)
from pamela.data.ingest import read_base
from pamela.data.repeats import parse_repeats
from tests.helpers.folders import (
    choices_of,
    images_of,
    ratings_of,
    write_choices,
    write_picture,
)
from tests.helpers.survey_exports import PROLIFIC_IDS, long_csv

RATED = ["user_id", "image_id", "rating"]


def bring(project: Project, source: Path, **options: object) -> Tables:
    """Import tables and return them as ingest reads them."""
    import_dataset(project, "tables", str(source), "mine", options=TableOptions(**options))  # type: ignore[arg-type]
    return read_base(project, "mine")


def triples(tables: Tables) -> list[tuple[str, str, float]]:
    return sorted(tables.ratings.select(RATED).collect().rows())


def expected() -> list[tuple[str, str, float]]:
    return sorted((u, i, float(r)) for u, i, r in ratings_of(4, 6).rows())


def columns(*entries: str) -> tuple[object, ...]:
    return parse_columns(entries)


# --- choices --------------------------------------------------------------------------------------
def choices_source(home: Path) -> pl.DataFrame:
    """Write choices under other names, images beside them; return them under ours."""
    home.mkdir()
    images_of(6).write_csv(home / "images.csv")
    for n in range(6):
        write_picture(home / f"images/i{n}.png", n)
    chosen = choices_of(4, 6).with_columns(age=pl.col("user_id").str.slice(1))
    theirs = {"user_id": "worker", "image_a": "left", "image_b": "right", "choice": "answer"}
    chosen.rename(theirs).write_csv(home / "answers.tsv", separator="\t")
    return chosen


THEIRS = columns("user_id=worker,image_a=left,image_b=right,choice=answer")


@pytest.mark.parametrize("name", ["answers.tsv", "choices.tsv"])
def test_choices_of_another_form_come_in_without_a_scale(
    project: Project, tmp_path: Path, name: str
) -> None:
    """A file alone is known by its two images; a folder by the table's name."""
    home = tmp_path / "theirs"
    chosen = choices_source(home)
    (home / "answers.tsv").rename(home / name)
    source = home if name.startswith("choices") else home / name
    tables = bring(project, source, columns=THEIRS, demographics=("age",))
    read = tables.choices.select("user_id", "image_a", "image_b", "choice").collect()
    assert read.equals(chosen.drop("age"))
    assert (tables.scale_declared, tables.n_ratings) == (False, 0)
    assert tables.users.select("user_id", "age").rows() == [(f"u{n}", str(n)) for n in range(4)]


def test_the_summary_counts_choices_and_what_is_wrong_with_them(
    project: Project, tmp_path: Path
) -> None:
    source = write_choices(tmp_path / "theirs")
    with (source / "choices.csv").open("a") as stream:
        stream.write(",i0,i1,a\nu0,i0,i0,a\nu0,i0,gone,a\nu0,i0,i1,left\n")
    (source / "images" / "i5.png").unlink()
    found = import_dataset(project, "tables", str(source), "mine")
    assert found.faults == {
        "without a user": 1,
        "without a choice": 1,
        "of an image against itself": 1,
        "on an unknown image": 1,
        "on an absent picture": 20,
    }
    assert found.faulty_share == 24 / 64
    assert "64 between two images" in str(found)
    assert "4 who chose, 4 of them among the 4 of the users table" in str(found)


def test_choices_without_images_say_what_is_missing(project: Project, tmp_path: Path) -> None:
    home = tmp_path / "theirs"
    choices_source(home)
    (home / "images.csv").unlink()
    with pytest.raises(PamelaError, match=r"answers\.tsv: no images table, .* give images\.csv"):
        bring(project, home / "answers.tsv", columns=THEIRS)
    with pytest.raises(PamelaError, match=r"--wide is for ratings; answers\.tsv has none"):
        bring(project, home / "answers.tsv", columns=THEIRS, wide=True)


# --- files of another kind ------------------------------------------------------------------------
def as_tsv(folder: Path) -> None:
    ratings_of(4, 6).write_csv(folder / "ratings.tsv", separator="\t")


def as_json_lines(folder: Path) -> None:
    numbers = ratings_of(4, 6).with_columns(pl.col("rating").cast(pl.Int64))
    numbers.write_ndjson(folder / "ratings.jsonl")


def as_json(folder: Path) -> None:
    rows = ratings_of(4, 6).to_dicts()
    rows[0]["rating"] = int(rows[0]["rating"])  # a number here, text there
    (folder / "ratings.json").write_text(json.dumps(rows))


def packed(pack: Callable[[bytes], bytes], suffix: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        content = ratings_of(4, 6).write_csv().encode()
        (folder / f"ratings.csv{suffix}").write_bytes(pack(content))

    return spoil


def as_spark(folder: Path) -> None:
    home = folder / "ratings.parquet"
    home.mkdir()
    frame = ratings_of(4, 6).with_columns(pl.col("rating").cast(pl.Float64))
    frame[:10].write_parquet(home / "part-00000-1a.c000.snappy.parquet")
    frame[10:].write_parquet(home / "part-00001-1a.c000.snappy.parquet")
    (home / "_SUCCESS").write_bytes(b"")
    (home / ".part-00000-1a.c000.snappy.parquet.crc").write_bytes(b"crc")


def as_partitions(folder: Path) -> None:
    frame = ratings_of(4, 6)
    for (user,), rows in frame.group_by("user_id"):
        home = folder / "ratings.parquet" / f"user_id={user}"
        home.mkdir(parents=True)
        rows.drop("user_id").write_parquet(home / "part-0.parquet")


def as_csv_parts(folder: Path) -> None:
    home = folder / "ratings.csv"
    home.mkdir()
    ratings_of(4, 6)[:9].write_csv(home / "part-00000.csv")
    (home / "part-00001.csv.gz").write_bytes(
        gzip.compress(ratings_of(4, 6)[9:].write_csv().encode())
    )


FORMS = {
    "tsv": as_tsv,
    "json-lines": as_json_lines,
    "json": as_json,
    "gz": packed(gzip.compress, ".gz"),
    "bz2": packed(bz2.compress, ".bz2"),
    "xz": packed(lzma.compress, ".xz"),
    "spark": as_spark,
    "partitions": as_partitions,
    "csv-parts": as_csv_parts,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_table_of_another_kind_is_read_by_its_suffix(
    project: Project, source: Path, form: str
) -> None:
    (source / "ratings.csv").unlink()
    FORMS[form](source)
    tables = bring(project, source)
    assert triples(tables) == expected()
    assert tables.demographics == ["gender"]
    assert len(list((project.raw / "mine" / "images").iterdir())) == 6
    record = json.loads((project.raw / "mine" / "import.json").read_text())
    assert record == {"kind": "tables", "options": {"from": "tables"}}


@pytest.mark.parametrize("form", ["ratings.csv", "ratings.jsonl"])
def test_brackets_and_stars_in_a_path_are_letters(
    project: Project, source: Path, form: str
) -> None:
    rows = pl.read_csv(source / "ratings.csv", infer_schema=False)
    (source / "ratings.csv").unlink()
    moved = source.rename(source.parent / "my [data] *1?")
    rows.write_csv(moved / form) if form.endswith("csv") else rows.write_ndjson(moved / form)
    assert triples(bring(project, moved)) == expected()


def test_whole_floats_of_typed_files_are_ids_as_in_the_tables_format(
    project: Project, source: Path
) -> None:
    (source / "ratings.csv").unlink()
    rows = [{"user_id": float(u), "image_id": f"i{i}", "rating": 3} for u in (1, 2) for i in (0, 1)]
    (source / "ratings.jsonl").write_text("\n".join(map(json.dumps, rows)))
    write_users = pl.DataFrame({"user_id": ["1", "2"], "gender": ["f", "m"]})
    write_users.write_csv(source / "users.csv")
    tables = bring(project, source)
    assert set(tables.raters["user_id"]) == {"1", "2"}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda f: (f / "ratings.csv.gz").write_bytes(b"\x1f\x8bnothing"), "cannot be unpacked"),
        (lambda f: (f / "ratings.json").write_text("{}"), "not a list of records"),
        (lambda f: (f / "ratings.jsonl").write_text("{"), r"line 1: not readable as JSON"),
        (
            lambda f: (f / "ratings.jsonl").write_text('{"user_id": "u0"}\n[1]\n'),
            "line 2: not readable as JSON",
        ),
        (
            lambda f: (f / "ratings.jsonl").write_text(
                '{"user_id": "u0", "image_id": "i0", "rating": 3}\n'
                '{"user_id": "u0", "image_id": "i1", "rating": true}\n'
            ),
            "ratings.jsonl line 2: rating is true or false .true., and text or a number in line 1",
        ),
        (
            lambda f: (f / "ratings.jsonl").write_text('{"rating": 3}\n{"rating": NaN}\n'),
            "line 2: not readable as JSON .NaN is no JSON; write null",
        ),
        (
            lambda f: (f / "ratings.json").write_text('[{"user_id": "u0"}, {"user_id": ["u1"]}]'),
            "ratings.json record 2: user_id is a list .*, and text or a number in record 1",
        ),
        (
            lambda f: (f / "ratings.jsonl").write_text(
                '{"user_id": "u0", "image_id": "i0", "rating": [3]}\n'
            ),
            "ratings.jsonl: column rating holds List",
        ),
        (lambda f: (f / "ratings.json").write_text("{}\n{}"), r"call it \.jsonl if each line"),
        (lambda f: (f / "ratings.xlsx").write_bytes(b"PK"), "save its sheet as UTF-8"),
        (lambda f: (f / "ratings.dat").write_bytes(b"x"), "unknown suffix"),
        (lambda f: (f / "ratings.parquet").mkdir(), "a folder without any .parquet file"),
        (lambda f: (f / "ratings.parquet" / "_delta_log").mkdir(parents=True), "a Delta table"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_line_and_leaves_nothing(
    project: Project, source: Path, make: Callable[[Path], object], said: str
) -> None:
    (source / "ratings.csv").unlink()
    make(source)
    with pytest.raises(PamelaError, match=said) as error:
        bring(project, source)
    assert "ratings" in str(error.value)
    assert list(project.raw.iterdir()) == []


# --- text: separator, encoding, decimal comma -----------------------------------------------------
def test_separator_encoding_and_decimal_comma_are_read_when_they_are_said(
    project: Project, source: Path
) -> None:
    ratings = ratings_of(4, 6).with_columns(
        user_id=pl.col("user_id").replace("u0", "Zoë"), rating=pl.col("rating") + ",5"
    ).with_columns(rating=pl.col("rating").replace("5,5", "5,0"))  # fmt: skip
    users = pl.DataFrame({"user_id": ["Zoë", "u1"], "height": ["1,70", "1,80"]})
    for name, frame in (("ratings", ratings), ("users", users), ("images", images_of(6))):
        text = frame.write_csv(separator=";")
        (source / f"{name}.csv").write_bytes(text.encode("cp1252"))
    said = {"separator": ";", "encoding": "cp1252", "decimal_comma": True}
    tables = bring(project, source, **said)
    found = tables.ratings.collect()
    assert found["rating"].null_count() == 0
    assert set(found["rating"] % 1) <= {0.0, 0.5}
    assert tables.users.select("user_id", "height").rows() == [("Zoë", "1.7"), ("u1", "1.8")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"user_id;image_id;rating\nu0;i0;3\n", r"separated by ';', not by ','.*--separator ';'"),
        (b'user_id;image_id;rating;why\nu0;i0;3;"well, yes"\nu0;i1;3;x, y\n', "--separator ';'"),
        (b"user_id\timage_id\trating\nu0\ti0\t3\n", "separated by tabs.*--separator tab"),
        (b"user_id,image_id,rating\nu\xeb,i0,3\n", "0xEB in line 2.*or add --encoding"),
        ("user_id,image_id,rating\nu0,i0,3\n".encode("utf-16"), "UTF-16.*--encoding utf-16"),
        (b"user_id,image_id,rating\nu0,i0,3\nu0,i1,4,5\n", r"ratings\.csv row 2: 4 cells.* 3;"),
        (b'user_id,image_id,rating\nu0,i0,3\n"u0,i1,4\n', r"ratings\.csv row 2: a quote"),
        (b"worker,image_id,score\nu0,i0,3\n", "no column user_id.*--map user_id=COLUMN"),
        (gzip.compress(b"x" * 99, mtime=0), r"compressed \(gzip\).*end its name in \.gz"),
    ],
)
def test_a_plain_table_that_cannot_be_read_names_the_option(
    project: Project, source: Path, content: bytes, said: str
) -> None:
    (source / "ratings.csv").write_bytes(content)
    with pytest.raises(PamelaError, match=said):
        bring(project, source)
    assert list(project.raw.iterdir()) == []


def test_a_wrong_option_is_told_in_the_same_words(project: Project, source: Path) -> None:
    for options, said in [
        ({"separator": ";"}, "separated by ',', not by ';'"),
        ({"encoding": "utf-16"}, "not utf-16 text"),
        (
            {"columns": columns("rating=stars")},
            "rating=stars: no such column; .* has user_id",
        ),
        ({"columns": columns("score=rating,rating=score")}, "is it the other way round"),
        ({"columns": columns("rating=image_id")}, "has a column rating already"),
        ({"columns": columns("users.gender=x")}, r"--map users\.gender=x: no such column"),
        ({"drop": ("mood",)}, "--drop mood: no such column"),
        ({"scale": (0.0, 9.0)}, "dataset.yaml declares it"),
        ({"demographics": ("gender",)}, r"users\.csv is there too"),
        ({"pictures": Path("nowhere")}, "--pictures nowhere: no such folder"),
    ]:
        with pytest.raises(PamelaError, match=said):
            bring(project, source, **options)
        assert list(project.raw.iterdir()) == []


# --- columns --------------------------------------------------------------------------------------
def test_columns_are_named_for_all_tables_or_for_one(project: Project, source: Path) -> None:
    ratings_of(4, 6).rename({"user_id": "worker", "rating": "score, 1 to 5"}).write_csv(
        source / "ratings.csv"
    )
    users = pl.read_csv(source / "users.csv").rename({"user_id": "Participant id"})
    users.write_csv(source / "users.csv")
    said = "user_id=worker,rating=score, 1 to 5,users.user_id=Participant id"
    tables = bring(project, source, columns=columns(said))
    assert triples(tables) == expected()
    assert tables.users["user_id"].to_list() == ["u0", "u1", "u2", "u3"]


@pytest.mark.parametrize("rows", ["image_id", "user_id"])
def test_a_wide_table_has_a_column_a_rater_or_a_picture(
    project: Project, source: Path, rows: str
) -> None:
    other = "user_id" if rows == "image_id" else "image_id"
    frame = ratings_of(4, 6)[:-1]  # one cell is empty: not rated
    wide = frame.pivot(other, index=rows, values="rating").with_columns(mean=pl.lit("3.0"))
    wide.write_csv(source / "ratings.csv", null_value="NA")
    tables = bring(project, source, wide=True, drop=("mean",))
    assert triples(tables) == expected()[:-1]


def test_a_wide_table_with_a_column_of_words_is_not_taken_for_a_rater(
    project: Project, source: Path
) -> None:
    wide = ratings_of(4, 6).pivot("user_id", index="image_id", values="rating")
    wide.with_columns(remark=pl.lit("nice")).write_csv(source / "ratings.csv")
    with pytest.raises(PamelaError, match=r"column remark holds no number; leave it out"):
        bring(project, source, wide=True)
    wide.with_row_index("").write_csv(source / "ratings.csv")
    with pytest.raises(PamelaError, match=r"column [12] has no name; an index is nobody's rating"):
        bring(project, source, wide=True)
    ratings_of(4, 6).write_csv(source / "ratings.csv")
    with pytest.raises(PamelaError, match=r"the columns hold user_id and image_id"):
        bring(project, source, wide=True)


# --- one file -------------------------------------------------------------------------------------
LONG = (
    "user_id=Participant id,image_id=Stimulus,file=Url,"
    "rating=How much do you like it, from 1 to 7?,rated_at=Answered at"
)


def test_a_long_csv_brings_people_and_pictures_with_it(project: Project, tmp_path: Path) -> None:
    export = long_csv(tmp_path / "study")
    tables = bring(
        project, export.file, columns=columns(LONG), scale=(1.0, 7.0),
        demographics=("Sex", "Age"), drop=("Session",), pictures=export.pictures,
    )  # fmt: skip
    assert triples(tables) == sorted(export.ratings)
    people = tables.users.sort("user_id").select("user_id", "Sex", "Age").rows()
    assert people[0] == (PROLIFIC_IDS[0], "Female", "20")
    assert people[2][1] is None  # DATA_EXPIRED
    assert tables.images["file"].str.contains("/images/fox_").all()
    assert tables.ratings.collect()["rated_at"].null_count() == 0


def test_one_file_needs_a_scale_and_its_pictures(project: Project, tmp_path: Path) -> None:
    export = long_csv(tmp_path / "study")
    said = {"columns": columns(LONG)}
    with pytest.raises(PamelaError, match=r"no such file; give --scale LOWEST,HIGHEST"):
        bring(project, export.file, **said)
    said["scale"] = (1.0, 7.0)
    with pytest.raises(PamelaError, match=r"unknown suffix.*--pictures FOLDER"):
        bring(project, export.file, **said)
    with pytest.raises(PamelaError, match=r"no images table.*--map file=COLUMN"):
        bring(
            project, export.file, columns=columns(LONG.replace("file=Url,", "")), scale=(1.0, 7.0)
        )
    shutil.rmtree(export.pictures)
    export.pictures.mkdir()
    with pytest.raises(PamelaError, match=r"--pictures .*neither pictures"):
        bring(project, export.file, **said, pictures=export.pictures)


def test_features_and_dataset_yaml_come_along(project: Project, source: Path) -> None:
    (source / "dataset.yaml").write_text("name: d\nscale: [1, 5]\nfeatures: f.npz\n")
    np.savez(source / "f.npz", image_id=np.array([f"i{i}" for i in range(6)]), features=np.eye(6))
    (source / "ratings.csv").rename(source / "ratings.old")
    ratings_of(4, 6).write_csv(source / "ratings.tsv", separator="\t")
    shutil.rmtree(source / "images")
    tables = bring(project, source)
    assert tables.features is not None
    assert not tables.has_images


def test_paths_with_backslashes_are_found_below_a_named_folder(
    project: Project, source: Path
) -> None:
    frame = images_of(6).with_columns(pl.col("file").str.replace("/", "\\", literal=True))
    frame.write_csv(source / "images.csv")
    with pytest.raises(PamelaError, match=r"images\.csv row 1: file .* has a backslash"):
        bring(project, source)
    tables = bring(project, source, pictures=source)
    assert tables.images["file"].str.ends_with("/images/i0.png").sum() == 1


def test_a_move_is_refused_where_tables_are_written_anew(project: Project, source: Path) -> None:
    as_tsv(source)
    (source / "ratings.csv").unlink()
    with pytest.raises(PamelaError, match=r"--move is for folders that come in as they are"):
        import_dataset(project, "tables", str(source), "mine", "move")
    assert (source / "ratings.tsv").is_file()


# --- the options themselves -----------------------------------------------------------------------
def test_options_are_read_or_refused_in_one_line() -> None:
    assert parse_scale("1,5") == parse_scale("[1, 5]") == (1.0, 5.0)
    assert [parse_separator(mark) for mark in (";", "tab", "\\t", None)] == [";", "\t", "\t", None]
    for parse, text in [
        (parse_scale, "5,1"), (parse_scale, "1-5"), (parse_scale, "1,inf"),
        (parse_separator, ";;"), (parse_separator, "é"), (parse_separator, '"'),
        (parse_encoding, "klingon"), (parse_encoding, "base64"),
    ]:  # fmt: skip
        with pytest.raises(PamelaError, match=r"--(scale|separator|encoding)"):
            parse(text)  # type: ignore[operator]
    entries = parse_columns(["user_id=id, of yours,rating=How good (1=bad, 5=good)?"])
    assert [e.theirs for e in entries] == ["id, of yours", "How good (1=bad, 5=good)?"]
    for entry in ("rating", "=x", "rating=", "people.age=x"):
        with pytest.raises(PamelaError, match=r"--map"):
            parse_columns([entry])


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(
    cells=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=6),
    separator=st.sampled_from([";", "\t", "|", ","]),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]),
    suffix=st.sampled_from(["", ".gz", ".xz"]),
)
def test_any_cells_come_back_as_they_were_written(
    cells: list[tuple[str, str]], separator: str, encoding: str, suffix: str
) -> None:
    frame = pl.DataFrame(cells, schema={"a": pl.String, "b": pl.String}, orient="row")
    text = frame.write_csv(separator=separator, quote_style="always").encode(encoding)
    pack = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}[suffix]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"ratings.csv{suffix}"
        path.write_bytes(pack(text))
        options = TableOptions(separator=separator, encoding=encoding)
        opened = Opener(options, Path(folder) / "scratch", Path(folder)).open(path)
        assert opened.select("a", "b").collect().rows() == cells


# --- repeated measures ----------------------------------------------------------------------------
def test_repeats_are_declared_once(project: Project, source: Path) -> None:
    """`--repeats` is added to a dataset.yaml that does not say it."""
    brought = bring(project, source, repeats="mean")
    assert (brought.repeats.mode, brought.repeats.declared) == ("mean", True)
    assert brought.scale == (1.0, 5.0)
    with (source / "dataset.yaml").open("a") as stream:
        stream.write("repeats: all\n")
    with pytest.raises(PamelaError, match=r"--repeats: .*dataset\.yaml declares it"):
        import_dataset(
            project, "tables", str(source), "other", options=TableOptions(repeats="last")
        )


def test_a_mode_that_there_is_not_is_named() -> None:
    with pytest.raises(PamelaError, match="--repeats median: give one of mean, first, last, all"):
        parse_repeats("median")
