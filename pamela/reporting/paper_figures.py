"""What the paper reports, to stand beside our numbers (Maerten et al., arXiv 2604.07427).

Held-out users, mean over users. The authors' code and weights are not public, so these figures are
quoted, not reproduced.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class PublishedReward(NamedTuple):
    """One row of the paper's table for held-out users."""

    name: str
    srocc: float
    plcc: float
    pairwise_accuracy: float


HELD_OUT_USERS: Final = (
    PublishedReward("PAMELA", 0.451, 0.472, 0.663),
    PublishedReward("HPSv3", 0.402, 0.444, 0.643),
    PublishedReward("ImageReward", 0.284, 0.286, 0.598),
    PublishedReward("Q-Align aesthetics", 0.268, 0.291, 0.593),
    PublishedReward("LAION aesthetics", 0.152, 0.147, 0.511),
)
AGAINST_IMAGE_MEANS: Final = {"plcc": 0.612, "pairwise_accuracy": 0.680}
CONFLICT_SIDE: Final = {"seen": 0.61, "unseen": 0.55}

ABLATION_FINDING: Final = (
    "The paper reports that user embedding, demographics and metadata together balance seen and "
    "unseen users best; of its ablation's figures only the full model's is known here."
)
ELO: Final = {"self": 1065, "other": 1038, "none": 1016, "HPSv3": 959, "Q-Align": 922}
# Reliability of one rating (ICC) that independent analyses report for other datasets.
SINGLE_RATING_ICC: Final = {"PARA": 0.47, "EVA": 0.22, "LAPIS": 0.19}
STUDY: Final = "6 users, 18 prompts, 7,650 comparisons"

CAVEATS: Final = (
    "The paper's figures are on its own 5,077 pictures and 199 people; ours are on the datasets "
    "named here. They stand side by side, not in competition.",
    "The paper's rule for ties is not known. Here pairs with equal ratings are left out and a tied "
    "prediction counts one half. Compare on SROCC and PLCC first: with ties left out, an SROCC of "
    ".45 goes with a pairwise accuracy near .71 at margin 0, not .663.",
    "The strongest rival in the paper, HPSv3, was not trained on these ratings. The fair control "
    "is `population`: a non-personal head on the same features and the same ratings.",
)
