"""Stage steer: prompts steered by each reward, judged by the world's users.

Run in the project root: ``python -m flows.steer`` (``dvc repro`` does).
"""

from __future__ import annotations

from flows.runtime import here, main, stage, step
from pamela.core.paths import Project
from pamela.steer import steer as work

load_rewards = step("load the rewards")(work.load_rewards)
choose = step("choose users and prompts")(work.choose_cases)
search = step("steer")(work.search)
judge_arms = step("judge")(work.judge_arms)
rank = step("rank the arms")(work.write_steering_results)
draw_sheet = step("draw the contact sheet")(work.write_contact_sheet)


@step("write what is skipped")
def skip(project: Project, reason: str) -> None:
    """Say why nothing is steered, and write empty outputs."""
    print(reason)
    work.write_skipped(project)


@stage("steer")
def steer() -> None:
    """Steer, judge, rank; or say why not."""
    project, params = here()
    reason = work.skip_reason(params)
    if reason:
        skip(project, reason)
        return
    rewards, known = load_rewards(project, params)
    cases = choose(project, params, known)
    found = search(params, cases, rewards)
    judge = work.load_judge(project)
    table = judge_arms(found, judge, params.steer.seed)
    print(work.outcome_line(rank(project, params, table)))
    draw_sheet(project, params, found, judge)


if __name__ == "__main__":
    main(steer)
