"""Several machines that train one network together, each started by the same command.

Named by environment variables, as Lightning and the launchers of clusters do. Every node works
through the same stage on its own copy of the project, and all come to the same models: what they
share are the gradients of a network's final fit.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from pamela.core.errors import PamelaError

NODES, RANK, ADDRESS, PORT = "NNODES", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"


@dataclass(frozen=True)
class Nodes:
    """This machine's place among those that train together.

    Attributes
    ----------
    count, rank : how many there are, and which of them this is, from 0.
    address, port : where node 0 is reached.
    """

    count: int
    rank: int
    address: str
    port: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self | None:
        """Return the place that the environment names; None where there is one machine.

        Raises
        ------
        PamelaError
            If ``NNODES`` is more than one and what else is needed is not there or no number.
        """
        count = _number(environment, NODES) if NODES in environment else 1
        if count < 2:
            return None
        absent = [name for name in (RANK, ADDRESS, PORT) if not environment.get(name)]
        if absent:
            raise PamelaError(
                f"{NODES} is {count} but {absent[0]} is not set; set {RANK}, {ADDRESS} and {PORT} "
                f"on every node, or unset {NODES}"
            )
        rank, port = _number(environment, RANK), _number(environment, PORT)
        if rank >= count:
            raise PamelaError(f"{RANK} is {rank} but {NODES} is {count}; count from 0")
        return cls(count, rank, environment[ADDRESS], port)

    def after(self, fits: int) -> Self:
        """Return the same for the fit after `fits` others: at a port that none of them used."""
        return replace(self, port=self.port + fits)


def _number(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except ValueError:
        raise PamelaError(f"{name} is {environment[name]!r}; it must be a whole number") from None
