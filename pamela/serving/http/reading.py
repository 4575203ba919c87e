"""A request's body as a strict object: JSON, or a form with files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from fastapi import HTTPException, Request
from starlette.datastructures import FormData, UploadFile
from starlette.types import Message, Receive

from pamela.core.errors import PamelaError
from pamela.serving.http.bodies import AdaptBody, ScoreBody
from pamela.serving.requests.records import MOST_PICTURES, Checked, check, shown

MEGABYTE: Final = 2**20
FIELDS: Final = 2 * MOST_PICTURES + 16  # of a form: a rating and a prompt for each picture
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
    """Raise at a parameter in the address: no endpoint has any, and none is to be ignored."""
    if request.query_params:
        key = next(iter(request.query_params))
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
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, an endless number
        raise PamelaError(f"the body is not valid JSON: {str(error).splitlines()[0]}") from None


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
async def _form(request: Request, read: Callable[[Fields], Mapping[str, Any]]) -> Mapping[str, Any]:
    async with request.form(max_files=MOST_PICTURES, max_fields=FIELDS) as form:
        return read(await _fields(form))


async def _fields(form: FormData) -> Fields:
    fields: Fields = {}
    for key, value in form.multi_items():
        if isinstance(value, UploadFile) != (key == "image"):
            wanted = "a file, as curl -F image=@barn.png" if key == "image" else "text, not a file"
            raise PamelaError(f"{shown(key)} is to be {wanted}")
        content = await value.read() if isinstance(value, UploadFile) else value
        fields.setdefault(key, []).append(content)
    return fields


def _score_form(fields: Fields) -> dict[str, Any]:
    images = [{"image": content} for content in fields.pop("image", [])]
    if not images:
        raise PamelaError("no picture: send one or more files called image")
    return {**_single(fields), "images": images}


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
    single = _single(fields)
    if "demographics" in single:
        single["demographics"] = strict_json(single["demographics"])
    return {**single, **({"ratings": rated} if rated else {})}


def _single(fields: Fields) -> dict[str, Any]:
    for key, values in fields.items():
        if len(values) > 1:
            raise PamelaError(f"{shown(key)} is given {len(values)} times")
    return {key: values[0] for key, values in fields.items()}


def _number(text: str | bytes) -> float | str | bytes:
    """Return the number that `text` says; what says none is left for the check to name."""
    try:
        return float(text)
    except ValueError:
        return text


FORMS: Final[dict[type[Any], Callable[[Fields], Mapping[str, Any]]]] = {
    ScoreBody: _score_form,
    AdaptBody: _adapt_form,
}
