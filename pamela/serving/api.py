"""The public API: load a reward model, score pictures for one person, adapt to a new one.

::

    reward = pamela.load("models:/pamela@champion")          # or a bundle folder
    reward.score(user="synthetic/p017", prompt="a red barn", images=["barn.png"])
    me = reward.adapt(ratings=[("a.png", 5), ("b.png", "its prompt", 2)], dataset="synthetic")
    me = reward.adapt(choices=[("a.png", "b.png", "a"), ("b.png", "c.png", "tie")])
    reward.score(user=me, prompt="a red barn", images=["barn.png"])
    reward.suggest(user=me, n=10)                            # what to rate next
    reward.rank(user=me, n=10)                               # what they like best
    reward.steer(user=me, prompt="a red barn")               # a prompt that they like better
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.models.base import Prediction, std_on_scale
from pamela.serving.adaptation import Adapter
from pamela.serving.arguments.choices import read_choices
from pamela.serving.arguments.pictures import read_images, read_prompts
from pamela.serving.arguments.ratings import read_ratings
from pamela.serving.arguments.texts import (
    read_count,
    read_dataset,
    read_demographics,
    read_text,
    read_user,
)
from pamela.serving.forking import mark_used, refuse_forked
from pamela.serving.image_lookup import PictureLookup
from pamela.serving.loading import open_bundle
from pamela.serving.saved.people import PEOPLE, SavedPeople
from pamela.serving.types import (
    ImageLike,
    Ranked,
    Score,
    Source,
    Suggestion,
    are_files,
    scores_on_scale,
)
from pamela.serving.user_context import User, UserContext, UserContexts
from pamela.serving.user_resolver import UserResolver
from pamela.training.bundle import Bundle

if TYPE_CHECKING:
    from pamela.compute.runner import Runner
    from pamela.explain.explainer import Explainer
    from pamela.serving.bulk.job import ScoredTable
    from pamela.serving.bulk.part import ScorePart, TableScorer
    from pamela.serving.explanation import Explanation
    from pamela.serving.steering.progress import Progress
    from pamela.serving.steering.result import Steered

__all__ = ["Ranked", "Reward", "Score", "Source", "Suggestion", "User", "load"]


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
    refuse_forked()
    bundle, project = open_bundle(uri)
    return Reward(bundle, project=project)


def score_part(part: ScorePart) -> int:
    """Score and write a part of a table, on a worker; return how many rows could not be scored."""
    return _scorer_of(part.job, part.model, part.version, part.project).score_part(part)


@lru_cache(maxsize=1)
def _scorer_of(job: str, model: str, version: str, project: str) -> TableScorer:
    """Return the scorer of a bundle folder: loaded once in a process for a job.

    Workers of a cluster outlive a job, and run in folders of their own.
    """
    from pamela.serving.bulk.part import TableScorer
    from pamela.training.bundle import load_bundle

    bundle = load_bundle(Path(model))
    if bundle.version != version:
        raise PamelaError(f"{model}: holds {bundle.version}, not {version}; run the command again")
    return TableScorer(Reward(bundle, project=Project(Path(project)) if project else None))


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
        mark_used()
        self.bundle = bundle
        recent = project.score_cache if project else None
        self.user_contexts = UserContexts(bundle, recent)
        self.pictures = PictureLookup(
            bundle,
            device=device,
            batch_size=batch_size,
            workers=workers,
            cache=project.people_cache if project else None,
            recent=recent,
        )
        self.adapter = Adapter(bundle, self.user_contexts.users, self.pictures)
        self.people = SavedPeople(project.people, project.root) if project else None
        self.resolver = UserResolver(self.user_contexts, self.adapter, self.people)
        self._root = project.root if project else None

    def __reduce__(self) -> tuple[Any, ...]:
        """Load the model again in the process that a copy is for, with the usual settings."""
        if self.bundle.folder is None:
            raise PamelaError("this model was loaded from no folder: call pamela.load instead")
        return load, (self.bundle.folder.resolve(),)

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
        images: ImageLike | Iterable[ImageLike],
        prompt: str | Iterable[str | None] | None = None,
        dataset: str | None = None,
    ) -> list[Score]:
        """Score `images` for `user`, in the order given; any batch size gives the same numbers.

        Parameters
        ----------
        user : ``dataset/user`` (bare where unique), a saved person's name, a `User`, or None for
            the population.
        images : paths, contents (bytes) of files, open binary files, PIL images or uint8 arrays
            (h, w, 3). One picture alone is a list of one.
        prompt : one for all, or one per image. A known picture brings its own if none is given.
        dataset : whose scale to answer on, for ``user=None`` with several datasets; a bare user is
            looked for in it alone.

        Raises
        ------
        PamelaError
            For an unknown user or an image that is missing or does not decode; it names which.
        """
        user_context = self.user_context(user, dataset)
        given = read_images(images)
        prompts = read_prompts(prompt, len(given))
        items = self.pictures.items(given, prompts, recent=True)
        prediction = self.user_contexts.predict(user_context, items, recent=are_files(given))
        return self.scores(user_context, prediction, items.frame[s.PROMPT].to_list())

    def scores(
        self, user_context: UserContext, prediction: Prediction, prompts: Sequence[str | None]
    ) -> list[Score]:
        """Return predictions (`UserContexts.predict`) as scores on the dataset's scale."""
        cut = self.pictures.cut(prompts)
        scale = self.bundle.scales[user_context.dataset]
        percentile = self.user_contexts.percentile(user_context, prediction.mean)
        return scores_on_scale(
            (prediction.mean, std_on_scale(prediction.mean, prediction.std), percentile, cut),
            scale,
            source=user_context.source,
            model_version=self.version,
            standardised=user_context.dataset in self.bundle.standardised,
        )

    def score_table(
        self,
        source: str | PathLike[str],
        out: str | PathLike[str],
        *,
        percentile: bool = False,
        overwrite: bool = False,
        workers: int | None = None,
        runner: Runner | None = None,
    ) -> ScoredTable:
        """Score every row of a Parquet table of any size, part by part, as `score` does each.

        Called again after it was stopped, it goes on; the result appears whole, in the end.

        Parameters
        ----------
        source : a file, a folder of files, or ``s3://bucket/key``, with the columns ``user_id``
            and ``image_id`` (of known pictures), and ``dataset`` if you like.
        out : the same rows and columns with ``rating``, ``std`` and ``source``; rows that cannot
            be scored are in ``OUT.rejected.parquet`` with ``row`` and ``reason`` instead.
        percentile : whether to add it.
        overwrite : whether `out` may be replaced.
        workers : threads; by default one a core, four at most.
        runner : of a cluster that scores (`pamela.compute.opening.open_runner`): workers see the
            model, the table and the place for the result under the same paths; None: threads.

        Raises
        ------
        PamelaError
            If `source` is no such table, `out` exists or cannot be written.
        """
        from pamela.serving.bulk.job import score_table

        refuse_forked()
        return score_table(
            self,
            source,
            out,
            percentile=percentile,
            overwrite=overwrite,
            workers=workers,
            run=partial(runner.map, score_part) if runner and runner.elsewhere else None,
        )

    def adapt(
        self,
        *,
        ratings: Iterable[tuple[ImageLike, float] | tuple[ImageLike, str | None, float]] | Any = (),
        choices: Iterable[tuple[ImageLike, ImageLike, str]] | Any = None,
        demographics: Mapping[str, str] | None = None,
        dataset: str | None = None,
    ) -> User:
        """Make a `User` of a few ratings, choices or both, without retraining.

        Parameters
        ----------
        ratings : ``(image, rating)`` or ``(image, prompt, rating)``, on the dataset's own scale; or
            a DataFrame with the columns image (a path) or image_id, rating and perhaps prompt.
        choices : ``(image_a, image_b, choice)`` or ``(image_a, image_b, prompt, choice)``, the
            choice ``"a"``, ``"b"`` or ``"tie"``; or a DataFrame with the columns image_a and
            image_b (ids) or file_a and file_b (paths), choice and perhaps prompt.
        demographics : e.g. ``{"gender": "female"}``; the names are those of the users table.
        dataset : whose scale the ratings are on; may be left out where the model knows only one.

        Raises
        ------
        PamelaError
            If the model cannot learn from ratings (`RewardModel.adapts`), a rating is off the
            scale, a picture is missing, rated twice or stands against itself, or a demographic is
            unknown.
        """
        refuse_forked()
        dataset = self.adapter.dataset(read_dataset(dataset))
        facts, rated = read_demographics(demographics), read_ratings(ratings, dataset)
        user = self.adapter.user(
            dataset,
            facts,
            rated.images,
            rated.prompts,
            rated.ratings,
            rated.names,
            chosen=read_choices(choices, dataset),
        )
        self.user_contexts.adapted(user)  # what these teach is worked out here, once
        return user

    def suggest(
        self,
        *,
        user: str | User | None,
        n: int = 10,
        candidates: ImageLike | Iterable[ImageLike] | None = None,
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
            If the model's taste is not linear, so that it cannot tell, or a candidate is given
            twice.
        """
        from pamela.serving.gallery.active_learning import read_candidates, suggest_pictures

        count = read_count(n, "n")
        user_context = self.user_context(user, dataset)
        given = None if candidates is None else read_images(candidates, "candidates")
        own = None if given is None else read_candidates(self.pictures, given)
        return suggest_pictures(self.user_contexts, user_context, count, own, given, self._root)

    def rank(
        self,
        *,
        user: str | User | None,
        images: ImageLike | Iterable[ImageLike] | None = None,
        prompt: str | Iterable[str | None] | None = None,
        n: int | None = None,
        dataset: str | None = None,
    ) -> list[Ranked]:
        """Name the pictures that `user` likes best, best first.

        Parameters
        ----------
        user, prompt, dataset : as for `score`.
        images : what to rank. By default every known picture of the user's dataset, those they
            have not rated first, ties by id.
        n : how many; all by default.
        """
        from pamela.serving.gallery.ranking import rank_catalog, rank_given

        count = None if n is None else read_count(n, "n")
        user_context = self.user_context(user, dataset)
        if images is None:
            if prompt is not None:
                raise PamelaError(
                    "prompt: a known picture has its own; leave it out, or give images"
                )
            return rank_catalog(self.user_contexts, user_context, count, self.scores, self._root)
        given = read_images(images)
        items = self.pictures.items(given, read_prompts(prompt, len(given)), recent=True)
        return rank_given(
            self.user_contexts, user_context, items, given, count, self.scores, self._root
        )

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
        from pamela.serving.explanation import explain_taste

        if user is None:
            raise PamelaError("explain: name a user; the population has no personal part")
        name = user if isinstance(user, str) else "this user"
        return explain_taste(self.explainer, name, self.user_context(user))

    def steer(
        self,
        *,
        user: str | User | None,
        prompt: str,
        rounds: int = 5,
        variants: int = 20,
        generator: str | None = None,
        rewriter: str | None = None,
        penalty: float = 0.0,
        seed: int | None = None,
        dataset: str | None = None,
        folder: str | PathLike[str] | None = None,
        track: bool = True,
        listener: Callable[[Progress], None] | None = None,
    ) -> Steered:
        """Rewrite a prompt until this model expects `user` to like its picture.

        What was drawn is kept: the same call goes on where an earlier one was stopped.

        Parameters
        ----------
        user, dataset : as for `score`; None is people in general.
        rounds, variants : how often the prompt is rewritten, and how many variants each time.
        generator, rewriter : by default those of `steer` in ``params.yaml``.
        penalty : standard deviations that are taken off a predicted rating, so that pictures of
            which little is known are not preferred.
        seed : by default that of `steer` in ``params.yaml``.
        folder : of the run; by default one below ``steering/`` of the project.
        track : whether MLflow is to show it.
        listener : called with a `Progress` after every part and round.

        Raises
        ------
        PamelaError
            Outside a project, for a model that knows no single user, for a prompt that cannot be
            drawn, for a folder with other settings; it says which.
        """
        from pamela.serving.steering.entry import steer

        return steer(
            self,
            self._root,
            user=user,
            dataset=dataset,
            folder=folder,
            track=track,
            listener=listener,
            prompt=prompt,
            rounds=rounds,
            variants=variants,
            generator=generator,
            rewriter=rewriter,
            penalty=penalty,
            seed=seed,
        )

    def person(self, name: str) -> User:
        """Return the saved person called `name` (``pamela adapt``) as a `User` of this model."""
        refuse_forked()
        return self.resolver.person(read_text(name, "name").removeprefix(f"{PEOPLE}/"))

    def user_context(self, user: str | User | None, dataset: str | None = None) -> UserContext:
        """Return who looks; what is known of them is worked out once."""
        refuse_forked()
        return self.resolver.context(read_user(user), read_dataset(dataset))
