"""The full steering study: ``python -m benchmarks.steering``, after `make repro`.

40 people, half of them known by 20 ratings alone, 18 prompts each, 5 rounds of 20 variants, with
the champion of the finished run in this folder; also the reward less its standard deviation, and
independent runs. Twenty minutes on 2 idle cores. What is done is kept in
``.cache/steering_study/``, and the command goes on from there. Writes reports/steering_study/, the
plots of docs/steering.md and the figures in it.

``--finished`` searches no further and reports what is done.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.steering.judged import judge_study
from benchmarks.steering.page import write_study
from benchmarks.steering.searches import Study, search_all, study_params
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.steer.people import load_rewards
from pamela.steer.steer import WORLD_DATASET, load_judge


def main(arguments: list[str]) -> None:
    """Search, then judge and report."""
    project = Project(Path())
    params = study_params(project)
    judge = load_judge(project, params)
    if judge is None:
        raise PamelaError("params.yaml: steer.generator: the study is of the embedded world")
    folder = project.root / ".cache" / "steering_study"
    if "--finished" not in arguments:
        rewards = load_rewards(project, params, WORLD_DATASET)
        search_all(Study(project, params, rewards, judge, folder))
    write_study(project, params, judge, judge_study(folder, params, judge))


if __name__ == "__main__":
    main(sys.argv[1:])
