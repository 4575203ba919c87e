"""A request's body as a strict object: JSON, or a form with files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from fastapi import HTTPException, Request
from starlette.datastructures import FormData, UploadFile
from starlette.types import Message, Receive

from pamela.core.errors import PamelaError
from pamela.core.schema import written_number
from pamela.serving.http.bodies import AdaptBody, ScoreBody
from pamela.serving.requests.records import MOST_PICTURES, Checked, check, shown

MEGABYTE: Final = 2**20
# Of a form: a picture with rating and prompt, and a choice between two pictures with prompts, each
# as often as there may be pictures.
FILES: Final = 3 * MOST_PICTURES
FIELDS: Final = 5 * MOST_PICTURES + 16
FILE_KEYS: Final = ("image", "a", "b")
DEMOGRAPHICS: Final = '{"gender": "female"}'
Fields = dict[str, list[str | bytes]]


async def read_body(request: Request, kind: type[Checked], most_mb: float) -> Checked:
    """Return the request's body as an object of `kind`.

    Raises
    ------
    PamelaError
        If it is not what `kind` says, in one line.
    HTTPException
        If it is too large (413) or of another content type (415).
    """
    refuse_parameters(request, ": say it in the body")
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise HTTPException(415, f"send the body as it is, not as {shown(encoding)}")
    bounded = Request(request.scope, _bounded(request.receive, most_mb))
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "multipart/form-data" and kind in FORMS:
        return check(kind, await _form(bounded, FORMS[kind]))
    if content_type != "application/json":
        forms = " or a form with files (multipart/form-data)" if kind in FORMS else ""
        got = shown(content_type) if content_type else "none"
        raise HTTPException(415, f"send JSON (Content-Type: application/json){forms}; got {got}")
    body = strict_json(await bounded.body())
    if not isinstance(body, dict):
        raise PamelaError(f"the body is not a JSON object (got {shown(body)})")
    return check(kind, body)


def refuse_parameters(request: Request, advice: str = "") -> None:
    """Raise if the address holds a parameter: none is read there."""
    for key in request.query_params:
        raise PamelaError(f"unknown parameter {shown(key)} in the address{advice}")


def _bounded(receive: Receive, most_mb: float) -> Receive:
    """Return `receive` that refuses a body beyond `most_mb` while it arrives."""
    left = int(most_mb * MEGABYTE)

    async def bounded() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(
                413, f"the request is larger than {most_mb:g} MB; send fewer pictures"
            )
        return message

    return bounded


# --- JSON -----------------------------------------------------------------------------------------
def strict_json(text: bytes | str) -> Any:
    """Parse JSON; a key given twice, NaN and Infinity are faults.

    Raises
    ------
    PamelaError
        If it is no such JSON.
    """
    try:
        return json.loads(text, object_pairs_hook=_distinct, parse_constant=_refuse)
    except RecursionError:
        raise PamelaError("the body is nested too deeply") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise PamelaError(f"the body is not valid JSON: {str(error).splitlines()[0]}") from None
    except ValueError:  # Python's own advice is for programs
        raise PamelaError("the body holds a number of thousands of digits") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise PamelaError(f"key {shown(twice)} is given twice")
    return found


def _refuse(name: str) -> NoReturn:
    raise PamelaError(f"{name} is not JSON: give a number or null")


# --- forms ----------------------------------------------------------------------------------------
async def _form(request: Request, form: Form) -> Mapping[str, Any]:
    try:
        async with request.form(max_files=FILES, max_fields=FIELDS) as given:
            return form.read(await _fields(given, form.keys))
    except HTTPException as error:
        if error.status_code != 400:
            raise
        raise PamelaError(f"the form cannot be read: {error.detail}") from None


async def _fields(form: FormData, known: Sequence[str]) -> Fields:
    fields: Fields = {}
    for key, value in form.multi_items():
        if key not in known:
            raise PamelaError(f"unknown key {shown(key)}; there are {', '.join(known)}")
        if isinstance(value, UploadFile) != (key in FILE_KEYS):
            file = f"a file, as curl -F {key}=@barn.png"
            wanted = file if key in FILE_KEYS else "text, not a file"
            raise PamelaError(f"{shown(key)} is to be {wanted}")
        content = await value.read() if isinstance(value, UploadFile) else value
        fields.setdefault(key, []).append(content)
    return fields


def _score_form(fields: Fields) -> dict[str, Any]:
    images = [{"image": content} for content in fields.pop("image", [])]
    if not images:
        raise PamelaError("no picture: send one or more files called image")
    return {**_person(fields), "images": images}


def _adapt_form(fields: Fields) -> dict[str, Any]:
    images, ratings = fields.pop("image", []), fields.pop("rating", [])
    prompts: list[Any] = fields.pop("prompt", []) or [None] * len(images)
    if not len(images) == len(ratings) == len(prompts):
        raise PamelaError(
            f"{len(images)} files called image, {len(ratings)} ratings, {len(prompts)} prompts: "
            "give a rating with each picture, and a prompt with each or none"
        )
    rated = [
        {"image": image, "rating": _number(rating), "prompt": prompt}
        for image, rating, prompt in zip(images, ratings, prompts, strict=True)
    ]
    chosen = _choices(fields)
    return {
        **_person(fields),
        **({"ratings": rated} if rated else {}),
        **({"choices": chosen} if chosen else {}),
    }


def _choices(fields: Fields) -> list[dict[str, Any]]:
    """Take the choices out of `fields`: which of the files a and b, in turn."""
    a, b, said = (fields.pop(key, []) for key in ("a", "b", "choice"))
    prompts: dict[str, list[Any]] = {
        key: [*fields.pop(key, [])] for key in ("prompt_a", "prompt_b")
    }
    if not len(a) == len(b) == len(said):
        raise PamelaError(
            f"{len(a)} files called a, {len(b)} called b, {len(said)} choices: give all three "
            "with each choice"
        )
    for key, given in prompts.items():
        if len(given) not in (0, len(said)):
            raise PamelaError(
                f"{len(given)} texts called {key}, {len(said)} choices: give one with each or none"
            )
    prompts_a, prompts_b = (given or [None] * len(said) for given in prompts.values())
    return [
        {
            "a": {"image": a[k], "prompt": prompts_a[k]},
            "b": {"image": b[k], "prompt": prompts_b[k]},
            "choice": said[k],
        }
        for k in range(len(said))
    ]


def _person(fields: Fields) -> dict[str, Any]:
    """Return the fields that are given once; demographics are an object, in JSON."""
    for key, values in fields.items():
        if len(values) > 1:
            raise PamelaError(f"{shown(key)} is given {len(values)} times")
    single: dict[str, Any] = {key: values[0] for key, values in fields.items()}
    if "demographics" in single:
        try:
            single["demographics"] = strict_json(single["demographics"])
        except PamelaError:
            raise PamelaError(
                f"demographics: is not JSON, such as {DEMOGRAPHICS} (got "
                f"{shown(single['demographics'])})"
            ) from None
    return single


def _number(text: str | bytes) -> float | str | bytes:
    """Return the number that `text` says; what says none is left for the check to name."""
    number = written_number(text) if isinstance(text, str) else None
    return text if number is None else number


@dataclass(frozen=True)
class Form:
    """What a form may hold, and what makes the same of it as JSON does."""

    read: Callable[[Fields], Mapping[str, Any]]
    keys: tuple[str, ...]


FORMS: Final[dict[type[Any], Form]] = {
    ScoreBody: Form(_score_form, ("image", "user", "dataset", "prompt", "demographics")),
    AdaptBody: Form(
        _adapt_form,
        (
            *("image", "rating", "prompt", "a", "b", "choice", "prompt_a", "prompt_b"),
            *("dataset", "demographics"),
        ),
    ),
}
