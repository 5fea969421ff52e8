"""What the runs say about a claim of a paper."""

from benchmarks.claims import Claim, PairedClaim, Says
from benchmarks.papers import DEAD, TO_MEAN_POSE
from benchmarks.study_runs import Runs, Values, decide, decide_pairs

__all__ = ["values", "verdict"]


def values(claim: Claim | PairedClaim, runs: Runs) -> tuple[Values, Values]:
    """The two figures of a claim."""
    if isinstance(claim, PairedClaim):
        both = [claim.of(run) for run in runs[claim.arm]]
        first, second = (
            Values(tuple(pair[number] for pair in both), claim.digits) for number in (0, 1)
        )
        return first, second
    return (
        Values.read(claim.figure, runs[claim.first]),
        Values.read(claim.second_figure or claim.figure, runs[claim.second]),
    )


def verdict(claim: Claim | PairedClaim, runs: Runs) -> str:
    """Whether a claim held, did not, or is not decided."""
    first, second = values(claim, runs)
    paired = isinstance(claim, PairedClaim)
    sign, numbers = (decide_pairs if paired else decide)(first, second)
    if sign is None:
        return f"not decided: {numbers}"
    if claim.needs_learning and not _has_learnt(claim, runs):
        return "not decided: no network has learnt more than the mean pose"
    if isinstance(claim, Claim) and claim.limit is not None:
        return _by_limit(claim.limit, first, second)
    text = f"{_word(claim.says, sign)}: {numbers}"
    if sign or isinstance(claim, PairedClaim) or claim.published is None:
        return text
    return f"{text}; {_published(claim.published, first, second)}"


def _published(difference: float, first: Values, second: Values) -> str:
    """Whether so large a difference as the paper's would have been seen."""
    spread = max(first.spread, second.spread)
    if abs(difference) <= spread:
        return f"the published {difference:+.3f} is too small to be seen with this range"
    inside = abs(first.median - second.median - difference) <= spread
    return f"the published {difference:+.3f} is {'not ' * inside}farther off than this range"


def _has_learnt(claim: Claim | PairedClaim, runs: Runs) -> bool:
    """Whether a run of a claim's arms predicts more than the mean pose."""
    arms = (claim.arm,) if isinstance(claim, PairedClaim) else (claim.first, claim.second)
    return any(TO_MEAN_POSE.of(run) < DEAD for arm in arms for run in runs[arm])


def _word(says: Says, sign: int) -> str:
    """The verdict on a claim when the first figure is higher (1), lower (-1), or neither (0)."""
    match says, sign:
        case "alike" | "not higher", 0:
            return "compatible, no clear difference"
        case _, 0:
            return "not decided"
        case "alike", _:
            return "contradicted"
    return "held" if (sign > 0) == (says == "higher") else "contradicted"


def _by_limit(limit: float, first: Values, second: Values) -> str:
    """The verdict on a claim that the first is above a limit, and the second below it."""
    sides = [_side(limit, found) for found in (first, second)]
    match sides:
        case ["above", "below"]:
            return "held with every seed"
        case ["below", "above"]:
            return "contradicted: with every seed, the first is below the limit, the second above"
        case ["below", "below"] | ["above", "above"]:
            return f"contradicted: both are {sides[0]} the limit, with every seed"
    name = "first" if sides[0] == "mixed" else "second"
    return f"not decided: some seeds of the {name} are above the limit, and some below"


def _side(limit: float, found: Values) -> str:
    """Where all runs are."""
    if min(found.values) > limit:
        return "above"
    return "below" if max(found.values) < limit else "mixed"
