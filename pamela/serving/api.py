"""The public API: load a reward model, score pictures for one person, adapt to a new one.

::

    reward = pamela.load("models:/pamela@champion")          # or a bundle folder
    reward.score(user="synthetic/p017", prompt="a red barn", images=["barn.png"])
    me = reward.adapt(ratings=[("a.png", 5), ("b.png", "its prompt", 2)], dataset="synthetic")
    reward.score(user=me, prompt="a red barn", images=["barn.png"])
    reward.suggest(user=me, n=10)                            # what to rate next
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.serving.adaptation import Adapter
from pamela.serving.image_lookup import PictureLookup
from pamela.serving.saved_users import PEOPLE, SavedPeople
from pamela.serving.types import CatalogImage, ImageLike, Score, Source, Suggestion
from pamela.serving.user_context import User, UserContext, UserContexts
from pamela.training.bundle import Bundle, load_bundle

if TYPE_CHECKING:
    from pamela.explain.explainer import Explainer
    from pamela.serving.explanation import Explanation

__all__ = ["Reward", "Score", "Source", "Suggestion", "User", "load"]


def load(uri: str | Path = "models:/pamela@champion") -> Reward:
    """Load a reward model.

    Parameters
    ----------
    uri : ``models:/pamela@champion``, ``models:/pamela/3``, or a bundle folder.

    Raises
    ------
    PamelaError
        If there is no such model; the message says what exists.
    """
    if str(uri).startswith("models:/"):
        from pamela.registry.versions import resolve

        project = Project.here()
        return Reward(load_bundle(resolve(str(uri), project)), project=project)
    folder = Path(uri)
    if not folder.is_dir():
        raise PamelaError(f"{folder}: no such folder; give a bundle folder or models:/NAME@ALIAS")
    return Reward(load_bundle(folder), project=project_here())


def project_here() -> Project | None:
    """Return the project around the working directory, if there is one."""
    try:
        return Project.here()
    except PamelaError:
        return None


class Reward:
    """A loaded reward model; cheap to keep, `score` may be called any number of times.

    Parameters
    ----------
    device : auto, cpu or gpu, for encoding.
    batch_size, workers : pictures encoded at once, and threads that decode them.
    project : where saved people are found; None for nowhere.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str = "auto",
        batch_size: int = 64,
        workers: int = 2,
        project: Project | None = None,
    ) -> None:
        self.bundle = bundle
        self.user_contexts = UserContexts(bundle)
        self.pictures = PictureLookup(
            bundle,
            device=device,
            batch_size=batch_size,
            workers=workers,
            cache=project.people_cache if project else None,
        )
        self.adapter = Adapter(bundle, self.user_contexts.users, self.pictures)
        self.people = SavedPeople(project.people, project.root) if project else None
        self._recalled: dict[str, tuple[tuple[int, int], User]] = {}
        self._root = project.root if project else None

    @cached_property
    def explainer(self) -> Explainer:
        """What explains this model; a score needs none of it."""
        from pamela.explain.explainer import Explainer

        return Explainer(self.bundle, self.pictures.encoder)

    @property
    def version(self) -> str:
        """Short name of the model: its kind and the start of its hash."""
        return self.bundle.version

    @property
    def evaluated_version(self) -> str:
        """The same of the fit of fold 0, whose figures are published; it never serves."""
        return self.bundle.evaluated_version

    @property
    def users(self) -> list[str]:
        """Every user known, as ``dataset/user``, and every saved person, as ``people/NAME``."""
        saved = [f"{PEOPLE}/{name}" for name in self.people.names] if self.people else []
        return [*self.user_contexts.users.row, *saved]

    def score(
        self,
        *,
        user: str | User | None,
        images: Sequence[ImageLike],
        prompt: str | Sequence[str | None] | None = None,
        dataset: str | None = None,
    ) -> list[Score]:
        """Score `images` for `user`, in the order given; any batch size gives the same numbers.

        Parameters
        ----------
        user : ``dataset/user`` (bare where unique), a saved person's name, a `User`, or None for
            the population.
        images : paths, contents (bytes) of files, PIL images or uint8 arrays (h, w, 3).
        prompt : one for all, or one per image. A known picture brings its own if none is given.
        dataset : whose scale to answer on, for ``user=None`` with several datasets.

        Raises
        ------
        PamelaError
            For an unknown user or an image that is missing or does not decode; it names which.
        """
        if isinstance(images, str | Path | bytes):
            raise PamelaError("images: give a list of images, not a single path")
        user_context = self.user_context(user, dataset)
        items = self.pictures.items(list(images), prompt)
        prediction = self.user_contexts.predict(user_context, items)
        cut = self.pictures.cut(items.frame[s.PROMPT].to_list())
        scale = self.bundle.scales[user_context.dataset]
        percentile = self.user_contexts.percentile(user_context, prediction.mean)
        return [
            Score(
                rating=s.from_internal(float(mean), *scale),
                std=float(std) * s.internal_unit(*scale),
                percentile=float(rank),
                source=user_context.source,
                model_version=self.version,
                prompt_cut=short,
            )
            for mean, std, rank, short in zip(
                prediction.mean, prediction.std, percentile, cut, strict=True
            )
        ]

    def adapt(
        self,
        *,
        ratings: Sequence[tuple[ImageLike, float] | tuple[ImageLike, str, float]],
        demographics: Mapping[str, str] | None = None,
        dataset: str | None = None,
    ) -> User:
        """Make a `User` of a few ratings, without retraining.

        Parameters
        ----------
        ratings : ``(image, rating)`` or ``(image, prompt, rating)``, on the dataset's own scale.
        demographics : e.g. ``{"gender": "female"}``; the names are those of the users table.
        dataset : whose scale the ratings are on; may be left out where the model knows only one.

        Raises
        ------
        PamelaError
            If the model cannot learn from ratings (`RewardModel.adapts`), a rating is off the
            scale, a picture is missing, or a demographic is unknown.
        """
        user = self.adapter.user(
            self.adapter.dataset(dataset),
            demographics or {},
            [r[0] for r in ratings],
            [r[1] if len(r) == 3 else None for r in ratings],
            [float(r[-1]) for r in ratings],
        )
        self.user_contexts.adapted(user)  # what the ratings teach is worked out here, once
        return user

    def suggest(
        self,
        *,
        user: str | User | None,
        n: int = 10,
        candidates: Sequence[ImageLike] | None = None,
        dataset: str | None = None,
    ) -> list[Suggestion]:
        """Name the pictures whose ratings would teach most about the order in which `user` likes.

        Parameters
        ----------
        user : as for `score`; a `User` without ratings or None is somebody quite new.
        n : how many; fewer if there are not so many candidates.
        candidates : what to choose from, and whose order is to be learned. By default the training
            pictures of the user's dataset that they have not rated.
        dataset : whose pictures, for ``user=None`` with several datasets.

        Raises
        ------
        PamelaError
            If the model's taste is not linear, so that it cannot tell.
        """
        from pamela.serving.active_learning import suggest_rows

        user_context = self.user_context(user, dataset)
        given = None if candidates is None else self.pictures.items(list(candidates), None)
        items, design = suggest_rows(self.user_contexts, user_context, n, given)
        unit = s.internal_unit(*self.bundle.scales[user_context.dataset])
        frame = items.frame
        files = frame[s.FILE] if s.FILE in frame.columns else [None] * frame.height
        chosen = zip(design.picks.tolist(), design.left.tolist(), strict=True)
        names, keys, prompts = frame[s.DATASET], frame[s.IMAGE], frame[s.PROMPT]
        return [
            Suggestion(
                image=candidates[row] if candidates else CatalogImage(names[row], keys[row]),
                image_id=keys[row],
                file=self._root / files[row] if files[row] and self._root else None,
                prompt=prompts[row],
                before=design.before * unit,
                left=left * unit,
            )
            for row, left in chosen
        ]

    def explain(self, *, user: str | User) -> Explanation:
        """Say which attributes, metadata, words and prompts raise and lower `user`'s scores.

        Against the population, on the training pictures of the user's dataset;
        ``docs/explanations.md`` says what the tables mean, ``.plot(path)`` draws them.

        Raises
        ------
        PamelaError
            For an unknown user, a model that scores everybody alike, or a user of whom it knows
            nothing.
        """
        from pamela.explain.explainer import Person
        from pamela.explain.personal_part import Context
        from pamela.serving.explanation import Explanation

        user_context = self.user_context(user)
        found = self.explainer.explain(
            Person(
                user if isinstance(user, str) else "this user",
                user_context.source,
                user_context.person,
                Context(user_context.context, np.array(user_context.ratings))
                if user_context.ratings
                else None,
            )
        )
        return Explanation(**vars(found))

    def person(self, name: str) -> User:
        """Return the saved person called `name` (``pamela adapt``) as a `User` of this model."""
        if self.people is None or not self.people.has(name):
            there = ", ".join(self.people.names) if self.people else ""
            raise PamelaError(f"no saved person {name!r}; there are: {there or '(none)'}")
        state = self.people.state(name)
        if self._recalled.get(name, (None,))[0] != state:
            self._recalled[name] = (state, self.people.recall(name, self.adapter))
        return self._recalled[name][1]

    def user_context(self, user: str | User | None, dataset: str | None = None) -> UserContext:
        """Return who looks; what is known of them is worked out once."""
        if user is None:
            return self.user_contexts.nobody(self.adapter.dataset(dataset))
        if isinstance(user, User):
            return self.user_contexts.adapted(user)
        if self._is_saved(user):
            return self.user_contexts.adapted(self.person(user.removeprefix(f"{PEOPLE}/")))
        others = self.people.names if self.people else []
        return self.user_contexts.seen(self.user_contexts.users.find(user, others))

    def _is_saved(self, user: str) -> bool:
        known = self.user_contexts.users.matches(user)
        name = user.removeprefix(f"{PEOPLE}/")
        if self.people is None or user in known or not self.people.has(name):
            return False
        if known and name == user:
            raise PamelaError(
                f"user {user!r} is a saved person and a user: say {PEOPLE}/{user} or "
                f"{' or '.join(known)}"
            )
        return True
