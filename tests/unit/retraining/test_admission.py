"""The inbox: only complete, sound batches become part of the data, whole and once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.data import ingest
from pamela.params import Params, load_params
from pamela.retraining import admission, batches, inbox, tracking
from pamela.validation import validate
from tests.conftest import ROOT, override_params
from tests.helpers import yaml

IMAGES, USERS = 12, 5


def write_batch(folder: Path, rows: list[tuple[str, str, object]], scale: object = None) -> Path:
    folder.mkdir(parents=True)
    text = "".join(f"{u},{i},{r}\n" for u, i, r in rows)
    (folder / "ratings.csv").write_text("user_id,image_id,rating\n" + text)
    (folder / "dataset.yaml").write_text(
        yaml.safe_dump({"name": "faces", "scale": scale or [1, 5]})
    )
    return folder


def finish(folder: Path) -> Path:
    (folder / inbox.DONE).touch()
    return folder


def write_choices(folder: Path, *rows: tuple[str, str, str, str]) -> Path:
    """Write a batch of choices, beside ratings where there are some."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{','.join(row)}\n" for row in rows)
    (folder / "choices.csv").write_text("user_id,image_a,image_b,choice\n" + text)
    if not (folder / "dataset.yaml").is_file():
        (folder / "dataset.yaml").write_text("name: faces\n")
    return finish(folder)


def known_rows() -> list[tuple[str, str, object]]:
    return [(f"u{k % USERS}", f"i{k % IMAGES}", 1 + k % 5) for k in range(60)]


