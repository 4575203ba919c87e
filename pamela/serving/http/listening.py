"""One address to listen on, taken before anything else is done."""

from __future__ import annotations

import socket

from pamela.core.errors import PamelaError


def listen(host: str, port: int, advice: str) -> socket.socket:
    """Return a socket that listens on an address.

    Parameters
    ----------
    port : 0: any free one.
    advice : what to do where it cannot be listened on.

    Raises
    ------
    PamelaError
        If it cannot be listened on.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except (OSError, UnicodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise PamelaError(f"{host}:{port}: cannot listen there ({why}); {advice}") from None
    return listener


def shown_address(listener: socket.socket) -> str:
    """Return the address of a socket as a browser takes it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
