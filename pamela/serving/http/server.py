"""Running the server: one address, a stop that answers what was asked, one line on faults."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import warnings
from typing import Final, NoReturn

import uvicorn

from pamela.core.errors import PamelaError, PromptWarning
from pamela.core.paths import Project
from pamela.params import ServeParams, load_params
from pamela.serving.http.app import make_app
from pamela.serving.http.current_model import CurrentModel
from pamela.serving.http.listening import listen, shown_address
from pamela.serving.http.service import Service
from pamela.serving.requests.pictures import PictureDoor

SWITCH_S: Final = 0.0005
ADVICE: Final = (
    "give another --port (0: any free one), or host and port in params.yaml, section serve"
)
KEEP_ALIVE_S: Final = 75  # of idle connections: longer than clients keep theirs
# Outside of a project (a bundle folder is served): what params.yaml says there.
ELSEWHERE: Final = ServeParams(
    host="127.0.0.1",
    port=8000,
    image_folder=None,
    max_batch=64,
    batch_ms=2.0,
    max_request_mb=32,
    reload_s=2.0,
    stop_s=30,
)


def params_of(project: Project | None, host: str | None, port: int | None) -> ServeParams:
    """Return the section ``serve``, with what the command says in its place."""
    params = load_params(project.params_file).serve if project else ELSEWHERE
    said = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    return params.model_copy(update=said)


def door_of(project: Project | None, params: ServeParams) -> PictureDoor:
    """Return what lets pictures in.

    Raises
    ------
    PamelaError
        If the folder is not there.
    """
    if params.image_folder is None or project is None:
        return PictureDoor(None)
    folder = project.root / params.image_folder
    if not folder.is_dir():
        raise PamelaError(f"params.yaml: serve.image_folder: {folder}: no such folder")
    return PictureDoor(folder)


def serve(
    uri: str, project: Project | None, host: str | None = None, port: int | None = None
) -> None:
    """Serve what `uri` names until SIGTERM or SIGINT, then answer what was asked and return.

    Raises
    ------
    PamelaError
        If there is no such model, or the address cannot be listened on.
    """
    params = params_of(project, host, port)
    listener = listen(params.host, params.port, ADVICE)
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    warnings.simplefilter("ignore", PromptWarning)  # `prompt_cut` tells the client
    model = CurrentModel(uri, project, door_of(project, params), params.max_batch)
    service = Service(model, params)
    config = uvicorn.Config(
        make_app(service),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=params.stop_s,
    )
    _announce(model, listener)
    # by default the model's thread keeps the interpreter for 5 ms at a time: so long would the
    # event loop wait after every packet that it sends
    sys.setswitchinterval(SWITCH_S)
    server = uvicorn.Server(config)
    # uvicorn raises the signal again once it has stopped: to stop as asked is no failure
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None if server.started else sys.exit(0))
    server.run(sockets=[listener])
    if service.busy:  # beyond stop_s: a thread cannot be stopped, and is not waited for
        _leave()


def _announce(model: CurrentModel, listener: socket.socket) -> None:
    version = f", version {model.now.found.version}" if model.now.found.version else ""
    print(
        f"serving {model.uri} ({model.now.reward.version}{version}) at {shown_address(listener)}, "
        "the API's page at /docs; Ctrl+C stops",
        flush=True,
    )


def _leave() -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
