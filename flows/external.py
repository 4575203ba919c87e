"""Stage external: scores from elsewhere, checked. Run: ``python -m flows.external [NAME ...]``.

NAME is a key of ``evaluate.external`` in params.yaml, which has its file; without one all of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from flows.runtime import here, main, stage, step
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.data import external_scores


@step("check scores")
def check(project: Project, name: str, file: str) -> None:
    """Check one file of scores and say what it holds."""
    print(external_scores.check_scores(project, name, file).told(name))


@stage("external")
def flow(names: Sequence[str] = ()) -> None:
    """Check the scores called `names`."""
    project, params = here()
    files = params.evaluate.external
    for name in names or files:
        if name not in files:
            known = f"there is {', '.join(files)}" if files else "it is empty"
            raise PamelaError(f"params.yaml: evaluate.external has no {name!r}; {known}")
        check(project, name, files[name])


def _names() -> list[str]:
    parser = argparse.ArgumentParser(
        prog="python -m flows.external",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    names: list[str] = parser.parse_args().names
    return names


if __name__ == "__main__":
    main(flow, words=(), arguments=(_names(),))
