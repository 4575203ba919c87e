"""`Reward.steer` with a real small model: for whom, what it returns and leaves behind."""

from __future__ import annotations

import json
from types import SimpleNamespace

import polars as pl
import pytest
from PIL import Image

import pamela
from pamela.core.errors import DiskFullError, PamelaError
from pamela.serving.steering import person_run
from pamela.serving.steering.person_run import alone_in
from pamela.serving.steering.sheet import broken
from pamela.serving.types import CatalogImage
from pamela.steer.generators.embedded import EmbeddedGenerator
from tests.conftest import override_params
from tests.helpers import tiny_models
from tests.helpers.extras import needs
from tests.helpers.small_model import DATASET, fit_bundle

PROMPT = "A photo of a bowl of soup, in cool tones"
FEW = {"rounds": 2, "variants": 5, "track": False}


@pytest.fixture
def reward(small_project):
    return pamela.load("models/bundle")


def steer(reward, user="p001", **more):
    return reward.steer(user=user, **({"prompt": PROMPT} | FEW | more))


def test_the_best_picture_is_what_the_model_scores_highest(reward):
    told = []
    found = steer(reward, listener=told.append)
    assert found.trials["round"].to_list() == [0, *[1] * 5, *[2] * 5]
    assert found.score.rating == pytest.approx(found.trials["rating"].max(), abs=1e-4)
    assert found.score.source == "seen"
    [again] = reward.score(user="p001", prompt=found.prompt, images=[found.picture])
    assert again.rating == pytest.approx(found.score.rating, abs=1e-4)
    assert again.std == pytest.approx(found.score.std, abs=1e-4)
    start, *steps = found.path
    assert (start.round, start.prompt, start.changes) == (0, PROMPT, ())
    ratings = [step.score.rating for step in found.path]
    assert ratings == sorted(set(ratings))
    assert all(step.changes for step in steps)
    assert found.picture.read_bytes() == found.path[-1].picture.read_bytes()
    assert [now.done for now in told if now.finished] == [1, 6, 11]
    assert told[-1].best == pytest.approx(found.score.rating, abs=1e-4)
    assert (found.asked, found.drawn) == (11, found.trials["prompt"].n_unique())


def test_the_folder_holds_everything_and_the_same_call_draws_nothing(reward, small_project):
    found = steer(reward)
    assert found.folder.parent == small_project.steering
    assert found.folder.name.startswith("synthetic-p001-A-photo-of-a-bowl-of-soup-in-cool-tones-")
    assert pl.read_parquet(found.folder / "trials.parquet").equals(found.trials)
    assert all((small_project.root / file).is_file() for file in found.trials["picture"])
    told = json.loads((found.folder / "result.json").read_text())
    assert told["best"]["prompt"] == found.prompt
    assert (told["user"], told["generator"]) == ("synthetic/p001", "embedded")
    path = (found.folder / "path.md").read_text()
    assert all(line in path for step in found.path for line in (step.prompt, *step.changes))
    with Image.open(found.folder / "sheet.png") as sheet:
        assert sheet.width > 1000
    files = {file: file.read_bytes() for file in found.folder.rglob("*") if file.is_file()}
    again = steer(reward)
    assert (again.folder, again.drawn) == (found.folder, 0)
    assert files == {file: file.read_bytes() for file in found.folder.rglob("*") if file.is_file()}
    other = steer(reward, user="p002")
    assert other.folder != found.folder
    assert other.drawn < other.asked - 5  # the original and round 1 are everybody's


def test_adapted_people_and_the_population_are_steered_for(reward):
    ratings = [(CatalogImage(DATASET, f"i{n:02d}"), 1 + n % 5) for n in range(12)]
    few = {"rounds": 1, "variants": 3}
    anna = steer(reward, user=reward.adapt(ratings=ratings, dataset=DATASET), **few)
    other = steer(reward, user=reward.adapt(ratings=ratings[:6], dataset=DATASET), **few)
    everybody = steer(reward, user=None, **few)
    assert [x.score.source for x in (anna, other, everybody)] == [
        "adapted",
        "adapted",
        "population",
    ]
    assert len({x.folder for x in (anna, other, everybody)}) == 3
    assert len({x.path[0].score.rating for x in (anna, other, everybody)}) == 3
    assert everybody.folder.name.startswith("population-")


