"""What the endpoints do: from a checked body to an answer, by the model that is current then."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.params import ServeParams
from pamela.serving.http.batching import Batcher, ModelThread
from pamela.serving.http.bodies import AdaptBody, ExplainBody, ScoreBody, SuggestBody
from pamela.serving.http.current_model import CurrentModel
from pamela.serving.requests.answers import ScoreRequest
from pamela.serving.types import Score

EXAMPLES = 5  # users that /model names


class Service:
    """Answers requests with the current model.

    Parameters
    ----------
    model : what answers.
    params : how requests are gathered, and how often the model is looked for.
    """

    def __init__(self, model: CurrentModel, params: ServeParams) -> None:
        self.model, self.params = model, params
        self.thread, self._explaining = ModelThread(), ModelThread()
        self._batcher: Batcher[ScoreRequest, list[Score] | PamelaError] = Batcher(
            self.thread,
            self._score,
            size=lambda request: len(request.pictures),
            most=params.max_batch,
            wait_s=params.batch_ms / 1000.0,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Gather requests and look for another model meanwhile."""
        tasks = [
            asyncio.create_task(self._batcher.run()),
            asyncio.create_task(self.model.watch(self.params.reload_s)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            self.thread.close()
            self._explaining.close()

    @property
    def busy(self) -> bool:
        """Whether something is worked on."""
        return bool(self.thread.busy or self._explaining.busy)

    def _score(self, requests: Sequence[ScoreRequest]) -> list[list[Score] | PamelaError]:
        return self.model.now.answers.score(requests)

    # --- the endpoints ----------------------------------------------------------------------------
    async def score(self, body: ScoreBody) -> dict[str, Any]:
        """Score pictures, together with those of other requests."""
        names = [f"image {i + 1}" for i in range(len(body.images))]
        found = await self._batcher.ask(ScoreRequest(body, body.images, names, body.prompt))
        if isinstance(found, PamelaError):
            raise found
        return {"scores": [vars(one) for one in found]}

    async def adapt(self, body: AdaptBody) -> dict[str, Any]:
        """Adapt to somebody new, who is remembered under the name that is answered."""

        def work() -> dict[str, Any]:
            answers = self.model.now.answers
            name, user = answers.adapt(body)
            context = answers.reward.user_context(user)
            return {
                "user": name,
                "dataset": user.dataset,
                "source": context.source,
                "ratings": len(user.ratings),
                "choices": len(user.choices),
                "model_version": answers.reward.version,
            }

        return await self.thread.run(work)

    async def suggest(self, body: SuggestBody) -> dict[str, Any]:
        """Name the pictures whose ratings would teach most."""

        def work() -> dict[str, Any]:
            answers = self.model.now.answers
            reward, dataset = answers.reward, answers.user_context(body).dataset
            given = body.candidates or []
            names = [f"candidate {i + 1}" for i in range(len(given))]
            images = answers.images(given, names, dataset)
            place = {id(image): i for i, image in enumerate(images)}
            user = answers.user(body)
            found = reward.suggest(
                user=user,
                n=body.n,
                candidates=images or None,
                dataset=None if user is not None else dataset,
            )
            rows = [
                {
                    "candidate": place.get(id(one.image)),
                    "image_id": one.image_id,
                    "file": reward.pictures.catalog.file_of(dataset, one.image_id),
                    "prompt": one.prompt,
                    "before": one.before,
                    "left": one.left,
                }
                for one in found
            ]
            return {"dataset": dataset, "suggestions": rows, "model_version": reward.version}

        return await self.thread.run(work)

    async def explain(self, body: ExplainBody) -> dict[str, Any]:
        """Say what raises and lowers somebody's scores."""

        def work() -> dict[str, Any]:
            answers = self.model.now.explaining
            user = answers.user(body)
            answers.user_context(body)  # a dataset that is another one is a fault
            if user is None:
                raise PamelaError(
                    "name a user, or give ratings: there is nothing personal to explain"
                )
            found = answers.reward.explain(user=user).to_dict()
            return {**found, "user": body.user or found["user"]}

        return await self._explaining.run(work)

    def health(self) -> dict[str, Any]:
        """Tell that the server answers."""
        return {"status": "ok", "model_version": self.model.now.reward.version}

    def facts(self) -> dict[str, Any]:
        """Tell which model answers, and what it knows."""
        now, reward = self.model.now, self.model.now.reward
        bundle = reward.bundle
        users, images = bundle.people.frame[s.DATASET], bundle.items.frame[s.DATASET]
        return {
            "uri": self.model.uri,
            "version": now.found.version,
            "model_version": reward.version,
            "evaluated_version": reward.evaluated_version,
            "loaded_at": now.loaded_at,
            "adapts": bundle.model.adapts,
            "encoder": bundle.encoder["encoder"],
            "datasets": {
                name: {
                    "scale": scale,
                    "users": int((users == name).sum()),
                    "images": int((images == name).sum()),
                }
                for name, scale in bundle.scales.items()
            },
            "users": reward.users[:EXAMPLES],
            "reload_error": self.model.error,
        }


def json_able(value: Any) -> Any:
    """Return `value` as JSON can say it: no NaN, no infinity, no lone surrogate."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {json_able(key): json_able(one) for key, one in value.items()}
    return [json_able(one) for one in value] if isinstance(value, list | tuple) else value
