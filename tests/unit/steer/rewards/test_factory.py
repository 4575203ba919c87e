"""From names in params.yaml to rewards; what is no reward is told of before a run begins."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pamela.core.errors import PamelaError
from pamela.params import Params
from pamela.steer.rewards.api import score_pictures
from pamela.steer.rewards.factory import RewardSettings, get_rewards, make_rewards, short_names
from tests.helpers import yaml
from tests.helpers.encoder_kit import picture
from tests.paths import ROOT

SCRIPT = "def score(paths, prompts):\n    return [len(prompt) for prompt in prompts]\n"


def params_with(rewards, workers=None, encoder="embedded") -> Params:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["steer"] |= {"rewards": rewards, "workers": workers or {}}
    raw["embed"]["encoder"] = encoder
    return Params.model_validate(raw)


def test_rewards_go_by_short_names_and_paths_are_meant_from_the_project(tmp_path):
    (tmp_path / "scorers").mkdir()
    (tmp_path / "scorers" / "tone.py").write_text(SCRIPT)
    (tmp_path / "env").symlink_to(Path(sys.executable).parents[1])
    name = "script:scorers/tone.py"
    params = params_with(["clip", name], {name: "env/bin/python"})
    with get_rewards(params, root=tmp_path) as rewards:
        assert list(rewards) == ["clip", "script"]
        assert rewards["script"].score_pictures([picture(0)], ["four"]).tolist() == [4.0]
        worker = rewards["script"].scorer._worker
    assert not worker.close.alive


def test_names_stay_apart_where_a_kind_stands_twice():
    names = ["clip", "clip:ViT-B-32/openai", "hpsv3:weights/hpsv3"]
    found = ["clip", "clip_ViT-B-32_openai", "hpsv3"]
    assert list(short_names(names).values()) == found


@pytest.mark.parametrize(
    ("rewards", "workers", "words"),
    [
        (["beauty"], {}, r"'beauty' is unknown; known are clip, clip:<encoder>"),
        (["pickscore"], {}, "'pickscore' is unknown"),
        (["vqascore:"], {}, "'vqascore:' is unknown"),
        (["clip", "clip"], {}, "'clip' stands twice"),
        (["aesthetic:ViT-L-14/openai"], {}, "write aesthetic:<encoder>#<head file>"),
        (
            ["hpsv3"],
            {},
            r"steer\.workers names none: python -m venv envs/hpsv3 && .*hpsv3==1\.0\.0",
        ),
        (["q_align"], {"q_align": "envs/no/bin/python"}, r"no such file: .*pyiqa==0\.1\.16"),
        (["script:absent.py"], {"script:absent.py": "python"}, r"absent\.py: no such file"),
        (["clip"], {"hpsv3": "envs/hpsv3/bin/python"}, r"'hpsv3' is not in steer\.rewards"),
    ],
)
def test_what_is_no_reward_is_told_of_at_once(tmp_path, rewards, workers, words):
    with pytest.raises(PamelaError, match=words):
        get_rewards(params_with(rewards, workers), root=tmp_path)


def test_features_that_were_brought_have_no_clip_score():
    with pytest.raises(PamelaError, match="name an encoder as clip:<encoder>"):
        get_rewards(params_with(["clip"], encoder="precomputed"))


def test_pictures_are_scored_by_one_call(tmp_path):
    (tmp_path / "red.py").write_text(
        "from PIL import Image\n"
        "def score(paths, prompts):\n"
        "    return [Image.open(path).getpixel((0, 0))[0] for path in paths]\n"
    )
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 200
    Image.fromarray(red).save(tmp_path / "red.png")
    name = f"script:{tmp_path}/red.py"
    settings = RewardSettings(workers={name: sys.executable})
    given = [str(tmp_path / "red.png"), tmp_path / "red.png", red, Image.fromarray(red)]
    assert score_pictures(name, given, ["a", "b", "c", "d"], settings) == [200.0] * 4
    assert score_pictures(name, [], [], settings) == []
    with pytest.raises(PamelaError, match="1 pictures and 0 prompts"):
        score_pictures(name, [red], [], settings)
    with pytest.raises(PamelaError, match=r"absent\.png: no such image file"):
        score_pictures(name, ["absent.png"], ["a"], settings)


def test_making_rewards_starts_and_loads_nothing():
    """Only names are looked at: a typing error is told before a run, models are loaded in it."""
    names = ["clip:ViT-H-14/laion2b_s32b_b79k", "vqascore:not/here"]
    assert len(make_rewards(names, RewardSettings())) == 2
