"""How weights were trained: their activation and their preprocessing, known or refused.

open_clip builds what a configuration says and takes OpenAI's defaults where it says nothing.
Weights that were trained otherwise then give features that mean little, without an error. So each
of `KEYS` is taken from the first of these that says it:

1. the published pair that ``<model>/<tag>`` or ``hf-hub:<repository>`` is;
2. the folder's or the repository's ``open_clip_config.json``;
3. the published weights of the same architecture, where all of them agree.

What nobody says is refused: a guess would be wrong for some weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import open_clip
from open_clip.transform import PreprocessCfg
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pamela.core.errors import PamelaError
from pamela.features.encoders.base import CONFIG_FILE, HF_HUB, LOCAL_DIR
from pamela.params import first_fault

QUICK_GELU = "quick_gelu"
PREPROCESS = ("mean", "std", "interpolation", "resize_mode")
KEYS = (QUICK_GELU, *PREPROCESS)
PAGE = "docs/encoders.md"

Pair = tuple[str, str]  # open_clip's (model, tag)


@dataclass(frozen=True)
class Training:
    """How weights were trained, and so how they must be run.

    Attributes
    ----------
    quick_gelu : whether their activation is QuickGELU; else it is GELU.
    preprocess : mean, std, interpolation and resize_mode of their pictures.
    known_from : who says so, in words.
    """

    quick_gelu: bool
    preprocess: dict[str, Any]
    known_from: str


def of_pair(model: str, tag: str) -> Training:
    """Return how the published weights `tag` of `model` were trained."""
    return _training(_said_by(model, tag), f"the published weights {model}/{tag}")


def of_file(name: str, model: str) -> Training:
    """Return how weights in a file were trained, if all that is published for `model` agrees.

    Raises
    ------
    PamelaError
        If it does not, or nothing is published.
    """
    pairs = [(model, tag) for tag in open_clip.list_pretrained_tags_by_model(model)]
    said = _agreed(pairs)
    if any(key not in said for key in KEYS):
        why = (
            f"the published weights of {model} differ in {', '.join(_missing(said))}"
            if pairs
            else f"nothing is published for {model}"
        )
        quick = f"{model}-quickgelu"
        other = (
            f"{quick}/<file> if it is QuickGELU, or " if quick in open_clip.list_models() else ""
        )
        raise PamelaError(
            f"embed.encoder {name!r}: {why}, so it cannot be known how those in the file were "
            f"trained; name {other}a folder that holds them and a {CONFIG_FILE} that says so as "
            f"{LOCAL_DIR}<folder> ({PAGE})"
        )
    return _training(said, f"all published weights of {model}")


def of_config(name: str, config: Any) -> Training:
    """Return how the weights beside an ``open_clip_config.json`` were trained.

    Parameters
    ----------
    name : ``local-dir:<folder>`` or ``hf-hub:<repository>``.
    config : what the file holds.

    Raises
    ------
    PamelaError
        If the file is none of open_clip's, or neither it nor anything published says it all.
    """
    declared = _declared(name, config)
    architecture = config["model_cfg"]
    listed = _pairs_in(name.removeprefix(HF_HUB)) if name.startswith(HF_HUB) else []
    if listed:
        pair = _said_by(*listed[0])
        pair[QUICK_GELU] |= declared.get(QUICK_GELU, False)
        return _training(pair, f"the published weights {'/'.join(listed[0])}")
    alike = _agreed(_pairs_like(architecture))
    if name.startswith(HF_HUB):
        # a publisher's configuration is what everybody builds: without the key, with GELU
        declared.setdefault(QUICK_GELU, False)
    elif not _has_activation(architecture):
        alike[QUICK_GELU] = False
    said = {**alike, **declared}
    lacking = _missing(said)
    if lacking:
        copy = "download it and " if name.startswith(HF_HUB) else ""
        raise PamelaError(
            f"embed.encoder {name!r}: {CONFIG_FILE} does not say {', '.join(lacking)}, and no "
            f"published weights of this architecture settle it: {copy}add {_remedy(lacking)}, as "
            f"the weights were trained ({PAGE})"
        )
    taken = [key for key in KEYS if key in alike and key not in declared]
    if not _has_activation(architecture) and QUICK_GELU in taken:
        taken.remove(QUICK_GELU)
    source = f"its {CONFIG_FILE}"
    if taken:
        source += f"; {', '.join(taken)} as in all published weights of this architecture"
    return _training(said, source)


def _training(said: Mapping[str, Any], known_from: str) -> Training:
    return Training(
        quick_gelu=bool(said[QUICK_GELU]),
        preprocess={key: _plain(said[key]) for key in PREPROCESS},
        known_from=known_from,
    )


def _plain(value: Any) -> Any:
    return [float(part) for part in value] if isinstance(value, tuple | list) else value


# --- what is published ----------------------------------------------------------------------------
def _said_by(model: str, tag: str) -> dict[str, Any]:
    """Return all of `KEYS` for a published pair.

    Either side may say QuickGELU. Most tags say it although the model of their plain name does not;
    roberta-ViT-B-32 says it, and its tag nothing.
    """
    pair: dict[str, Any] = open_clip.get_pretrained_cfg(model, tag)
    named = open_clip.get_model_config(model) or {}
    said = asdict(PreprocessCfg()) | pair
    quick = bool(pair.get(QUICK_GELU) or named.get(QUICK_GELU))
    return {QUICK_GELU: quick, **{key: _plain(said[key]) for key in PREPROCESS}}


def _agreed(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return the keys on which all `pairs` agree, with their values."""
    said = [_said_by(*pair) for pair in pairs]
    return {key: said[0][key] for key in KEYS if said and all(s[key] == said[0][key] for s in said)}