def test_a_penalty_takes_off_what_is_uncertain(reward):
    plain, careful = steer(reward), steer(reward, penalty=2.0)
    assert plain.folder != careful.folder
    start = careful.path[0].score
    assert careful.trials["rating"][0] == pytest.approx(start.rating - 2 * start.std, abs=1e-4)


def test_ratings_are_on_the_persons_own_scale(small_project):
    reward = pamela.load("models/bundle")
    reward.bundle.scales[DATASET] = (0.0, 100.0)
    found = steer(reward, rounds=1, variants=2)
    assert found.trials["rating"].max() == pytest.approx(found.score.rating, abs=0.01)
    assert found.score.rating > 10


def test_mlflow_shows_the_run_once(reward, small_project):
    from pamela.params import load_params
    from pamela.registry.tracking.publish import client_of

    found = steer(reward, track=True)
    assert steer(reward, track=True).run_id == found.run_id
    client = client_of(small_project, load_params(small_project.params_file))
    run = client.get_run(found.run_id)
    assert run.info.run_name == "steer · synthetic/p001"
    assert run.data.params["steer.prompt"] == PROMPT
    assert run.data.params["steer.model_version"] == reward.version
    curve = client.get_metric_history(found.run_id, "round/best_so_far")
    assert [point.step for point in curve] == [0, 1, 2]
    assert curve[-1].value == pytest.approx(found.score.rating, abs=1e-4)
    assert run.data.metrics["rating"] == pytest.approx(found.score.rating)
    assert run.data.metrics["pictures_asked"] == 11
    names = {one.path for one in client.list_artifacts(found.run_id, "steering")}
    assert names >= {f"steering/{name}" for name in ("best.png", "sheet.png", "trials.parquet")}


def test_an_mlflow_that_fails_is_said_and_the_result_is_there(reward, small_project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(PamelaError, match="no MLflow server answers"):
        steer(reward, track=True)
    assert not small_project.steering.exists()  # before any work
    monkeypatch.setattr("pamela.registry.reachable.require_server", lambda uri: None)
    with pytest.raises(PamelaError, match=r"MLflow does not show .*; all of it lies in .*again"):
        steer(reward, track=True)
    assert steer(reward).drawn == 0


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (
            {"prompt": "a spaceship"},
            "'a spaceship'.*'embedded' knows the .* choose another generator",
        ),
        ({"prompt": "a spaceship", "generator": "openai:http://127.0.0.1:9/v1"}, "rewriter"),
        ({"prompt": "  "}, "prompt: an empty text"),
        ({"prompt": "a pizza " * 300}, "prompt: 2399 characters; at most 2000"),
        ({"rounds": 0}, "rounds 0: give at least 1"),
        ({"variants": 2.5}, "variants 2.5"),
        ({"seed": -1}, "seed -1"),
        ({"penalty": float("nan")}, "penalty nan"),
        ({"user": "nobody"}, "unknown user 'nobody'"),
        ({"folder": 7}, "folder 7"),
        ({"generator": "crayons"}, "steer.generator: 'crayons' is unknown"),
        ({"rewriter": "crayons"}, "steer.rewriter: 'crayons' is unknown"),
    ],
)
def test_what_cannot_be_steered_is_said_and_nothing_is_left(reward, small_project, asked, says):
    with pytest.raises(PamelaError, match=says):
        steer(reward, **asked)
    assert not small_project.steering.exists()


