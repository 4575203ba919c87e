"""What a client is told who names somebody or something unknown: what comes near, or examples."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pamela.core import schema as s
from pamela.serving.api import Reward
from pamela.serving.requests.records import shown

MOST_COMPARED = 20_000  # names that are compared with an unknown one: each costs microseconds
LONGEST_COMPARED = 200
MOST_NAMED = 3


def unknown_user(reward: Reward, user: str, adapted: str) -> str:
    """Return what to say of a user whom nobody knows."""
    if user.startswith(f"{adapted}/"):
        return f"user {shown(user)} is not remembered here (any longer): adapt again"
    keys = reward.users
    names = keys if "/" in user else [key.split("/", 1)[1] for key in keys]
    return f"unknown user {shown(user)}: {_near(user, names, 'users')}; null is people in general"


def unknown_image(reward: Reward, dataset: str, image_id: str) -> str:
    """Return what to say of a picture id that `dataset` does not have."""
    frame = reward.bundle.items.frame
    names = frame.filter(frame[s.DATASET] == dataset)[s.IMAGE].to_list()
    return f"no picture {shown(image_id)} in dataset {dataset}: {_near(image_id, names, 'ids')}"


def _near(wanted: str, names: Iterable[str], what: str) -> str:
    known = list(dict.fromkeys(names))
    if len(known) <= MOST_COMPARED and len(wanted) <= LONGEST_COMPARED:
        folded = {name.casefold(): name for name in known}
        close = difflib.get_close_matches(wanted.casefold(), folded, MOST_NAMED)
        if close:
            return f"did you mean {', '.join(folded[one] for one in close)}?"
    some = ", ".join(known[:MOST_NAMED]) or "none"
    return f"{len(known)} {what} are known, such as {some}"
