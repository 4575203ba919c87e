"""The facts that the world is held to: right figures, and failures that are seen as such."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pamela.core import schema as s
from pamela.reporting import synthetic_calibration as cal
from pamela.synthetic.published_facts import STYLE_FACTS


def rated(image_sd: float, user_sd: float, noise_sd: float, *, users: int = 150) -> pl.DataFrame:
    """Return continuous ratings of 400 pictures by 30 people each, with these spreads."""
    rng = np.random.default_rng(0)
    image = np.repeat(np.arange(400), 30)
    user = np.concatenate([rng.choice(users, 30, replace=False) for _ in range(400)])
    band = np.array(["19-25", "26-35", "36-45", "46-60"])[np.arange(users) % 4]
    shift = user_sd * (np.arange(users) % 4 - 1.5) / np.sqrt(1.25)
    value = (
        3 + image_sd * rng.normal(size=400)[image] + shift[user]
        + noise_sd * rng.normal(size=len(image))
    )  # fmt: skip
    return pl.DataFrame(
        {
            s.USER: user, s.IMAGE: image, s.RATING: value, s.PART: s.TRAIN,
            "age_binned": band[user], "gender": "female",
            "nationality": np.array(["a", "b", "c"])[rng.integers(3, size=users)[user]],
        }
    )  # fmt: skip


@pytest.mark.parametrize(("image", "noise"), [(0.6, 1.0), (0.3, 1.2)])
def test_reliability_is_the_share_of_the_pictures(image: float, noise: float) -> None:
    found = cal.single_rating_icc(rated(image, 0.0, noise))
    assert found == pytest.approx(image**2 / (image**2 + noise**2), abs=0.03)


@pytest.mark.parametrize("share", [0.0, 0.03, 0.2])
def test_demographics_explain_what_they_were_given_and_nothing_by_chance(share: float) -> None:
    found = cal.demographics_share(rated(0.5, np.sqrt(share), np.sqrt(1 - share)))
    assert found == pytest.approx(share, abs=0.004 + 0.06 * share)


def test_the_largest_deviation_is_found() -> None:
    styles = list(STYLE_FACTS)[:3]
    frame = pl.DataFrame(
        {s.STYLE: styles, s.RATING: [STYLE_FACTS[name][1] for name in styles]}
    ).with_columns(
        pl.when(pl.col(s.STYLE) == styles[1]).then(pl.col(s.RATING) - 0.25).otherwise(s.RATING)
    )
    facts = {(key,): mean for key, (_, mean) in STYLE_FACTS.items()}
    assert cal.largest_deviation(frame, [s.STYLE], facts) == pytest.approx(0.25)


def test_a_fact_holds_within_its_bounds_alone() -> None:
    assert cal.near("x", 3.16, 3.21, 0.05).holds
    assert not cal.near("x", 3.16, 3.22, 0.05).holds
    assert cal.Fact("x", "", 0.1, high=0.1).holds
    assert not cal.Fact("x", "", 0.09, low=0.1).holds
    assert not cal.Fact("x", "", float("nan"), low=0.1).holds
    only_shown = cal.Fact("x", "", 7.0)
    assert only_shown.holds
    assert not only_shown.wanted


def test_correlations_are_held_to_the_papers() -> None:
    def missed(seen: float, unseen: float, plcc: float) -> list[str]:
        facts = cal.correlation_facts(
            {"seen": seen, "unseen": unseen}, {"seen": 0.5, "unseen": plcc}, more={"also": 1.0}
        )
        assert facts[-1].name == "also"
        assert not facts[-1].wanted
        return [fact.name.removeprefix("paper model, ") for fact in facts if not fact.holds]

    assert missed(0.51, 0.45, 0.47) == []
    assert missed(0.46, 0.45, 0.47) == ["SROCC seen minus unseen"]
    assert missed(0.57, 0.49, 0.47) == ["SROCC of unseen users"]
    assert missed(0.51, 0.45, 0.41) == ["PLCC of unseen users"]