def good_rows(n: int = 20, users: str = "w") -> list[tuple[str, str, object]]:
    """Rows of ten new users, so that none repeats a known one."""
    return [(f"{users}{k % 10}", f"i{k // 10}", 1 + k % 5) for k in range(n)]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a dataset of real pictures that went through ingest and validate."""
    root = tmp_path_factory.mktemp("inbox") / "project"
    folder = write_batch(root / "data" / "raw" / "faces", known_rows())
    shutil.copyfile(ROOT / "params.yaml", root / "params.yaml")
    shutil.copytree(ROOT / "expectations", root / "expectations")
    override_params(root, {"ingest": {"datasets": ["faces"]}})
    (folder / "users.csv").write_text(
        "user_id,gender\n" + "".join(f"u{k},f\n" for k in range(USERS))
    )
    (folder / "images.csv").write_text(
        "image_id,file,prompt\n"
        + "".join(f"i{k},images/i{k}.png,picture {k}\n" for k in range(IMAGES))
    )
    (folder / "images").mkdir()
    for k in range(IMAGES):
        Image.fromarray(np.full((8, 8, 3), k * 20, np.uint8)).save(folder / f"images/i{k}.png")
    (root / "data" / "inbox").mkdir()
    project, params = Project(root), load_params(root / "params.yaml")
    dataset = ingest.read_dataset(project, "faces")
    ingest.write_tables(project, [dataset], ingest.hash_pictures(project, [dataset]))
    suites, decoded = validate.load_suites(project), validate.decode_pictures(project)
    results = {"faces": validate.check_dataset(project, "faces", decoded, suites)}
    validate.write_validated(project, results, params.validate_.max_quarantined_share)
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Project:
    return Project(Path(shutil.copytree(template, tmp_path / "project")))


@pytest.fixture
def params(project: Project) -> Params:
    return load_params(project.params_file)


def test_complete_batch_is_moved_whole(project: Project, params: Params) -> None:
    folder = finish(write_batch(project.inbox / "faces" / "b1", [*good_rows(), ("new", "i3", 5)]))
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert admission.take(project, params) == {}
    target = project.batches / "faces" / "b1"
    assert {p.name: p.read_bytes() for p in target.iterdir()} == before
    assert not folder.exists()
    assert [b.label for b in inbox.accepted(project)] == ["faces/b1"]
    merged = ingest.read_dataset(project, "faces").tables
    assert merged.n_ratings == 60 + 21
    assert "new" in merged.users[s.USER].to_list()


def test_batch_without_done_is_left_untouched(project: Project, params: Params) -> None:
    folder = write_batch(project.inbox / "faces" / "b1", [("u0", "nowhere", 99)])
    before = sorted(p.name for p in folder.iterdir())
    assert admission.take(project, params) == {}
    assert sorted(p.name for p in folder.iterdir()) == before
    assert [b.label for b in inbox.scan_inbox(project, ["faces"]).waiting] == ["faces/b1"]
    assert inbox.accepted(project) == []


def test_unknown_dataset_is_left_and_said(project: Project, params: Params) -> None:
    folder = finish(write_batch(project.inbox / "other" / "b1", good_rows()))
    assert admission.take(project, params) == {}
    assert folder.is_dir()
    assert [b.label for b in inbox.scan_inbox(project, ["faces"]).foreign] == ["other/b1"]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: (f / "ratings.csv").unlink(), "no ratings.csv"),
        (lambda f: (f / "dataset.yaml").unlink(), "dataset.yaml"),
        (lambda f: (f / "ratings.csv").write_text("user_id,rating\nu0,3\n"), "image_id"),
        (lambda f: (f / "dataset.yaml").write_text("name: faces\nscale: [0, 10]\n"), r"\[0, 10\]"),
        (
            lambda f: (f / "ratings.csv").write_text("user_id,image_id,rating\nu0,i0,9\n"),
            "rating_off_scale .* row 1",
        ),
        (
            lambda f: (f / "ratings.csv").write_text("user_id,image_id,rating\nu0,gone,3\n"),
            "unknown_image .* row 1",
        ),
        (
            lambda f: (f / "images.csv").write_text("image_id,file,prompt\ni0,images/i0.png,x\n"),
            "'i0' is repeated",
        ),
        (lambda f: (f / "users.csv").write_text("user_id,gender\nu0,m\n"), "known as 'f'"),
    ],
)
def test_faulty_batch_is_refused_and_nothing_else_happens(
    project: Project, params: Params, spoil: Callable[[Path], object], says: str
) -> None:
    bad = finish(write_batch(project.inbox / "faces" / "bad", good_rows()))
    finish(write_batch(project.inbox / "faces" / "good", good_rows()))
    spoil(bad)
    refused = admission.take(project, params)
    assert list(refused) == ["faces/bad"]
    with pytest.raises(PamelaError, match=says):
        raise PamelaError(refused["faces/bad"])
    assert "\n" not in refused["faces/bad"]
    assert refused["faces/bad"] in (bad / inbox.REFUSED).read_text()
    assert [b.label for b in inbox.accepted(project)] == ["faces/good"]
    assert admission.take(project, params) == {}  # a refused batch is not tried again ...
    assert [b.label for b in inbox.scan_inbox(project, ["faces"]).refused] == ["faces/bad"]


def test_mended_batch_is_taken_up_again(project: Project, params: Params) -> None:
    folder = finish(write_batch(project.inbox / "faces" / "b1", [("new", "i0", 9)]))
    assert list(admission.take(project, params)) == ["faces/b1"]
    (folder / "ratings.csv").write_text("user_id,image_id,rating\nnew,i0,4\n")
    (folder / inbox.REFUSED).unlink()
    assert admission.take(project, params) == {}
    assert [b.label for b in inbox.accepted(project)] == ["faces/b1"]


def test_few_faulty_rows_are_left_to_validation(project: Project, params: Params) -> None:
    rows = good_rows(100)
    finish(write_batch(project.inbox / "faces" / "two", [*rows, ("u0", "i0", 9)]))
    assert admission.take(project, params) == {}
    worse = [*good_rows(100, users="x"), ("u0", "i0", 9), ("u0", "i0", "x"), ("u0", "gone", 3)]
    finish(write_batch(project.inbox / "faces" / "three", worse))
    refused = admission.take(project, params)
    assert "3 of 103 ratings (2.9%)" in refused["faces/three"]


def test_a_batch_is_held_against_the_ratings_that_stand(project: Project, params: Params) -> None:
    """What the pipeline would set apart counts here too: an accepted batch cannot stop it."""
    finish(write_batch(project.inbox / "faces" / "b1", [*good_rows(40), ("u0", "i0", 1)]))
    assert admission.take(project, params) == {}  # a repeat is set apart, and no reason to refuse
    finish(write_batch(project.inbox / "faces" / "b2", good_rows(40)))
    assert admission.take(project, params) == {}
    finish(write_batch(project.inbox / "faces" / "b3", [("u0", "i0", 5)]))
    assert admission.take(project, params) == {}  # another rating is what the person says now


def test_of_two_batches_taken_together_the_first_stands(project: Project, params: Params) -> None:
    for name in ("b1", "b2"):
        finish(write_batch(project.inbox / "faces" / name, good_rows()))
    assert "none of its 20 ratings is new" in admission.take(project, params)["faces/b2"]
    assert [b.label for b in inbox.accepted(project)] == ["faces/b1"]


def test_picture_that_does_not_decode_counts_as_faulty(project: Project, params: Params) -> None:
    folder = write_batch(project.inbox / "faces" / "b1", [("u0", "n0", 4), ("u0", "n1", 4)])
    (folder / "images.csv").write_text(
        "image_id,file,prompt\nn0,images/n0.png,x\nn1,images/n1.png,y\n"
    )
    (folder / "images").mkdir()
    Image.fromarray(np.full((8, 8, 3), 7, np.uint8)).save(folder / "images" / "n0.png")
    (folder / "images" / "n1.png").write_bytes(b"not a picture")
    finish(folder)
    assert "image_undecodable (1)" in admission.take(project, params)["faces/b1"]
    Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save(folder / "images" / "n1.png")
    (folder / inbox.REFUSED).unlink()
    assert admission.take(project, params) == {}


def test_second_batch_may_rate_what_the_first_brings(project: Project, params: Params) -> None:
    first = write_batch(project.inbox / "faces" / "b1", [("u0", "n0", 4)])
    (first / "images.csv").write_text("image_id,file,prompt\nn0,images/n0.png,x\n")
    (first / "images").mkdir()
    Image.fromarray(np.full((8, 8, 3), 7, np.uint8)).save(first / "images" / "n0.png")
    finish(first)
    finish(write_batch(project.inbox / "faces" / "b2", [("u1", "n0", 2)]))
    assert admission.take(project, params) == {}
    assert [b.label for b in inbox.accepted(project)] == ["faces/b1", "faces/b2"]


def test_accepted_batches_are_immutable(project: Project, params: Params) -> None:
    finish(write_batch(project.inbox / "faces" / "b1", good_rows()))
    admission.take(project, params)
    finish(write_batch(project.inbox / "faces" / "b1", good_rows(30)))
    assert "immutable" in admission.take(project, params)["faces/b1"]
    kept = pl.read_csv(project.batches / "faces" / "b1" / "ratings.csv")
    assert kept.height == 20


@pytest.mark.parametrize(
    "name", ["sp ace", "-rf", "ü", "b.dvc", "b.json", "dvc.yaml", "b.tmp", "b" * 101]
)
def test_unfit_names_are_refused(project: Project, params: Params, name: str) -> None:
    finish(write_batch(project.inbox / "faces" / name, good_rows()))
    assert "rename it" in admission.take(project, params)[f"faces/{name}"]


def test_before_the_first_run_batches_wait(project: Project, params: Params) -> None:
    shutil.rmtree(project.validated)
    folder = finish(write_batch(project.inbox / "faces" / "b1", good_rows()))
    with pytest.raises(PamelaError, match="make repro"):
        admission.take(project, params)
    assert not (folder / inbox.REFUSED).exists()


# --- choices ----------------------------------------------------------------------------------
def test_choices_enter_as_ratings_do(project: Project, params: Params) -> None:
    home = project.inbox / "faces"
    write_choices(home / "alone", ("u0", "i0", "i1", "a"), ("new", "i1", "i2", "tie"))
    write_choices(write_batch(home / "beside", good_rows()), ("u1", "i0", "i1", "b"))
    write_choices(home / "faulty", ("u0", "i0", "i0", "a"), ("u0", "i0", "i1", "b"))
    write_choices(home / "nowhere", ("u0", "i0", "gone", "a"))
    refused = admission.take(project, params)
    assert [b.label for b in inbox.accepted(project)] == ["faces/alone", "faces/beside"]
    assert "data/inbox/faces/faulty/choices.csv: 1 of 2 choices" in refused["faces/faulty"]
    assert "mostly picture_against_itself (1), first in row 1" in refused["faces/faulty"]
    assert "mostly unknown_image (1)" in refused["faces/nowhere"]
    merged = ingest.read_dataset(project, "faces")
    assert (merged.n_ratings, merged.n_choices) == (60 + 20, 3)
    assert "new" in merged.tables.users[s.USER].to_list()


def test_choices_that_were_delivered_before_are_refused(project: Project, params: Params) -> None:
    rows = [("u0", "i0", "i1", "a"), ("u0", "i0", "i1", "a"), ("u0", "i2", "i1", "b")]
    for name in ("b1", "b2"):
        write_choices(project.inbox / "faces" / name, *rows)
    line = admission.take(project, params)["faces/b2"]
    assert "none of its 3 choices is new (choice_repeated); was it delivered before?" in line
    write_choices(project.inbox / "faces" / "b3", *rows, ("u0", "i0", "i1", "a"))
    assert admission.take(project, params) == {}  # of everything so far, one choice more


def test_the_limits_count_ratings_and_choices_together(project: Project, params: Params) -> None:
    chosen = [("busy", f"i{k}", f"i{k + 1}", "a") for k in range(10)]
    both = write_batch(project.inbox / "faces" / "both", [("busy", "i0", 3), ("busy", "i1", 3)])
    write_choices(both, *chosen)
    line = admission.take(project, with_limits(params, ratings_per_user=11))["faces/both"]
    assert "ratings and choices: user 'busy' gives 12, more than" in line
    (both / inbox.REFUSED).unlink()
    line = admission.take(project, with_limits(params, ratings_per_batch=11))["faces/both"]
    assert "ratings and choices: 12 rows, more than" in line
    (both / inbox.REFUSED).unlink()
    assert admission.take(project, with_limits(params, ratings_per_user=12)) == {}
    write_choices(project.inbox / "faces" / "later", ("busy", "i3", "i5", "tie"))
    line = admission.take(project, with_limits(params, ratings_per_user=12))["faces/later"]
    assert "choices: user 'busy' gives 1 after 12 in earlier batches" in line


# --- limits, and what later stages would stop at ----------------------------------------------
def with_limits(params: Params, **limits: float) -> Params:
    retrain = params.retrain
    narrow = retrain.limits.model_copy(update=limits)
    return params.model_copy(update={"retrain": retrain.model_copy(update={"limits": narrow})})


def test_one_persons_share_of_a_batch_is_bounded(project: Project, params: Params) -> None:
    many = [("greedy", f"i{k % IMAGES}", 1 + k % 5) for k in range(10_000)]
    finish(write_batch(project.inbox / "faces" / "a-many", [*many, *good_rows()]))
    finish(write_batch(project.inbox / "faces" / "good", good_rows()))
    refused = admission.take(project, params)
    assert list(refused) == ["faces/a-many"]
    assert (
        "user 'greedy' gives 10,000, more than retrain.limits.ratings_per_user (2,000)"
        in refused["faces/a-many"]
    )
    assert [b.label for b in inbox.accepted(project)] == ["faces/good"]


def test_a_table_that_holds_more_than_it_may_is_not_read(project: Project, params: Params) -> None:
    folder = write_batch(project.inbox / "faces" / "b1", good_rows())
    same = pl.repeat("w0", 3_000_000, eager=True).alias("user_id")
    pl.DataFrame({"user_id": same}).write_parquet(folder / "users.parquet")
    assert (folder / "users.parquet").stat().st_size < 100_000
    finish(folder)
    line = admission.take(project, params)["faces/b1"]
    assert "users.parquet: 3,000,000 rows, more than retrain.limits.ratings_per_batch" in line
    few = with_limits(params, ratings_per_batch=19)
    (folder / "users.parquet").unlink()
    assert "ratings: 20 rows" in admission.take(project, few)["faces/b1"]


def test_an_archive_that_unpacks_to_more_than_it_may_is_not_read(
    project: Project, params: Params
) -> None:
    folder = write_batch(project.inbox / "faces" / "b1", good_rows())
    np.savez_compressed(folder / "features.bin.npz", features=np.zeros(3_000_000))
    finish(folder)
    narrow = with_limits(params, batch_mb=10)
    assert "24 MB unpacked" in admission.take(project, narrow)["faces/b1"]


def test_a_batch_of_a_name_that_is_taken_is_refused(project: Project, params: Params) -> None:
    """Whose folder is not here, or was set aside: what returns would meet the new one."""
    for name in ("away", "aside"):
        finish(write_batch(project.inbox / "faces" / name, good_rows(users=name)))
    assert admission.take(project, params) == {}
    away = project.batches / "faces" / "away"
    pointer = f"outs:\n- md5: {tracking.folder_hash(away)}\n  path: away\n"
    tracking.dvc_file(away).write_text(pointer)
    shutil.rmtree(away)
    batches.set_aside(project, ["faces/aside"], {"why": "worse"})
    for name in ("away", "aside"):
        finish(write_batch(project.inbox / "faces" / name, good_rows(users="z")))
    refused = admission.take(project, params)
    assert "`dvc pull` brings it back" in refused["faces/away"]
    assert "`pamela batches take-back faces/aside`" in refused["faces/aside"]
    # the very batch that is missing is welcome: it is what DVC recorded
    shutil.rmtree(project.inbox / "faces" / "away")
    finish(write_batch(project.inbox / "faces" / "away", good_rows(users="away")))
    assert admission.take(project, params) == {}
    assert tracking.folder_hash(away) == tracking.tracked_hash(away)


def test_an_accepted_batch_that_is_not_whole_says_how_it_comes_back(
    project: Project, params: Params
) -> None:
    lost = write_batch(project.batches / "faces" / "lost", good_rows())
    pointer = f"outs:\n- md5: {tracking.folder_hash(lost)}\n  path: lost\n"
    tracking.dvc_file(lost).write_text(pointer)
    (lost / "dataset.yaml").unlink()
    folder = finish(write_batch(project.inbox / "faces" / "b1", good_rows(users="z")))
    with pytest.raises(PamelaError, match="data/batches/faces/lost: not what was accepted"):
        admission.take(project, params)
    assert not (folder / inbox.REFUSED).exists()


def test_messages_name_the_inbox_not_the_copy(project: Project, params: Params) -> None:
    finish(write_batch(project.inbox / "faces" / "b1", [("new", "i0", 9)]))
    line = admission.take(project, params)["faces/b1"]
    assert line.startswith("data/inbox/faces/b1/ratings.csv: ")
    assert ".tmp" not in line


@pytest.mark.parametrize(
    ("width", "value", "says"), [(3, 0.5, "dimensions"), (2, np.nan, "NaN or infinite")]
)
def test_features_that_embed_would_stop_at_are_refused(
    project: Project, params: Params, width: int, value: float, says: str
) -> None:
    base = project.raw / "faces"
    ids = [f"i{k}" for k in range(IMAGES)]
    np.savez(base / "features.npz", image_id=ids, features=np.random.default_rng(0).random((12, 2)))
    (base / "dataset.yaml").write_text("name: faces\nscale: [1, 5]\nfeatures: features.npz\n")
    folder = write_batch(project.inbox / "faces" / "b1", [("u0", "n0", 4)])
    (folder / "dataset.yaml").write_text("name: faces\nscale: [1, 5]\nfeatures: f.npz\n")
    (folder / "images.csv").write_text("image_id,file,prompt\nn0,images/n0.png,x\n")
    (folder / "images").mkdir()
    Image.fromarray(np.full((8, 8, 3), 7, np.uint8)).save(folder / "images" / "n0.png")
    np.savez(folder / "f.npz", image_id=["n0"], features=np.full((1, width), value))
    finish(folder)
    embed = params.embed.model_copy(update={"encoder": "precomputed"})
    params = params.model_copy(update={"embed": embed})
    assert says in admission.take(project, params)["faces/b1"]
    np.savez(folder / "f.npz", image_id=["n0"], features=np.full((1, 2), 0.5))
    assert admission.take(project, params) == {}


def test_one_persons_share_of_all_batches_is_bounded(project: Project, params: Params) -> None:
    """Many small batches are no way around the limit; what was imported does not count."""
    narrow = with_limits(params, ratings_per_user=25)
    for name in ("b1", "b2"):
        rows = [("busy", f"i{k % IMAGES}", 1 + k % 5) for k in range(10 if name == "b1" else 20)]
        finish(write_batch(project.inbox / "faces" / name, [*rows, *good_rows(users=name)]))
    refused = admission.take(project, narrow)
    assert list(refused) == ["faces/b2"]
    assert "'busy' gives 20 after 10 in earlier batches, more than" in refused["faces/b2"]
