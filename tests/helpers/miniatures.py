"""A miniature of every release layout, generated on the spot, with its counts and faults planted.

Each function writes one layout as the release has it (file names, columns, encodings, traps) with
real small pictures into ``folder`` and returns what it planted. Same arguments, same bytes. The
ratings depend on the pictures, on a shared taste and on each user's own, so models have something
to learn. With ``faults=False`` every row is sound.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

PIXELS = 24
LIKES = 3  # dimensions of taste: the red, green and blue of a picture


@dataclass(frozen=True)
class Planted:
    """What a miniature holds.

    Attributes
    ----------
    kind : key of `pamela.data.formats.FORMATS`.
    folder : what to import.
    ratings : rating rows, faulty ones included.
    users : distinct raters, listed or not.
    images : distinct images, those without a picture included.
    scale : lowest and highest rating.
    splits : rows of each of the release's own parts; empty without any.
    faulty : ratings to be quarantined, by the rule of ``expectations/ratings.json`` they break.
    faulty_images : images to be quarantined, by rule.
    demographics : names of the demographic columns.
    """

    kind: str
    folder: Path
    ratings: int
    users: int
    images: int
    scale: tuple[float, float]
    splits: dict[str, int] = field(default_factory=dict)
    faulty: dict[str, int] = field(default_factory=dict)
    faulty_images: dict[str, int] = field(default_factory=dict)
    demographics: tuple[str, ...] = ()

    @property
    def kept(self) -> int:
        """Ratings that validation keeps."""
        return self.ratings - sum(self.faulty.values())


@dataclass(frozen=True)
class Study:
    """Who rated what: `user` and `image` (rows,) as indices, `score` (rows,) in 0..1."""

    user: np.ndarray
    image: np.ndarray
    score: np.ndarray
    colours: np.ndarray  # (images, 3) in 0..1

    def on(self, low: float, high: float, step: float) -> list[float]:
        """Return the scores on a scale of `low`..`high` in steps of `step`."""
        return (low + np.rint(self.score * (high - low) / step) * step).tolist()


def _study(users: int, images: int, seed: int, share: float = 0.8) -> Study:
    rng = np.random.default_rng(seed)
    colours = rng.random((images, LIKES))
    shared, own = rng.normal(size=LIKES), rng.normal(size=(users, LIKES))
    utility = (colours - 0.5) @ (1.5 * shared + own).T  # (images, users)
    utility = utility + 0.3 * rng.normal(size=users) + 0.3 * rng.normal(size=utility.shape)
    rated = rng.random((users, images)) < share
    user, image = np.nonzero(rated)
    return Study(user, image, 1 / (1 + np.exp(-2 * utility.T[rated])), colours)


def _picture(path: Path, colour: np.ndarray, seed: int) -> None:
    """Write a picture of one colour with a gradient and noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    ramp = np.linspace(-40, 40, PIXELS)[:, None, None]
    pixels = 30 + 190 * colour + ramp + rng.normal(0, 12, (PIXELS, PIXELS, 3))
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


def _pictures(folder: Path, names: Sequence[str], colours: np.ndarray) -> None:
    for seed, (name, colour) in enumerate(zip(names, colours, strict=True)):
        _picture(folder / name, colour, seed)


