"""Stage steer: prompts steered by each reward, judged by the world's users.

Run in the project root: ``python -m flows.steer`` (``dvc repro`` does).
"""

from __future__ import annotations

from contextlib import ExitStack

from flows.runtime import here, main, stage, step
from pamela.core.paths import Project
from pamela.steer import steer as work
from pamela.steer.arm_search import search as search_arms
from pamela.steer.people import load_rewards as load

load_rewards = step("load the rewards")(load)
choose = step("choose users and prompts")(work.choose_cases)
search = step("steer")(search_arms)
judge_arms = step("judge")(work.judge_arms)
rank = step("rank the arms")(work.write_steering_results)
draw_pictures = step("draw the contact sheet")(work.write_pictures)


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
    fitted = load_rewards(project, params, work.dataset_of(params))
    cases = choose(project, params, fitted)
    judge = work.load_judge(project, params)
    with ExitStack() as stack:
        rewards = work.make_rewards(project, params, fitted, judge, stack)
        tools = stack.enter_context(work.open_tools(params, project))
        found = search(params, cases, work.arms_of(rewards), rewards, tools)
        tables = judge_arms(params, found, fitted, rewards, judge, tools)
        metrics = rank(project, params, found, tables, tools.store.counts)
        draw_pictures(project, tables, judge, tools)
    if unjudged := work.unjudged_reason(params):
        print(unjudged)
    print(work.outcome_line(metrics))


if __name__ == "__main__":
    main(steer)
