"""Whose requests are answered: none that a page of another site makes a browser send.

A page that somebody opens on this machine reaches what listens on loopback. It may ask under its
own name, which it has pointed here (DNS rebinding): so on loopback the ``Host`` must be one of this
machine's names. It may send a form elsewhere, which browsers allow: so what is asked by ``POST``
must not come from another site, as browsers say in ``Sec-Fetch-Site`` or ``Origin``.
"""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOCAL_NAME: Final = "localhost"
OWN: Final = ("same-origin", "none")  # of ``Sec-Fetch-Site``; none: the person's own doing


class OwnCallers:
    """Answers 403 to what another site's page sends.

    Parameters
    ----------
    host : the address that is listened on.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app, self._loopback = app, is_loopback(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        fault = self._fault(scope) if scope["type"] == "http" else None
        if fault is None:
            await self._app(scope, receive, send)
        else:
            await JSONResponse({"detail": fault}, 403)(scope, receive, send)

    def _fault(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._loopback and host and not is_loopback(_name(host)):  # browsers always say it
            return (
                "asked under another name than this machine's; ask 127.0.0.1 or localhost (a proxy "
                "sets the header Host to it)"
            )
        if scope["method"] in ("GET", "HEAD"):
            return None
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        own = site in OWN if site else origin is None or _netloc(origin) == host
        return None if own else "asked by a page of another site; only pages of this one may"


def is_loopback(host: str) -> bool:
    """Tell whether a name or an address means this machine alone."""
    if host.lower() == LOCAL_NAME:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _netloc(origin: str) -> str:
    """Return the host and port of an ``Origin``; empty where it has none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _name(host: str) -> str:
    """Return a ``Host`` without its port; empty where it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
