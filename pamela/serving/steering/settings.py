"""What is asked of steering for one person, checked before anything is loaded or drawn."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from typing import Any, Final

from pamela.core.errors import PamelaError
from pamela.core.hashing import hash_ids
from pamela.params import Params
from pamela.serving.arguments.texts import read_count, read_text, shown
from pamela.steer.generators.base import Candidate
from pamela.steer.generators.factory import EMBEDDED
from pamela.steer.rewriters.factory import VOCABULARY

ROUNDS: Final = 5  # the paper's
VARIANTS: Final = 20
LONGEST: Final = 2000  # characters of a prompt
WORD: Final = 60  # bytes of user and prompt in a folder's name
NAMED: Final = 3  # subjects that a message names


@dataclass(frozen=True)
class SteerSettings:
    """What is asked for.

    Attributes
    ----------
    prompt : the original.
    params : those of the project, with what is asked for under `steer`.
    penalty : standard deviations that are taken off a predicted rating.
    """

    prompt: str
    params: Params
    penalty: float

    @property
    def embedded(self) -> bool:
        """Whether the embedded world's renderer draws."""
        return self.params.steer.generator == EMBEDDED

    @property
    def start(self) -> Candidate:
        """The original picture: the same for everybody."""
        seed = int(hash_ids([self.prompt], self.params.steer.seed)[0]) % 2**31
        return Candidate(self.prompt, self.prompt, seed)


def read_settings(
    params: Params,
    *,
    prompt: Any,
    rounds: Any,
    variants: Any,
    generator: Any,
    rewriter: Any,
    seed: Any,
    penalty: Any,
) -> SteerSettings:
    """Return what callers give as settings.

    Raises
    ------
    PamelaError
        Naming what is none, or a prompt that cannot be drawn or rewritten.
    """
    text = " ".join(read_text(prompt, "prompt").split())
    if len(text) > LONGEST:
        raise PamelaError(f"prompt: {len(text)} characters; at most {LONGEST}")
    steer: dict[str, Any] = {
        "rounds": read_count(rounds, "rounds"),
        "variants": read_count(variants, "variants"),
    }
    if generator is not None:
        steer["generator"] = read_text(generator, "generator")
    if rewriter is not None:
        steer["rewriter"] = read_text(rewriter, "rewriter")
    if seed is not None:
        steer["seed"] = _read_seed(seed)
    changed = params.model_copy(update={"steer": params.steer.model_copy(update=steer)})
    found = SteerSettings(text, changed, _read_penalty(penalty))
    _check_prompt(found)
    return found


def folder_name(user: str | None, prompt: str, digest: str) -> str:
    """Return what the folder of a run is called by default: the same for the same run."""
    words = [re.sub(r"\W+", "-", part).encode()[:WORD] for part in (user or "population", prompt)]
    said = [word.decode(errors="ignore").strip("-") for word in words]
    return "-".join([*filter(None, said), digest[:8]])


def _read_seed(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32:
        raise PamelaError(f"seed {shown(value)}; give a whole number from 0")
    return value


def _read_penalty(value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise PamelaError(f"penalty {shown(value)}; give a number from 0")
    return float(value)


def _check_prompt(settings: SteerSettings) -> None:
    """Raise where the embedded world's parts are asked for a prompt that is none of it."""
    steer = settings.params.steer
    if steer.generator == EMBEDDED:
        who = f"the generator {EMBEDDED!r}"
    elif steer.rewriter == VOCABULARY:
        who = f"the rewriter {VOCABULARY!r}"
    else:
        return
    from pamela.synthetic import vocabulary
    from pamela.synthetic.prompts import parse_prompt

    try:
        parse_prompt(settings.prompt)
    except PamelaError:
        subjects = vocabulary.SUBJECTS
        near = difflib.get_close_matches(settings.prompt.lower(), subjects, NAMED, 0.4)
        named = ", ".join(near or subjects[:: len(subjects) // NAMED][:NAMED])
        raise PamelaError(
            f"prompt {settings.prompt[:80]!r}: {who} knows the {len(subjects)} subjects of the "
            f"embedded world alone, and this names none: write one, such as {named}, or choose "
            f"another {who.split()[1]}"
        ) from None
