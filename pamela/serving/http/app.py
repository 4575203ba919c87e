"""The FastAPI application: endpoints, faults as one line, and an OpenAPI page that needs no net."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI, HTTPException, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException as StarletteHTTPException

from pamela import __version__
from pamela.core.errors import PamelaError
from pamela.serving.http.bodies import (
    AdaptAnswer,
    AdaptBody,
    ExplainBody,
    Fault,
    HealthAnswer,
    ModelAnswer,
    ScoreAnswer,
    ScoreBody,
    SuggestAnswer,
    SuggestBody,
)
from pamela.serving.http.callers import OwnCallers
from pamela.serving.http.reading import DEMOGRAPHICS, read_body, refuse_parameters
from pamela.serving.http.service import Service, json_able
from pamela.serving.requests.records import Checked, shown

log = logging.getLogger(__name__)

SCHEMAS: Final = "#/components/schemas/{model}"
BODIES: Final[tuple[type[BaseModel], ...]] = (ScoreBody, AdaptBody, SuggestBody, ExplainBody)
FAULTS: Final[dict[int | str, dict[str, Any]]] = {
    413: {"model": Fault, "description": "larger than serve.max_request_mb"},
    415: {"model": Fault, "description": "neither JSON nor a form with files"},
    422: {"model": Fault, "description": "what is wrong, and what is known"},
    503: {"model": Fault, "description": "too many requests wait"},
}
FILES: Final = {"type": "array", "items": {"type": "string", "format": "binary"}}
TEXT: Final = {"type": "string"}
SAID: Final = {"type": "string", "description": f"JSON: {DEMOGRAPHICS}"}
SCORE_FORM: Final = {
    "image": FILES,
    "user": TEXT,
    "dataset": TEXT,
    "prompt": TEXT,
    "demographics": SAID,
}
ADAPT_FORM: Final = {
    "image": FILES,
    "rating": {"type": "array", "items": {"type": "number"}},
    "prompt": {"type": "array", "items": TEXT},
    "a": FILES,
    "b": FILES,
    "choice": {"type": "array", "items": {"enum": ["a", "b", "tie"]}},
    "prompt_a": {"type": "array", "items": TEXT},
    "prompt_b": {"type": "array", "items": TEXT},
    "dataset": TEXT,
    "demographics": SAID,
}


def make_app(service: Service) -> FastAPI:
    """Return the application around `service`."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPIOffline(
        title="pamela",
        description="A personal reward model over HTTP. A fault is one line, `detail`.",
        version=__version__,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(OwnCallers, host=service.params.host)
    _add_faults(app)
    _add_asking(app, service)
    _add_telling(app, service)
    _describe_bodies(app)
    return app


# --- endpoints ------------------------------------------------------------------------------------
def _add_asking(app: FastAPI, service: Service) -> None:
    def post(
        path: str,
        kind: type[Checked],
        answer: Callable[[Checked], Awaitable[dict[str, Any]]],
        model: Any,
        form: dict[str, Any] | None = None,
    ) -> None:
        async def endpoint(request: Request) -> JSONResponse:
            body = await read_body(request, kind, service.params.max_request_mb)
            return JSONResponse(json_able(await answer(body)))

        app.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            summary=(answer.__doc__ or "").splitlines()[0],
            name=path.strip("/"),
            response_model=model,
            responses=FAULTS,
            openapi_extra={"requestBody": _request_body(kind, form)},
        )

    post("/score", ScoreBody, service.score, ScoreAnswer, SCORE_FORM)
    post("/adapt", AdaptBody, service.adapt, AdaptAnswer, ADAPT_FORM)
    post("/suggest", SuggestBody, service.suggest, SuggestAnswer)
    post("/explain", ExplainBody, service.explain, None)


def _add_telling(app: FastAPI, service: Service) -> None:
    @app.get("/health", response_model=HealthAnswer, summary=service.health.__doc__)
    async def health(request: Request) -> JSONResponse:
        refuse_parameters(request)
        return JSONResponse(json_able(service.health()))

    @app.get("/model", response_model=ModelAnswer, summary=service.facts.__doc__)
    async def model(request: Request) -> JSONResponse:
        refuse_parameters(request)
        return JSONResponse(json_able(service.facts()))

    @app.get("/", include_in_schema=False)
    async def start() -> RedirectResponse:
        return RedirectResponse("/docs")


# --- faults ---------------------------------------------------------------------------------------
def _add_faults(app: FastAPI) -> None:
    @app.exception_handler(PamelaError)
    async def wrong(_: Request, error: PamelaError) -> JSONResponse:
        return _fault(422, str(error))

    @app.exception_handler(StarletteHTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        detail = str(error.detail)
        if error.status_code in (404, 405):  # of the framework, which says no more than that
            detail = f"no {request.method} {shown(request.url.path)}; there are {_asked(app)}"
        return _fault(error.status_code, detail, error.headers)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        log.error("%s: %s", request.url.path, error)  # uvicorn logs where
        return _fault(500, "an internal error; the server's log says more")


def _asked(app: FastAPI) -> str:
    """Return what can be asked, as ``POST /score, ...``."""
    routes = (r for r in app.routes if isinstance(r, APIRoute) and r.include_in_schema)
    return ", ".join(f"{method} {r.path}" for r in routes for method in sorted(r.methods or ()))


def _fault(status: int, detail: str, headers: Any = None) -> JSONResponse:
    line = " ".join(json_able(detail).splitlines())
    return JSONResponse({"detail": line}, status, headers)


# --- the OpenAPI page -----------------------------------------------------------------------------
def _request_body(kind: type[BaseModel], form: dict[str, Any] | None) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": SCHEMAS.format(model=kind.__name__)}}}
    if form is not None:
        schema: dict[str, Any] = {"type": "object", "properties": form}
        content["multipart/form-data"] = {"schema": schema | {"additionalProperties": False}}
    return {"required": True, "content": content}


def _describe_bodies(app: FastAPI) -> None:
    """Add the bodies to the page: endpoints read them themselves, so FastAPI does not know them."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            page = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            _, schemas = models_json_schema(
                [(kind, "validation") for kind in BODIES], ref_template=SCHEMAS
            )
            page["components"]["schemas"] |= schemas["$defs"]
            app.openapi_schema = page
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]
