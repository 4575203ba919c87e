"""What poisoned batches cost: ``python -m benchmarks.poison [--seeds 0 1 --parts one slow held]``.

Real fits and the real gate (`benchmarks.poison_gate`) in small worlds of simulated people
(`benchmarks.poison_world`), a seed each; who serves is scored on the frozen hold-out. Three parts:

- **one**: one batch of flipped ratings, of all fives or of shuffled ratings, by new people or in
  the name of known ones, of 1 to 100 % of the people, 10 or 100 ratings each. Whoever serves
  afterwards has lost at most `MOST_ONCE`.
- **slow**: ten batches, each the first of `LADDER` that the gate would promote: the attacker tries
  them on it before, the worst first. Flipped ratings of enough people gain on the newest ratings,
  of which they are a share, and cost what the tolerance allows; honest ones beside them buy a
  promotion where they alone do not. All ten cost at most `MOST_SLOW`.
- **held**: the gate holds a poisoned batch, then honest ones come. They must be promoted as soon as
  without it.

Exit status 1 where a goal is missed. Writes reports/bench_poison.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Final

import numpy as np

from benchmarks.poison_gate import Retraining
from benchmarks.poison_world import Attacked, Kind, Source, draw_batch, make_attacked
from pamela.core.dataset import Pairs
from pamela.core.files import write_json
from pamela.core.paths import Project
from pamela.evaluation.metrics.definitions import SROCC
from pamela.params import Params, load_params
from pamela.retraining.gate.judgement import Judgement

SEEDS: Final = tuple(range(10))
MOST_ONCE: Final = 0.005
MOST_SLOW: Final = 0.01
STEPS: Final = 10  # batches of the slow attack
HONEST: Final = 4  # honest batches after one that was held
SOURCES: Final[tuple[Source, ...]] = ("new", "known")


@dataclass(frozen=True)
class Attack:
    """One poisoned batch.

    Attributes
    ----------
    share : of as many people as the data hold.
    each : ratings a person, as far as there are pictures.
    """

    kind: Kind
    source: Source
    share: float
    each: int

    def draw(self, world: Attacked) -> Pairs:
        """Return the batch."""
        people = max(1, round(self.share * world.people))
        return draw_batch(world, self.kind, self.source, people, self.each)


@dataclass(frozen=True)
class Found:
    """What one case came to.

    Attributes
    ----------
    part, case : what was tried.
    outcomes : of the gate, in turn.
    lost : SROCC on the frozen hold-out, first champion less whoever serves at the end; of the
        slow attack, the best that served less the worst after it.
    offered : the same, less the challenger; of several, the worst.
    late : how many more honest batches it took to be promoted than without poison.
    """

    part: str
    case: str
    seed: int
    outcomes: list[str]
    lost: float
    offered: float = 0.0
    late: int = 0

    @property
    def missed(self) -> bool:
        """Whether a goal is missed."""
        return self.lost > (MOST_SLOW if self.part == "slow" else MOST_ONCE) or self.late > 0


ATTACKS: Final = (
    *(Attack("flipped", *how) for how in product(SOURCES, (0.01, 0.05, 0.25, 1.0), (10, 100))),
    *(Attack(kind, source, 1.0, 100) for kind in ("fives", "shuffled") for source in SOURCES),
)


def attack_once(
    start: Retraining, seed: int, attacks: Sequence[Attack] = ATTACKS
) -> Iterator[Found]:
    """Yield what each attack comes to, all from the same start."""
    for attack in attacks:
        state = start.copy()
        judged = state.cycle("poison", attack.draw(state.world))
        case = f"{attack.kind}, {attack.source}, {attack.share:.0%}, {attack.each} each"
        yield Found("one", case, seed, _names(judged), start.srocc - state.srocc, _offered(judged))


def _names(judged: Sequence[Judgement]) -> list[str]:
    return [f"{one.outcome}{' (may be chance)' if one.unsure else ''}" for one in judged]


def _offered(judged: Sequence[Judgement]) -> float:
    return max(-(one.overall[SROCC].difference or 0.0) for one in judged)


# --- slow -------------------------------------------------------------------------------------

LADDER: Final = ((12, 0), (10, 10))  # people with flipped ratings, and honest ones


def attack_slowly(start: Retraining, seed: int, steps: int = STEPS) -> Iterator[Found]:
    """Yield what ten batches come to, each tried on the gate before it is sent.

    Where nothing is promoted, the last that was tried is sent: held, it weighs on what follows.
    """
    state = start.copy()
    found: list[Judgement] = []
    peak, lost = start.srocc, 0.0
    for step in range(steps):
        for batch in _ladder(state.world, step):
            after, judged = _tried(state, f"poison{step}", batch)
            if _promoted(judged):
                break
        state = after
        found += judged
        peak = max(peak, state.srocc)
        lost = max(lost, peak - state.srocc)
    yield Found("slow", f"{steps} batches", seed, _names(found), lost, _offered(found))


def _ladder(world: Attacked, step: int) -> Iterator[Pairs]:
    for flipped, honest in LADDER:
        first = step * max(sum(rung) for rung in LADDER)
        yield Pairs.concat(
            draw_batch(world, "flipped", "new", flipped, 30, first=first),
            draw_batch(world, "honest", "new", honest, 30, first=first + flipped),
        )


def _tried(state: Retraining, name: str, batch: Pairs) -> tuple[Retraining, list[Judgement]]:
    after = state.copy()
    return after, after.cycle(name, batch)


def _promoted(judged: Sequence[Judgement]) -> bool:
    return any(one.outcome == "PROMOTE" for one in judged)


# --- held -------------------------------------------------------------------------------------

TO_BE_HELD: Final = (2, 4, 1, 8)  # new people with flipped ratings, 100 each


def hold_up(start: Retraining, seed: int) -> Iterator[Found]:
    """Yield how long honest batches wait after a poisoned one that was held as perhaps chance."""
    for people in TO_BE_HELD:
        batch = draw_batch(start.world, "flipped", "new", people, 100, first=360)
        state, judged = _tried(start, "poison", batch)
        if judged[-1].unsure:
            break
    else:
        return
    after, honest = _wait(state)
    free, _ = _wait(start.copy())
    case = f"{HONEST} honest batches"
    lost = start.srocc - state.srocc
    names = _names([*judged, *honest])
    yield Found("held", case, seed, names, lost, _offered(judged), late=after - free)


def _wait(state: Retraining) -> tuple[int, list[Judgement]]:
    """Send honest batches until one is promoted; return how many were not, and the judgements."""
    found: list[Judgement] = []
    for number in range(HONEST):
        batch = draw_batch(state.world, "honest", "new", 12, 40, first=12 * number)
        judged = state.cycle(f"honest{number}", batch)
        found += judged
        if _promoted(judged):
            return number, found
    return HONEST, found


# --- the table --------------------------------------------------------------------------------

Part = Callable[[Retraining, int], Iterator[Found]]
PARTS: Final[dict[str, Part]] = {"one": attack_once, "slow": attack_slowly, "held": hold_up}


def run(params: Params, seeds: Sequence[int], parts: Sequence[str]) -> list[Found]:
    """Return what every case came to."""
    found: list[Found] = []
    for seed in seeds:
        start = Retraining.start(params, make_attacked(params, seed))
        for part in parts:
            for one in PARTS[part](start, seed):
                found.append(one)
                print(
                    f"seed {seed}, {one.part}: {one.case}: {', '.join(one.outcomes)}; "
                    f"lost {one.lost:+.4f}, offered {one.offered:+.4f}, late {one.late}",
                    flush=True,
                )
    return found


def show(found: Sequence[Found]) -> None:
    """Print the table in Markdown: a row per case, over all seeds."""
    print("\n| case | PROMOTE | HOLD | REJECT | lost, worst | mean | challenger, worst | late |")
    print("|---|" + "---:|" * 7)
    for part, case in dict.fromkeys((one.part, one.case) for one in found):
        mine = [one for one in found if (one.part, one.case) == (part, case)]
        outcomes = [name.split()[0] for one in mine for name in one.outcomes]
        counts = " | ".join(str(outcomes.count(n)) for n in ("PROMOTE", "HOLD", "REJECT"))
        lost = np.array([one.lost for one in mine])
        print(
            f"| {part}: {case} | {counts} | {lost.max():+.4f} | {lost.mean():+.4f} "
            f"| {max(one.offered for one in mine):+.4f} | {max(one.late for one in mine)} |"
        )


def main() -> None:
    """Attack, print the table and write the report; exit status 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.poison", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    asked = parser.parse_args()
    project = Project.here()
    found = run(load_params(project.params_file), asked.seeds, asked.parts)
    show(found)
    rows = [{**asdict(one), "missed": one.missed} for one in found]
    write_json(project.reports / "bench_poison.json", rows)
    if missed := [f"{one.case} (seed {one.seed})" for one in found if one.missed]:
        raise SystemExit(f"{len(missed)} cases miss their goal, first {missed[0]}")


if __name__ == "__main__":
    main()
