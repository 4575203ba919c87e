"""CLIP score, PickScore's and LAION's kinds of reward by real encoders."""

from __future__ import annotations

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pamela.core.errors import PamelaError
from pamela.steer.generators.base import Candidate
from pamela.steer.generators.embedded import EmbeddedGenerator
from pamela.steer.rewards.aesthetic import load_head
from pamela.steer.rewards.api import score_pictures
from pamela.steer.rewards.factory import RewardSettings, make_rewards
from pamela.synthetic.prompts import sample_spec, write_prompt
from tests.helpers.encoder_kit import DIM, picture, write_open_clip

PROMPTS = ["a red barn", "a blue dog", "a red barn at dusk"]
IMAGES = [picture(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_open_clip(tmp_path_factory.mktemp("clip"))


def test_clip_and_pickscore_are_open_clips_own_cosine(tiny):
    model, _, prepare = open_clip.create_model_and_transforms(tiny)
    tokenize = open_clip.get_tokenizer(tiny)
    with torch.inference_mode():
        batch = torch.stack([prepare(Image.fromarray(image)) for image in IMAGES])
        image = model.encode_image(batch, normalize=True)
        text = model.encode_text(tokenize(PROMPTS), normalize=True)
        cosine = (image * text).sum(1).numpy()
        scale = model.logit_scale.exp().item()
    clip = score_pictures(f"clip:{tiny}", IMAGES, PROMPTS)
    assert clip == pytest.approx(100 * cosine, abs=1e-3)
    pick = score_pictures(f"pickscore:{tiny}", IMAGES, PROMPTS)
    assert pick == pytest.approx(scale * cosine, abs=1e-3)


def test_clip_is_the_runs_own_encoder_and_sees_what_is_drawn():
    rng = np.random.default_rng(0)
    prompts = [write_prompt(sample_spec(rng), rng) for _ in range(12)]
    with EmbeddedGenerator(64, 1) as generator:
        images = generator.generate(prompts, range(12))
    with make_rewards(["clip"], RewardSettings()) as rewards:
        reward = rewards["clip"]
        assert not reward.personal
        own = reward.score_pictures(images, prompts)
        crossed = reward.score_pictures(images, prompts[::-1])
        assert np.mean(own > crossed) > 0.8
        candidates = [Candidate("p", prompt, 0) for prompt in prompts]
        assert reward.score(["ann", *[None] * 11], candidates, images) == pytest.approx(own)


def test_rewards_that_name_one_encoder_encode_a_picture_once(tiny, tmp_path, monkeypatch):
    save_file({"weight": torch.ones(1, DIM), "bias": torch.zeros(1)}, tmp_path / "head.safetensors")
    names = [f"clip:{tiny}", f"pickscore:{tiny}", f"aesthetic:{tiny}#head.safetensors"]
    with make_rewards(names, RewardSettings(root=tmp_path)) as rewards:
        first = rewards["clip"].score_pictures(IMAGES, PROMPTS)
        encoder = rewards["clip"].scorer._features.encoder
        monkeypatch.setattr(type(encoder), "encode_images", None)
        assert (
            np.corrcoef(rewards["pickscore"].score_pictures(IMAGES, PROMPTS), first)[0, 1] > 0.999
        )
        rewards["aesthetic"].score_pictures(IMAGES, PROMPTS)
        prints = {reward.fingerprint for reward in rewards.values()}
    assert len(prints) == 3


def _laion(width=DIM):
    """LAION's improved predictor: layers 0, 2, 4, 6, 7 of an nn.Sequential, dropout between."""
    from torch import nn

    torch.manual_seed(0)
    layers = [nn.Linear(width, 16), nn.Dropout(0.2), nn.Linear(16, 8), nn.Dropout(0.1)]
    return nn.Sequential(*layers, nn.Linear(8, 4), nn.Linear(4, 1)).eval()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_head_of_laions_kind_gives_its_own_scores(tiny, tmp_path, suffix):
    head = _laion()
    state = {f"layers.{key}": value for key, value in head.state_dict().items()}
    file = tmp_path / f"head{suffix}"
    torch.save(state, file) if suffix == ".pth" else save_file(state, file)
    scores = score_pictures(f"aesthetic:{tiny}#{file}", IMAGES, PROMPTS)
    with make_rewards([f"clip:{tiny}"], RewardSettings()) as rewards:
        features = rewards["clip"].scorer._features.of_images(IMAGES)
    assert np.linalg.norm(features, axis=1) == pytest.approx(1)
    with torch.inference_mode():
        assert scores == pytest.approx(
            head(torch.from_numpy(features)).squeeze(1).numpy(), abs=1e-5
        )
    assert scores == score_pictures(f"aesthetic:{tiny}#{file}", IMAGES, PROMPTS[::-1])


def test_a_head_may_say_its_activation(tmp_path):
    state = {"0.weight": -torch.ones(2, 2), "1.weight": torch.ones(1, 2)}
    for activation, expected in (("none", -4.0), ("relu", 0.0)):
        file = tmp_path / f"{activation}.safetensors"
        save_file(state, file, {"activation": activation})
        assert load_head(file)(torch.ones(1, 2)).item() == expected
    save_file(state, tmp_path / "odd.safetensors", {"activation": "swish"})
    with pytest.raises(PamelaError, match="activation 'swish'; known: none, relu, gelu"):
        load_head(tmp_path / "odd.safetensors")


class Evil:
    def __reduce__(self):
        return (print, ("unpickled",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"0.weight": torch.ones(2, 3), "0.bias": torch.ones(2)}, "not of width 1"),
        ({"0.weight": torch.ones(2, 3), "1.weight": torch.ones(1, 3)}, "do not follow each other"),
        ({"0.bias": torch.ones(2)}, "do not follow each other"),
        ({"0.running_mean": torch.ones(2)}, "holds '0.running_mean'"),
        ({}, "not of width 1"),
        (Evil(), "not read as tensors alone"),
        (_laion(), "not read as tensors alone"),
        (None, "no such file"),
    ],
)
def test_a_file_that_is_no_head_is_refused_and_runs_no_code(tmp_path, capsys, content, words):
    file = tmp_path / "head.pth"
    if content is not None:
        torch.save(content, file)
    with pytest.raises(PamelaError, match=words):
        load_head(file)
    assert not capsys.readouterr().out


def test_a_head_of_another_encoder_is_refused(tiny, tmp_path):
    save_file({"weight": torch.ones(1, DIM + 1)}, tmp_path / "head.safetensors")
    with pytest.raises(PamelaError, match=f"takes features of width {DIM + 1}.* gives {DIM}"):
        score_pictures(f"aesthetic:{tiny}#{tmp_path}/head.safetensors", IMAGES, PROMPTS)