def _pairs_in(repository: str) -> list[Pair]:
    """Return the pairs whose weights lie in a repository of the hub."""
    return [
        (model, tag)
        for model, tag in open_clip.list_pretrained()
        if open_clip.get_pretrained_cfg(model, tag).get("hf_hub", "").strip("/") == repository
    ]


def _pairs_like(architecture: Mapping[str, Any]) -> list[Pair]:
    """Return the pairs whose network is the same but for its activation."""
    wanted = _without_activation(architecture)
    alike = {
        model
        for model in open_clip.list_models()
        if _without_activation(open_clip.get_model_config(model)) == wanted
    }
    return [pair for pair in open_clip.list_pretrained() if pair[0] in alike]


def _without_activation(architecture: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in architecture.items() if key != QUICK_GELU}


# --- what a configuration says --------------------------------------------------------------------
def _for_each_colour(value: Any) -> Any:
    return [value] * 3 if isinstance(value, int | float) else value


# Of pixels from 0 to 1, as open_clip has them; others count from 0 to 255.
_Mean = Annotated[
    list[Annotated[float, Field(ge=0, le=1)]],
    BeforeValidator(_for_each_colour),
    Field(min_length=3, max_length=3),
]
_Std = Annotated[
    list[Annotated[float, Field(gt=0, le=1)]],
    BeforeValidator(_for_each_colour),
    Field(min_length=3, max_length=3),
]


class _Preprocess(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    size: int | list[int] | None = None  # open_clip takes the network's own
    mean: _Mean | None = None
    std: _Std | None = None
    mode: Literal["RGB"] | None = None
    fill_color: Annotated[int, Field(ge=0, le=255)] | None = None
    interpolation: Literal["bicubic", "bilinear"] | None = None
    resize_mode: Literal["shortest", "longest", "squash"] | None = None


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", protected_namespaces=())
    quick_gelu: bool | None = None
    embed_dim: int
    vision_cfg: dict[str, Any]
    text_cfg: dict[str, Any]


class _File(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", protected_namespaces=())
    model_cfg: _Model
    preprocess_cfg: _Preprocess | None = None


def _declared(name: str, config: Any) -> dict[str, Any]:
    """Return those of `KEYS` that a configuration says; null says nothing."""
    try:
        found = _File.model_validate(config)
    except ValidationError as error:
        raise PamelaError(
            f"embed.encoder {name!r}: {CONFIG_FILE}: {first_fault(error)}; see {PAGE}"
        ) from None
    said: dict[str, Any] = {QUICK_GELU: found.model_cfg.quick_gelu}
    if found.preprocess_cfg is not None:
        said |= {key: getattr(found.preprocess_cfg, key) for key in PREPROCESS}
    return {key: value for key, value in said.items() if value is not None}


def _has_activation(architecture: Mapping[str, Any]) -> bool:
    """Tell whether `QUICK_GELU` changes the network: timm's and transformers' have their own."""
    vision, text = architecture["vision_cfg"], architecture["text_cfg"]
    own_vision = "timm_model_name" not in vision and not isinstance(vision.get("layers"), list)
    return own_vision or "hf_model_name" not in text


def _missing(said: Mapping[str, Any]) -> list[str]:
    return [key for key in KEYS if key not in said]


def _remedy(lacking: Sequence[str]) -> str:
    """Return what to write into the configuration."""
    parts = ['"quick_gelu": true or false to model_cfg'] if QUICK_GELU in lacking else []
    pictures = [key for key in lacking if key != QUICK_GELU]
    if pictures:
        parts.append(f"{', '.join(pictures)} to preprocess_cfg")
    return " and ".join(parts)
