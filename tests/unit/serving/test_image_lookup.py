"""Pictures by path, content or id: the same numbers in any batch, and faults that name which."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pamela.core import schema as s
from pamela.core.errors import PamelaError, PromptWarning
from pamela.features.prompts import KEY_LETTERS, prompt_key
from pamela.serving.api import Reward
from pamela.serving.types import CatalogImage, Recorded
from pamela.training.bundle import load_bundle
from tests.helpers.encoder_kit import picture
from tests.helpers.small_model import NEW


@pytest.fixture(scope="module")
def reward(small_template):
    return Reward(load_bundle(small_template.models / "bundle"))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> list[Path]:
    """Thirty pictures that the model has not seen."""
    folder = tmp_path_factory.mktemp("fresh")
    paths = [folder / f"{number}.png" for number in range(30)]
    for number, path in enumerate(paths):
        Image.fromarray(picture(5000 + number)).save(path)
    return paths


def test_any_batch_size_gives_the_same_numbers(small_template, fresh):
    bundle = load_bundle(small_template.models / "bundle")
    scores = {
        size: Reward(bundle, batch_size=size, workers=0).score(
            user="p001", images=fresh, prompt="a red barn"
        )
        for size in (1, 7, 64)
    }
    alone = [
        Reward(bundle).score(user="p001", images=[path], prompt="a red barn")[0]
        for path in fresh[:3]
    ]
    for other in (scores[1], scores[7], alone):
        expected = scores[64][: len(other)]
        for field in ("rating", "std"):
            got = [getattr(score, field) for score in other]
            np.testing.assert_allclose(got, [getattr(e, field) for e in expected], atol=1e-4)


def test_a_picture_is_the_same_as_path_content_array_and_image(reward, fresh):
    with Image.open(fresh[0]) as opened:
        opened.load()
    array = np.asarray(opened)
    forms = [fresh[0], str(fresh[0]), fresh[0].read_bytes(), opened, array]
    ratings = [score.rating for score in reward.score(user="p001", images=forms, prompt="x")]
    np.testing.assert_allclose(ratings, ratings[0], atol=1e-5)


def test_a_training_picture_is_known_however_it_is_given(reward, small_template, tmp_path):
    """By path, bytes, stream, PIL image, array, or saved again: its prompt and its score."""
    file = small_template.root / reward.bundle.items.frame[s.FILE][3]
    with Image.open(file) as opened:
        opened.load()
    opened.save(tmp_path / "again.webp", lossless=True)
    array = np.asarray(opened)
    forms = [file, file.read_bytes(), BytesIO(file.read_bytes()), opened, array,
             np.dstack([array, np.full(array.shape[:2], 255, np.uint8)]), tmp_path / "again.webp",
             CatalogImage("synthetic", "i03")]  # fmt: skip
    scores = reward.score(user="p001", images=forms)
    assert scores == scores[:1] * len(forms)
    assert [reward.score(user="p001", images=one)[0] for one in (opened, array)] == scores[:2]
    me = reward.adapt(ratings=[(array, 5)])
    assert me.context.frame[s.IMAGE].to_list() == ["i03"]
    assert me.context.frame[s.PROMPT].to_list() == ["a portrait number 3"]
    with pytest.raises(PamelaError, match=r"rating 2 .*: the same picture as in rating 1"):
        reward.adapt(ratings=[(array, 5), (file, 1)])


def test_a_picture_whose_file_was_closed_is_told(reward, fresh):
    with Image.open(fresh[0]) as closed:
        pass
    with pytest.raises(PamelaError, match=r"image 1: .*its file was closed before it was loaded"):
        reward.score(user="p001", images=closed)


def test_a_picture_that_differs_a_little_is_another(reward, small_template):
    file = small_template.root / reward.bundle.items.frame[s.FILE][3]
    with Image.open(file) as opened:
        array = np.array(opened)
    array[:8, :8] = 255 - array[:8, :8]
    assert reward.pictures.items([array], None).frame[s.IMAGE].to_list() == [None]


def test_a_new_picture_is_rated_once_whatever_its_form(reward, fresh):
    with Image.open(fresh[0]) as opened:
        array = np.asarray(opened)
    with pytest.raises(PamelaError, match=r"rating 3: the same picture as in rating 1 \("):
        reward.adapt(ratings=[(fresh[0], 5), (fresh[1], 4), (array, 5)])


def test_what_is_no_regular_file_is_not_waited_for(reward, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path, says in ((tmp_path / "pipe.png", "not a regular file"), (tmp_path, "Is a directory")):
        with pytest.raises(PamelaError, match=rf"image 1 \({path}\): {says}"):
            reward.score(user="p001", images=path)
    with pytest.raises(PamelaError, match="not a regular file"):
        reward.score(user="p001", images="/dev/zero")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("https://host/barn.png", "a web address; download the picture and give its file"),
        ("file:///tmp/barn.png", "an address; give the path of a file"),
        (r"C:\pictures\barn.png", "a path of Windows; write it as it is here, with /"),
        ("~/barn.png", "~ is not replaced here; write the folder out"),
        ("my%20barn.png", "looks encoded for the web; write %20 as a blank"),
        ("barn2.png", "No such file or directory"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_what_it_looks_like(reward, path, says):
    with pytest.raises(PamelaError) as told:
        reward.score(user="p001", images=path)
    assert str(told.value) == f"image 1 ({path}): {says}"


def test_an_unknown_id_is_told_what_comes_near(reward):
    with pytest.raises(PamelaError, match=r"no picture 'i3' in dataset synthetic: did you mean i"):
        reward.score(user="p001", images=CatalogImage("synthetic", "i3"))


def test_a_known_picture_is_the_same_by_content_and_by_id(reward, small_template):
    file = small_template.root / reward.bundle.items.frame[s.FILE][3]
    forms = [file, file.read_bytes(), CatalogImage("synthetic", "i03")]
    found = reward.pictures.items(forms, None)
    assert found.frame[s.IMAGE].to_list() == ["i03"] * 3
    assert found.frame[s.PROMPT].to_list() == ["a portrait number 3"] * 3
    np.testing.assert_array_equal(found.image, reward.bundle.items.image[[3, 3, 3]])
    np.testing.assert_array_equal(found.prompt, reward.bundle.items.prompt[[3, 3, 3]])


def test_another_prompt_is_encoded_and_each_text_once(reward, monkeypatch):
    asked: list[list[str]] = []
    encoder = reward.pictures._get_encoder("")
    real = encoder.encode_prompts

    def count(prompts):
        asked.append(list(prompts))
        return real(prompts)

    monkeypatch.setattr(encoder, "encode_prompts", count)
    known = [CatalogImage("synthetic", f"i{n:02d}") for n in range(5)]
    said = ["a boat", "a barn", "a boat", None, "a street number 4"]
    found = reward.pictures.items(known, said)
    assert asked == [["a boat", "a barn", "a street number 4"]]
    assert found.frame[s.PROMPT].to_list() == [*said[:3], "a portrait number 3", said[4]]
    np.testing.assert_array_equal(found.prompt[0], found.prompt[2])
    np.testing.assert_array_equal(found.prompt[3], reward.bundle.items.prompt[3])


LONG = "a red barn at dusk, " * 12  # 74 tokens, of which the embedded encoder reads 52


def test_a_prompt_that_is_cut_is_told_and_marked(reward, fresh):
    with pytest.warns(PromptWarning, match=r"1 of 2 new prompts is longer than the 52 tokens"):
        whole, cut = reward.score(user="p001", images=fresh[:2], prompt=["a red barn", LONG])
    assert (whole.prompt_cut, cut.prompt_cut) == (False, True)
    with pytest.warns(PromptWarning):
        reward.adapt(ratings=[(fresh[0], LONG, 4)])
    with pytest.warns(PromptWarning, match="1 of 1 new prompts has no word that the encoder"):
        reward.score(user="p001", images=fresh[:1], prompt="Пейзаж")


def test_a_training_prompt_that_was_cut_is_marked_without_the_encoder(reward, monkeypatch):
    kept = {"cut": 1, "cut_keys": [prompt_key("a portrait number 3")[:KEY_LETTERS]]}
    monkeypatch.setitem(reward.pictures._wanted, "prompts", kept)
    monkeypatch.setattr(reward.pictures, "_get_encoder", lambda what: 1 / 0)
    known = [CatalogImage("synthetic", "i03"), CatalogImage("synthetic", "i04")]
    assert [one.prompt_cut for one in reward.score(user="p001", images=known)] == [True, False]


@pytest.mark.parametrize("at", [0, 12, 29])
def test_a_fault_in_the_middle_of_a_batch_is_named_with_its_place(reward, fresh, tmp_path, at):
    broken = tmp_path / "broken.png"
    broken.write_bytes(fresh[0].read_bytes()[:60])
    for bad, says in ((tmp_path / "gone.png", "No such file"), (broken, "does not decode")):
        images = [*fresh[:at], bad, *fresh[at + 1 :]]
        with pytest.raises(PamelaError, match=says) as caught:
            reward.score(user="p001", images=images)
        assert str(caught.value).startswith(f"image {at + 1} ({bad})")


def test_an_unknown_id_is_named(reward):
    with pytest.raises(PamelaError, match=r"image 2 \(synthetic/i99\): no picture 'i99'"):
        reward.score(
            user="p001", images=[CatalogImage("synthetic", "i01"), CatalogImage("synthetic", "i99")]
        )


def test_a_recorded_picture_is_found_by_content_then_by_id(reward, small_template):
    frame = reward.bundle.items.frame
    sha = frame[s.SHA256][5]
    by_content = Recorded("elsewhere", "old name", sha, None)
    by_id = Recorded("synthetic", "i05", None, None)
    assert [one.row for one in reward.pictures.catalog.find([by_content, by_id])] == [5, 5]
    # the id has another content now: it is not the picture that was rated
    moved = Recorded("synthetic", "i05", "0" * 64, small_template.root / NEW[0])
    with pytest.raises(PamelaError, match=r"barn.png is not the picture that was rated"):
        reward.pictures.items([moved], None)
    lost = Recorded("synthetic", "i98", None, None)
    with pytest.raises(PamelaError, match="'i98' is no longer in dataset synthetic"):
        reward.pictures.items([lost], None)


def test_many_pictures_show_a_bar_on_a_terminal(small_template, fresh, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes the output for a terminal
    monkeypatch.setenv("TTY_INTERACTIVE", "1")
    bundle = load_bundle(small_template.models / "bundle")
    Reward(bundle, batch_size=8).score(user="p001", images=fresh)
    assert "encode pictures" in capsys.readouterr().err
    Reward(bundle, batch_size=64).score(user="p001", images=fresh)
    assert capsys.readouterr().err == ""