def _csv(
    path: Path, rows: Mapping[str, Sequence[Any]], *, encoding: str = "utf-8", separator: str = ","
) -> None:
    """Write text cells (None is an empty one); columns keep their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame({c: [_cell(v) for v in values] for c, values in rows.items()})
    path.write_bytes(frame.write_csv(separator=separator).encode(encoding))


def _cell(value: Any) -> str | None:
    if value is None:
        return None
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cycle(values: Sequence[Any], n: int) -> list[Any]:
    return [values[k % len(values)] for k in range(n)]


# --- PAMELA ---------------------------------------------------------------------------------------
PARTS = ("train", "val_seen", "val_unseen", "test_seen", "test_unseen")
STYLES = ("Cubism", "Rococo", "Pop_Art")
GROUPS = ("food", "landscape", "portrait", "travel")


def pamela_release(
    folder: Path, *, users: int = 24, images: int = 48, seed: int = 0, faults: bool = True
) -> Planted:
    """Write ``PAMELA/annotations/*.json`` and pictures; a quarter of the users is unseen.

    Seen users rate the training images, and in other files the held-out ones; unseen users rate
    held-out images only. Faults: an empty rating, one off the scale, an exact repeat, and a picture
    that does not decode.
    """
    study = _study(users, images, seed)
    seen, val_user = users - users // 4, users - users // 4 + users // 12
    val_image, test_image = images // 2, images // 2 + images // 6
    rows: dict[str, list[dict[str, Any]]] = {part: [] for part in PARTS}
    for u, i, score in zip(study.user, study.image, study.on(1, 5, 1), strict=True):
        part = _part(u < seen, u < val_user, i < val_image, i < test_image)
        if part is not None:
            rows[part].append(_release_row(int(u), int(i), int(score)))
    paths = [f"images/{_release_path(i)}" for i in range(images)]
    _pictures(folder / "PAMELA", paths, study.colours)
    faulty, faulty_images = {}, {}
    if faults:
        rows["train"][0]["original_score"] = None
        rows["train"][1]["original_score"] = 7
        rows["train"].append(dict(rows["train"][2]))
        rows["train"] += [_release_row(u, images, 3) for u in (0, 1)]
        broken = folder / "PAMELA" / "images" / _release_path(images)
        broken.write_bytes((folder / "PAMELA" / paths[0]).read_bytes()[:200])
        faulty = {"rating_missing": 1, "rating_off_scale": 1, "rating_repeated": 1}
        faulty |= {"image_undecodable": 2}
        faulty_images = {"image_undecodable": 1}
    for part, listed in rows.items():
        path = folder / "PAMELA" / "annotations" / f"pamela_{part}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(listed))
    every = [r for listed in rows.values() for r in listed]
    return Planted(
        kind="pamela",
        folder=folder,
        ratings=len(every),
        users=len({r["participant_id"] for r in every}),
        images=len({r["image_id"] for r in every}),
        scale=(1.0, 5.0),
        splits={part: len(listed) for part, listed in rows.items()},
        faulty=faulty,
        faulty_images=faulty_images,
        demographics=("age_binned", "gender", "nationality"),
    )


def _part(seen: bool, val_user: bool, train_image: bool, val_image: bool) -> str | None:
    if train_image:
        return "train" if seen else None
    if val_image:
        return "val_seen" if seen else ("val_unseen" if val_user else None)
    return "test_seen" if seen else (None if val_user else "test_unseen")


def _release_path(image: int) -> str:
    return f"{'art' if image % 2 else 'photo'}/{image:04d}.jpg"


def _release_row(user: int, image: int, score: int) -> dict[str, Any]:
    art = image % 2 == 1
    return {
        "participant_id": f"p{user:03d}",
        "image_id": image,
        "image_path": f"images/{_release_path(image)}",
        "original_score": score,
        "image_metadata": {
            "prompt": f"a {GROUPS[image // 2 % len(GROUPS)]} scene, number {image}",
            "group": GROUPS[image // 2 % len(GROUPS)],
            "style": STYLES[image // 2 % len(STYLES)] if art else None,
            "type": "Art" if art else "Photorealism",
        },
        "user_demographics": {
            "age": 20 + user,
            "age_binned": ("19-25", "26-35", "36-45")[user % 3],
            "gender": (("Female", "female")[image % 7 == 0], "Male", None)[user % 3],
            "nationality": ("Belgian", "Indian", "Dutch")[user // 3 % 3],
        },
    }


# --- LAPIS ----------------------------------------------------------------------------------------
ARTISTS = ("albrecht-dürer", "rené-magritte", "mary-cassatt", "el-greco")  # latin-1 letters
LAPIS_GENRES = ("portrait", "landscape", "still_life", "cityscape", "abstract", "flower_painting",
                "nude_painting")  # fmt: skip
LAPIS_STYLES = tuple(f"Style_{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
LAPIS_PEOPLE = ("age", "nationality", "demo_gender", "demo_edu", "demo_colorblind")


def lapis_new(
    folder: Path, *, users: int = 24, images: int = 48, seed: int = 0, faults: bool = True
) -> Planted:
    """Write LAPIS as now published: ``annotation/LAPIS_PIAA.csv`` in latin-1, ``images/``.

    All 18 columns: 7 genres, 26 styles, every fifth age in words, and numbers of known images that
    a spreadsheet has turned into dates.
    """
    study = _study(users, images, seed)
    names = [f"{ARTISTS[i % 4]}_work-{i}-19{i % 90 + 10}.jpg" for i in range(images)]
    people = _lapis_people(study.user, users)
    rows: dict[str, list[Any]] = {
        "image_id": [int(i) + 1000 for i in study.image],
        "image_filename": [names[i] for i in study.image],
        "rating": [int(value) for value in study.on(0, 100, 1)],
        "response time": _cycle([3.217, 11.804, 1.96], len(study.user)),
        "participant_id": [f"5f{u:04x}" for u in study.user],
        **people,
        "age": [
            f"{age:g} years" if age is not None and u % 5 == 0 else age
            for age, u in zip(people["age"], study.user, strict=True)
        ],
        "Art Interest VAIAK": [
            None if u >= users - 2 else 0.7 + 4.5 * u / users for u in study.user
        ],
        "imgs_known": _cycle(["0", "01-Oct", None, "02-May"], len(study.user)),
        "artist": [ARTISTS[i % 4] for i in study.image],
        "title": [f"work, {i}" for i in study.image],
        "genre": [LAPIS_GENRES[i % 7] for i in study.image],
        "style": [LAPIS_STYLES[i % 26] for i in study.image],
        "4_styles": [i % 26 % 4 for i in study.image],
        "2_styles": [("figurative", "abstract")[i % 26 % 2] for i in study.image],
    }
    faulty, faulty_images = _lapis_faults(rows, "rating", names, faults)
    _csv(folder / "annotation" / "LAPIS_PIAA.csv", rows, encoding="latin-1")
    _pictures(folder / "images", names, study.colours)
    return _lapis_planted(folder, rows, faulty, faulty_images, ("Art Interest VAIAK",))


def lapis_old(
    folder: Path, *, users: int = 24, images: int = 48, seed: int = 0, faults: bool = True
) -> Planted:
    """Write LAPIS as first shared: one wide table with styles, genres and the single items."""
    study = _study(users, images, seed)
    styles = [("Impressionism", "Cubism", "Art_Nouveau")[i % 3] for i in range(images)]
    genres = [("portrait", "landscape")[i % 2] for i in range(images)]
    names = [f"{styles[i]}/{ARTISTS[i % 4]}_work-{i}.jpg" for i in range(images)]
    items = [*(f"VAIAK{k}" for k in range(1, 8)), *(f"2VAIAK{k}" for k in range(1, 5))]
    rows: dict[str, list[Any]] = {
        "file": [names[i] for i in study.image],
        "image_id": [int(i) for i in study.image],
        "response": study.on(0, 100, 1),
        "participant_id": [int(u) + 1 for u in study.user],
        **_lapis_people(study.user, users),
        "style": [styles[i] for i in study.image],
        "genre": [genres[i] for i in study.image],
        **{
            c: [None if u >= users - 2 else (u + k) % 7 for u in study.user]
            for k, c in enumerate(items)
        },
    }
    faulty, faulty_images = _lapis_faults(rows, "response", names, faults, by_name="file")
    path = folder / "annotation" / "LAPIS_individualratings_metaANDdemodata.csv"
    _csv(path, rows, encoding="latin-1")
    _pictures(folder / "images", names, study.colours)
    return _lapis_planted(folder, rows, faulty, faulty_images, tuple(items))


def _lapis_people(user: np.ndarray, users: int) -> dict[str, list[Any]]:
    """Return the demographics of each row; the last two users have none."""
    told: dict[str, Callable[[int], Any]] = {
        "age": lambda u: float(19 + 2 * u),
        "nationality": lambda u: ("belgian", "british", "polish")[u % 3],
        "demo_gender": lambda u: ("female", "male")[u % 2],
        "demo_edu": lambda u: ("Secondary", "Bachelor's or equivalent", "Master's, or more")[u % 3],
        "demo_colorblind": lambda u: ("No", "No", "No", "Yes")[u % 4],
    }
    return {c: [None if u >= users - 2 else of(int(u)) for u in user] for c, of in told.items()}


def _lapis_faults(
    rows: dict[str, list[Any]],
    rating: str,
    names: Sequence[str],
    faults: bool,
    by_name: str = "image_filename",
) -> tuple[dict[str, int], dict[str, int]]:
    """Plant two empty ratings, one off the scale, repeats, and an image without a picture."""
    if not faults:
        return {}, {}
    last = len(rows[rating]) - 1
    rows[rating][3] = rows[rating][4] = None
    rows[rating][5] = 101
    _append_copy(rows, 6)  # an exact repeat
    _append_copy(rows, 7, **{rating: (rows[rating][7] + 50) % 100})  # a contradiction
    lost = names[0].replace("work-0", "lost")
    for row in (8, last):  # two users
        _append_copy(rows, row, image_id=99999, **{by_name: lost})
    faulty = {
        "rating_missing": 2,
        "rating_off_scale": 1,
        "rating_repeated": 1,
        "rating_contradicted": 2,
        "image_missing": 2,
    }
    return faulty, {"image_missing": 1}


def _append_copy(rows: dict[str, list[Any]], row: int, **changes: Any) -> None:
    for column, values in rows.items():
        values.append(changes.get(column, values[row]))


def _lapis_planted(
    folder: Path,
    rows: dict[str, list[Any]],
    faulty: dict[str, int],
    faulty_images: dict[str, int],
    interest: tuple[str, ...],
) -> Planted:
    return Planted(
        kind="lapis",
        folder=folder,
        ratings=len(rows["image_id"]),
        users=len(set(rows["participant_id"])),
        images=len(set(rows["image_id"])),
        scale=(0.0, 100.0),
        faulty=faulty,
        faulty_images=faulty_images,
        demographics=(*LAPIS_PEOPLE, *interest),
    )


# --- PARA -----------------------------------------------------------------------------------------
PARA_SCORES = ("qualityScore", "compositionScore", "colorScore", "dofScore", "contentScore",
               "lightScore")  # fmt: skip
TRAITS = tuple(f"personality-{t}" for t in "EANOC")


def para(
    folder: Path, *, users: int = 24, images: int = 48, seed: int = 0, faults: bool = True
) -> Planted:
    """Write PARA: ``annotation/PARA-Images.csv``, ``PARA-UserInfo.csv``, ``imgs/<session>/``.

    As published: 16 and 11 columns, scores with their decimal point (3.0, 3.1). The last user is
    not in the user table; one name of a picture occurs in two sessions.
    """
    study = _study(users, images, seed)
    names = [(f"session{1 + i // 12}", f"iaa_pub{i}_.jpg") for i in range(images)]
    names[-1] = (names[-1][0], names[0][1])
    n = len(study.user)
    score = study.on(1, 5, 0.5)
    rows: dict[str, list[Any]] = {
        "sessionId": [names[i][0] for i in study.image],
        "imageName": [names[i][1] for i in study.image],
        "userId": [f"A{u:05x}" for u in study.user],
        "aestheticScore": [f"{v:.1f}" for v in score],
        **{c: [f"{min(v + 0.1, 5):.1f}" for v in score] for c in PARA_SCORES},
        "isObjectEmphasis": _cycle([0, 1], n),
        "imgEmotion": _cycle(["neutral", "amusement", "awe"], n),
        "difficultyOfJudgment": _cycle([-1, 0, 1], n),
        "contentPreference": _cycle([3, 4, 2], n),
        "willingnessToShare": _cycle([2, 3], n),
        "semantic": [("animal", "scene", "portrait", "food")[i % 4] for i in study.image],
    }
    faulty, faulty_images = {}, {}
    if faults:
        rows["aestheticScore"][2] = None
        rows["aestheticScore"][3] = 5.5
        _append_copy(rows, 4)
        _append_copy(rows, 5, imageName="iaa_pub_lost_.jpg")
        faulty = {"rating_missing": 1, "rating_off_scale": 1, "rating_repeated": 1}
        faulty |= {"image_missing": 1}
        faulty_images = {"image_missing": 1}
    _csv(folder / "annotation" / "PARA-Images.csv", rows)
    listed = range(users - 1)
    people = {
        "userId": [f"A{u:05x}" for u in listed],
        "age": _cycle(["18-21", "22-25", "26-29", "30-34", "35-40"], len(listed)),
        "gender": _cycle(["female", "male"], len(listed)),
        "EducationalLevel": _cycle(["university", "junior_college"], len(listed)),
        "artExperience": _cycle(["beginner", "competent", "proficient", "expert"], len(listed)),
        "photographyExperience": _cycle(["beginner", "expert", "competent"], len(listed)),
        **{c: [1 + (u + k) % 10 for u in listed] for k, c in enumerate(TRAITS)},
    }
    _csv(folder / "annotation" / "PARA-UserInfo.csv", people)
    _pictures(folder / "imgs", ["/".join(name) for name in names], study.colours)
    return Planted(
        kind="para",
        folder=folder,
        ratings=len(rows["userId"]),
        users=len(set(rows["userId"])),
        images=len(set(zip(rows["sessionId"], rows["imageName"], strict=True))),
        scale=(1.0, 5.0),
        faulty=faulty,
        faulty_images=faulty_images,
        demographics=tuple(c for c in people if c != "userId"),
    )


# --- FLICKR-AES -----------------------------------------------------------------------------------
def flickr_aes(
    folder: Path, *, users: int = 24, images: int = 48, seed: int = 0, faults: bool = True
) -> Planted:
    """Write FLICKR-AES: one table, its header with blanks after commas; pictures in ``40K/``."""
    study = _study(users, images, seed)
    names = [f"farm{1 + i % 4}_{i:03d}_{7919 * (i + 1)}_b.jpg" for i in range(images)]
    rows: dict[str, list[Any]] = {
        "worker": [f"A{u:03d}ZZ" for u in study.user],
        " imagePair": [names[i] for i in study.image],
        " score": [int(v) for v in study.on(1, 5, 1)],
    }
    faulty, faulty_images = {}, {}
    if faults:
        rows[" score"][2] = None
        rows[" score"][3] = 0
        _append_copy(rows, 4)
        _append_copy(rows, 5, **{" score": rows[" score"][5] % 5 + 1})
        _append_copy(rows, 6, **{" imagePair": "farm9_lost_b.jpg"})
        faulty = {
            "rating_missing": 1,
            "rating_off_scale": 1,
            "rating_repeated": 1,
            "rating_contradicted": 2,
            "image_missing": 1,
        }
        faulty_images = {"image_missing": 1}
    _csv(folder / "FLICKR-AES_image_labeled_by_each_worker.csv", rows)
    means = "".join(f"{name} 0.5\n" for name in names)
    (folder / "FLICKR-AES_image_score.txt").write_text(means)
    _pictures(folder / "40K", names, study.colours)
    return Planted(
        kind="flickr-aes",
        folder=folder,
        ratings=len(rows["worker"]),
        users=len(set(rows["worker"])),
        images=len(set(rows[" imagePair"])),
        scale=(1.0, 5.0),
        faulty=faulty,
        faulty_images=faulty_images,
    )


# --- EVA ------------------------------------------------------------------------------------------
def eva(
    folder: Path, *, users: int = 24, images: int = 48, seed: int = 0, faults: bool = True
) -> Planted:
    """Write EVA: ``=`` between the cells, birth years for ages, pictures in a folder per category.

    As published: scores such as 7.0, codes as floats, eyechecks of which none was ticked. The last
    user is not in the user table.
    """
    study = _study(users, images, seed)
    n = len(study.user)
    category = [1 + i % 6 for i in range(images)]
    votes: dict[str, list[Any]] = {
        "image_id": [int(i) * 37 + 71 for i in study.image],
        "user_id": [f"C{u + 1412}" for u in study.user],
        "score": [f"{v:.1f}" for v in study.on(0, 10, 1)],
        "difficulty": _cycle([1, 2, 3, 4], n),
        "visual": _cycle([2, 3], n),
        "composition": _cycle([3, 4], n),
        "quality": _cycle([1, 3], n),
        "semantic": _cycle([2, 4], n),
        "vote_time": _cycle([4.5, 12.25, 30.125], n),
        **{str(k): _cycle([0, 1], n) for k in range(1, 5)},
    }
    faulty, faulty_images = {}, {}
    if faults:
        votes["score"][2] = None
        votes["score"][3] = 11
        _append_copy(votes, 4)
        _append_copy(votes, 5, image_id=999999)
        faulty = {"rating_missing": 1, "rating_off_scale": 1, "rating_repeated": 1}
        faulty |= {"image_missing": 1}
        faulty_images = {"image_missing": 1}
    data = folder / "data"
    _csv(data / "votes_filtered.csv", votes, separator="=")
    listed = range(users - 1)
    people = {
        "id": [f"C{u + 1412}" for u in listed],
        "age": [f"{1955 + 2 * u}.0" for u in listed],
        "region": _cycle(["156.0", "250.0", "384.0", None], len(listed)),
        "photographic_level_id": _cycle(["1.0", "2.0", "3.0", "0.0"], len(listed)),
        "gender_id": _cycle(["1.0", "2.0"], len(listed)),
        "eyecheck": _cycle(["1", None, "1,2", "0"], len(listed)),
    }
    _csv(data / "users.csv", people, separator="=")
    sorts = "".join(f'"{i * 37 + 71}","{category[i]}"\n' for i in range(images))
    (data / "image_content_category.csv").write_text('"image_id","sort"\n' + sorts)
    regions = "156=Mainland China\n250=France\n384=Côte d'Ivoire\n"
    (data / "region_index.csv").write_text(regions, encoding="utf-8")
    names = [f"{category[i]}/{i * 37 + 71}.jpg" for i in range(images)]
    _pictures(folder / "images" / "EVA_category" / "EVA_category", names, study.colours)
    return Planted(
        kind="eva",
        folder=folder,
        ratings=len(votes["user_id"]),
        users=len(set(votes["user_id"])),
        images=len(set(votes["image_id"])),
        scale=(0.0, 10.0),
        faulty=faulty,
        faulty_images=faulty_images,
        demographics=("age", "region", "photographic_level", "gender", "eyecheck"),
    )


# --- all of them ----------------------------------------------------------------------------------
MINIATURES: dict[str, Callable[..., Planted]] = {
    "pamela": pamela_release,
    "lapis": lapis_new,
    "lapis-old": lapis_old,
    "para": para,
    "flickr-aes": flickr_aes,
    "eva": eva,
}