def test_a_model_that_knows_no_single_user_steers_for_everybody_alone(small_project):
    fit_bundle(small_project, "population")
    reward = pamela.load("models/bundle")
    with pytest.raises(PamelaError, match=r"knows no single user.*leave the user out"):
        steer(reward)
    assert steer(reward, user=None, rounds=1, variants=2).score.source == "population"


def test_a_folder_of_something_else_or_in_use_is_left_alone(reward, small_project, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    with pytest.raises(PamelaError, match="holds something else"):
        steer(reward, folder=tmp_path / "mine")
    out = tmp_path / "out"
    assert steer(reward, folder=out).picture == out / "best.png"
    with pytest.raises(PamelaError, match=r"other settings: rounds \(2 there, 3 now\)"):
        steer(reward, folder=out, rounds=3)
    with alone_in(out), pytest.raises(PamelaError, match="another command is steering there"):
        steer(reward, folder=out)
    (tmp_path / "file").touch()
    with pytest.raises(PamelaError, match="file"):
        steer(reward, folder=tmp_path / "file/below")


def test_a_full_disk_is_one_line_and_the_same_call_goes_on(reward, small_disk, tmp_path):
    disk = tmp_path / "disk"
    small_disk(disk, 60)  # room for the rounds, none for the sheet
    with pytest.raises(DiskFullError, match=r"no space is left there.*goes on from what was done"):
        steer(reward, folder=disk / "run")
    assert not [file for file in disk.rglob("*") if file.name.startswith(".")]
    assert not (disk / "run/sheet.png").exists()
    small_disk(disk, 4000)
    found = steer(reward, folder=disk / "run")
    assert found.drawn == 0
    assert (found.folder / "sheet.png").is_file()


def test_a_picture_that_was_lost_since_is_drawn_again(reward):
    found = steer(reward)
    best = found.picture.read_bytes()
    found.path[-1].picture.write_bytes(b"damaged")
    again = steer(reward)
    assert again.drawn == 1
    assert again.picture.read_bytes() == best


def test_the_params_say_who_draws(reward, small_project, monkeypatch):
    override_params(small_project.root, {"steer": {"seed": 4}})
    asked = []

    def get_generator(params):
        asked.append((params.steer.generator, params.steer.seed))
        return EmbeddedGenerator(32, 1)

    monkeypatch.setattr(person_run, "get_generator", get_generator)
    one, other = steer(reward, rounds=1, variants=2), steer(reward, rounds=1, variants=2, seed=5)
    assert asked == [("embedded", 4), ("embedded", 5)]
    assert one.trials["seed"][0] != other.trials["seed"][0]


@pytest.mark.slow
@needs("steer")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_diffusion_pipeline_and_a_language_model_steer_any_prompt(small_project):
    """The real libraries on tiny models: what the embedded world does not know is drawn."""
    pipeline = tiny_models.save_stable_diffusion(small_project.root / "pipeline")
    writer = tiny_models.save_language_model(small_project.root / "writer")
    side = {"width": tiny_models.SIZE, "height": tiny_models.SIZE}
    override_params(
        small_project.root,
        {
            "steer": {
                "generator": f"diffusers:{pipeline}",
                "rewriter": f"transformers:{writer}",
                "diffusers": side | {"steps": 2, "batch_size": 2},
                "language_model": {"max_tokens": 200},
            }
        },
    )
    reward = pamela.load("models/bundle")
    found = steer(reward, prompt=tiny_models.SUBJECT, rounds=1, variants=3)
    assert found.trials["prompt"].n_unique() == found.drawn == 4
    assert all(step.changes for step in found.path[1:])
    assert steer(reward, prompt=tiny_models.SUBJECT, rounds=1, variants=3).drawn == 0


def test_words_are_broken_and_never_cut():
    font = SimpleNamespace(getlength=len)
    assert broken("a bowl of soup", font, 8) == ["a bowl", "of soup"]
    assert broken("supercalifragilistic soup", font, 8) == ["supercal", "ifragili", "stic", "soup"]
    assert broken("", font, 8) == [""]
