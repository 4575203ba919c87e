"""The server of a study: one page, one route for pictures, on loopback unless told otherwise."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import warnings
from typing import Final

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from nicegui import ui
from starlette.datastructures import MutableHeaders
from starlette.middleware.sessions import SessionMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamela.core.errors import PromptWarning
from pamela.serving.http.callers import OwnCallers
from pamela.serving.http.listening import shown_address
from pamela.study.settings import CONSENT
from pamela.study.study import Study
from pamela.study.web.pages import make_page

SESSION_S: Final = 180 * 24 * 3600
STOP_S: Final = 5
# NiceGUI's page has scripts and styles of its own in it, and compiles templates
POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "connect-src 'self' ws: wss:; frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class SafeHeaders:
    """Tells browsers to load nothing from elsewhere, and to tell nobody where they were."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, with the headers."""

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, told if scope["type"] == "http" else send)


def make_app(study: Study, host: str) -> FastAPI:
    """Return the application; a process has one, as NiceGUI keeps its pages by process."""
    app = FastAPI(openapi_url=None)
    app.add_middleware(
        SessionMiddleware,
        secret_key=study.secret.hex(),
        session_cookie=f"pamela_study_{study.settings.name}",  # cookies know no ports
        max_age=SESSION_S,
        same_site="lax",
    )
    app.add_middleware(SafeHeaders)
    app.add_middleware(OwnCallers, host=host)

    @app.get("/picture/{token}")
    def picture(token: str, request: Request) -> Response:
        found = study.picture(str(request.session.get("id", "")), token)
        if found is None:
            raise HTTPException(404, "no such picture")
        content, kind = found
        return Response(content, media_type=kind, headers={"cache-control": "no-store"})

    ui.page("/")(make_page(study, (study.folder / CONSENT).read_text(encoding="utf-8")))
    ui.run_with(
        app,
        title="Study",
        favicon="🖼️",
        language="en-US",
        show_welcome_message=False,
    )
    return app


def serve(study: Study, listener: socket.socket, host: str) -> None:
    """Serve a study until SIGTERM or SIGINT.

    Parameters
    ----------
    host : the address that `listener` was asked to listen on.
    """
    warnings.simplefilter("ignore", PromptWarning)  # of every round's variants
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    config = uvicorn.Config(
        make_app(study, host),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_S,
    )
    server = uvicorn.Server(config)
    for number in (signal.SIGTERM, signal.SIGINT):  # to stop as asked is no failure
        signal.signal(number, lambda *_: None if server.started else sys.exit(0))
    people = len(study.people)
    print(
        f"study {study.settings.name} ({people} {'person' if people == 1 else 'people'} so far) "
        f"at {shown_address(listener)}; Ctrl+C stops",
        flush=True,
    )
    server.run(sockets=[listener])
