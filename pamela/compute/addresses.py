"""Whether anybody listens at the address of a cluster.

Asked before the engine is: Ray tries a wrong address for minutes and then exits, Dask leaves
tracebacks of what it had begun.
"""

from __future__ import annotations

import socket
from typing import Final
from urllib.parse import urlsplit

from pamela.core.errors import PamelaError

TIMEOUT_S: Final = 10.0


def require_listener(address: str, schemes: tuple[str, ...], example: str) -> None:
    """Raise unless something accepts connections at `address`.

    Parameters
    ----------
    address : ``host:port`` or ``scheme://host:port``.
    schemes : those that the engine knows.
    example : of an address, for the message.
    """
    wrong = PamelaError(f"compute.address {address!r}: is no address; write one such as {example}")
    parts = urlsplit(address if "://" in address else f"{schemes[0]}://{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:  # no port number
        raise wrong from None
    if parts.scheme not in schemes or not host or not port or parts.path.strip("/"):
        raise wrong
    try:
        socket.create_connection((host, port), timeout=TIMEOUT_S).close()
    except OSError as error:
        raise PamelaError(
            f"compute.address {address!r}: nobody answers there ({error.strerror or error}); "
            "start the cluster, correct the address, or set it to null for workers on this machine"
        ) from None
