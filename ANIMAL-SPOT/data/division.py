"""Deal groups that are never divided to parts, so that every class has its share in each part.

Here a group is a tape, a part is a partition of the split. What a division costs, the worst first:

1. a class that is missing from a part, although it has as many groups as there are parts,
2. the deviation of each class: the sum over parts of how far the share of its clips in that part
   is from the wanted one; 0 is best, 2 the worst; summed over classes,
3. the same deviation of all clips together, a thousandth as much: it decides between equals.

Divisions of the same cost are equally good, and which of them is found is a matter of the seed.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

_TOTAL_WEIGHT = 1e-3
_EQUAL = 1e-7  # costs that differ by less are the same

_FEW_GROUPS, _FEWEST_RESTARTS = 12, 2  # the exact search is as quick there
_MOST_RESTARTS = 12
_RESTART_WORK = 20_000  # groups looked at in all restarts together
_KICK_WORK = 5_000  # the same for attempts to leave the best division found
_MOST_SWAPS = 40_000  # numbers looked at in one search for swaps
_MOST_STATES = 600_000  # numbers kept at once by the exact search
_MOST_GROUPS = 60  # with which the exact search is tried
_NEAR_ENOUGH = 0.01  # deviation of a class above the least conceivable, with more groups than that
_LARGEST_EXACT_CLASS = 1500  # clips, in what a class can reach by itself


def divide(
    counts: np.ndarray, shares: np.ndarray, missing_cost: np.ndarray, seed: int = 0
) -> np.ndarray:
    """Find a division of the lowest cost.

    Exact where the divisions that could be the best are few (always up to about a dozen groups);
    otherwise groups are dealt several times, those of the rarest classes first and to the part
    that lacks most (iterative stratification: Sechidis, Tsoumakas & Vlahavas 2011), and each result
    is improved by moves and swaps as long as there are any. With more than 60 groups that ends as
    soon as classes deviate, on average, by at most 0.01 more than each would by itself.

    Args:
        counts: Clips of each class in each group, shape ``(groups, classes)``, whole numbers; no
            row or column is all 0.
        shares: Wanted share of the clips in each part, shape ``(parts,)``; their sum is 1.
        missing_cost: What a class costs that is missing from a part, in units of the number of
            classes: more than 2, shape ``(parts,)``.
        seed: Same seed, same division.

    Returns:
        Part of each group, shape ``(groups,)``.
    """
    problem = _Problem(counts, shares, missing_cost)
    rng = np.random.default_rng(seed)
    good = problem.lowest_conceivable_cost() + _EQUAL
    if len(counts) > _MOST_GROUPS:
        good += _NEAR_ENOUGH * problem.n_classes
    best, best_cost = None, math.inf
    most = _FEWEST_RESTARTS if len(counts) <= _FEW_GROUPS else _MOST_RESTARTS
    for _ in range(min(most, 1 + _RESTART_WORK // len(counts))):
        found = problem.improved(problem.dealt(rng))
        cost = problem.cost(found)
        if cost < best_cost - _EQUAL:
            best, best_cost = found, cost
        if best_cost < good:
            return best
    if len(counts) <= _MOST_GROUPS:
        exact = problem.best_of_all(best_cost, rng)
        if exact is not None:
            return exact
    for _ in range(_KICK_WORK // len(counts)):
        kicked = best.copy()
        chosen = rng.choice(len(best), min(len(best), int(rng.integers(2, 5))), replace=False)
        kicked[chosen] = rng.integers(len(shares), size=len(chosen))
        found = problem.improved(kicked)
        cost = problem.cost(found)
        if cost < best_cost + _EQUAL:
            best, best_cost = found, min(cost, best_cost)
        if best_cost < good:
            break
    return best


def divide_further(
    counts: np.ndarray,
    held: np.ndarray,
    shares: np.ndarray,
    missing_cost: np.ndarray,
    seed: int = 0,
) -> np.ndarray:
    """Deal groups that are new to parts that hold something, of which nothing moves.

    What comes nearest to the wanted shares of all is looked for as in ``divide``, without the exact
    search.

    Args:
        counts: Clips of each class in each new group, shape ``(groups, classes)``.
        held: What each part holds already, shape ``(parts, classes)``.
        shares: As in ``divide``.
        missing_cost: As in ``divide``.
        seed: As in ``divide``.

    Returns:
        Part of each group, shape ``(groups,)``.
    """
    problem = _Problem(counts, shares, missing_cost, held)
    rng = np.random.default_rng(seed)
    found = [problem.improved(problem.dealt(rng)) for _ in range(_MOST_RESTARTS)]
    return min(found, key=problem.cost)


class _Problem:
    """Counts and wishes, and what is computed from them again and again."""

    def __init__(
        self,
        counts: np.ndarray,
        shares: np.ndarray,
        missing_cost: np.ndarray,
        held: np.ndarray | float = 0.0,
    ) -> None:
        self.counts = np.asarray(counts, dtype=np.float64)
        self.shares = np.asarray(shares, dtype=np.float64)
        self.n_parts, self.n_classes = len(self.shares), self.counts.shape[1]
        self.held = np.zeros((self.n_parts, self.n_classes)) + held
        self.missing = np.asarray(missing_cost) * self.n_classes
        self.totals = self.counts.sum(0) + self.held.sum(0)
        self.wanted = self.shares[:, None] * self.totals
        self.n_groups = (self.counts > 0).sum(0)

    def holdings(self, parts: np.ndarray) -> np.ndarray:
        """Clips of each class in each part, shape ``(parts, classes)``."""
        holds = self.held.copy()
        np.add.at(holds, parts, self.counts)
        return holds

    def part_cost(self, part: int, held: np.ndarray) -> np.ndarray:
        """Cost of one part that holds ``held`` (..., classes): shape (...)."""
        share = self.shares[part]
        deviation = np.abs(held / self.totals - share).sum(-1)
        total = np.abs(held.sum(-1) / self.totals.sum() - share)
        return deviation + _TOTAL_WEIGHT * total + self.missing[part] * (held == 0).sum(-1)

    def cost(self, parts: np.ndarray) -> float:
        holds = self.holdings(parts)
        return float(sum(self.part_cost(p, holds[p]) for p in range(self.n_parts)))

    # -- a good division, quickly ----------------------------------------------------------------

    def dealt(self, rng: np.random.Generator) -> np.ndarray:
        """Deal groups one by one, those of the class with the fewest groups first."""
        counts, missing = self.counts, self.missing / self.n_classes
        parts = np.full(len(counts), -1)
        holds = self.held.copy()
        order = rng.permutation(len(counts))
        for c in np.argsort(self.n_groups, kind="stable"):
            for g in order[(counts[order, c] > 0) & (parts[order] < 0)]:
                lack = (self.wanted[:, c] - holds[:, c]) / self.totals[c]
                empty = missing * (holds[:, c] == 0)
                p = int(np.argmax(lack + empty + 1e-6 * (self.wanted - holds).sum(1)))
                parts[g] = p
                holds[p] += counts[g]
        return parts

    def improved(self, parts: np.ndarray) -> np.ndarray:
        """Move groups, or swap two, while that lowers the cost."""
        parts = parts.copy()
        while True:
            gain, changes = self._best_change(parts, all_swaps=False)
            if gain < _EQUAL:
                gain, changes = self._best_change(parts, all_swaps=True)
            if gain < _EQUAL:
                return parts
            for group, part in changes:
                parts[group] = part

    def _best_change(
        self, parts: np.ndarray, *, all_swaps: bool
    ) -> tuple[float, list[tuple[int, int]]]:
        """Return how much the best move or swap saves, and the new places of its groups.

        Without ``all_swaps`` a swap is tried only for a group with a class that the target lacks.
        """
        counts, holds = self.counts, self.holdings(parts)
        best_gain, best_changes = 0.0, []
        for source in range(self.n_parts):
            for target in range(self.n_parts):
                groups = np.flatnonzero(parts == source)
                others = np.flatnonzero(parts == target)
                if source == target or not len(groups):
                    continue
                before = self.part_cost(source, holds[source])
                before += self.part_cost(target, holds[target])
                moved = counts[groups]
                after = self.part_cost(source, holds[source] - moved)
                after += self.part_cost(target, holds[target] + moved)
                i = int(np.argmin(after))
                if before - after[i] > best_gain + 1e-12:
                    best_gain, best_changes = before - after[i], [(groups[i], target)]
                if not len(others) or (all_swaps and source > target):
                    continue
                if all_swaps:
                    most = max(1, _MOST_SWAPS // (len(others) * self.n_classes))
                    swapped = groups[:: math.ceil(len(groups) / most)]
                else:
                    swapped = groups[(moved[:, holds[target] == 0] > 0).any(1)]
                if not len(swapped):
                    continue
                difference = counts[swapped][:, None] - counts[others]
                after = self.part_cost(source, holds[source] - difference)
                after += self.part_cost(target, holds[target] + difference)
                i, j = np.unravel_index(int(np.argmin(after)), after.shape)
                if before - after[i, j] > best_gain + 1e-12:
                    best_gain = before - after[i, j]
                    best_changes = [(swapped[i], target), (others[j], source)]
        return best_gain, best_changes

    # -- what cannot be undercut -----------------------------------------------------------------

    def lowest_conceivable_cost(self) -> float:
        """Return what is paid whatever is done, each class seen by itself."""
        cheapest_first = np.sort(self.missing)
        absent = sum(cheapest_first[: max(0, self.n_parts - n)].sum() for n in self.n_groups)
        return float(absent + self._least_deviations().sum() + self._least_total_deviation())

    def _least_total_deviation(self) -> float:
        n = int(self.totals.sum())
        return _TOTAL_WEIGHT * _rounded_deviation(n, self.shares)

    def _least_deviations(self) -> np.ndarray:
        """Least deviation that each class could have if it were alone, shape ``(classes,)``."""
        return np.array(
            [
                _least_deviation(self.counts[:, c][self.counts[:, c] > 0].astype(int), self.shares)
                for c in range(self.n_classes)
            ]
        )

    def best_of_all(self, incumbent: float, rng: np.random.Generator) -> np.ndarray | None:
        """Search all divisions, but not those that begin worse than one that is known.

        Groups are placed one after the other, in every way at once. Beginnings that hold the same
        in each part are one, and those whose cost can only be above ``incumbent`` are dropped.

        Returns:
            One of the best divisions, by chance; None if there were too many to look at.
        """
        counts, n_parts, n_classes = self.counts, self.n_parts, self.n_classes
        order = rng.permutation(len(counts))
        weight = (counts / self.totals).sum(1)
        order = order[np.argsort(-weight[order], kind="stable")]
        least = self._least_deviations()
        left = self.n_groups.astype(int)
        holds = np.zeros((1, n_parts, n_classes), dtype=np.int32)
        placed = np.zeros((1, 0), dtype=np.int8)
        for group in order:
            grown = np.repeat(holds, n_parts, axis=0)
            part = np.tile(np.arange(n_parts, dtype=np.int8), len(holds))
            grown[np.arange(len(grown)), part] += counts[group].astype(np.int32)
            placed = np.c_[np.repeat(placed, n_parts, axis=0), part]
            left = left - (counts[group] > 0)
            kept = np.flatnonzero(self._bound(grown, left, least, incumbent) < incumbent + _EQUAL)
            kept = rng.permutation(kept)
            rows = np.ascontiguousarray(grown[kept].reshape(len(kept), -1))
            keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))
            kept = kept[np.unique(keys.ravel(), return_index=True)[1]]
            holds, placed = grown[kept], placed[kept]
            if holds.size > _MOST_STATES:
                return None
        costs = sum(self.part_cost(p, holds[:, p].astype(float)) for p in range(n_parts))
        best = np.flatnonzero(costs < costs.min() + _EQUAL)
        parts = np.empty(len(counts), dtype=int)
        parts[order] = placed[rng.choice(best)]
        return parts

    def _bound(
        self, holds: np.ndarray, left: np.ndarray, least: np.ndarray, incumbent: float
    ) -> np.ndarray:
        """Return what divisions that begin with ``holds`` cost at least, shape ``(beginnings,)``.

        Args:
            holds: Shape ``(beginnings, parts, classes)``.
            left: Groups of each class that have no place yet.
            least: Of ``_least_deviations``.
            incumbent: Cost of a division that is known.
        """
        missing = np.sort(np.where(holds == 0, self.missing[:, None], np.inf), axis=1)
        n_absent = (holds == 0).sum(1)
        unavoidable = np.arange(self.n_parts)[:, None] < (n_absent - left)[:, None, :]
        absent = np.where(unavoidable, missing, 0.0).sum(1)
        # What is over the wanted in one part is missing in another: twice the excess is deviation.
        deviation = 2 * np.maximum(holds - self.wanted, 0).sum(1) / self.totals
        # A class that reaches each part deviates as if it were alone, or more. One that does not
        # may deviate less, but where no class more may be absent it is known which those are.
        none_more = absent.sum(1) + self.missing.min() > incumbent
        reaches_all = (absent == 0) & none_more[:, None]
        deviation = np.where(reaches_all, np.maximum(deviation, least), deviation)
        return deviation.sum(1) + absent.sum(1) + self._least_total_deviation()


def _least_deviation(sizes: np.ndarray, shares: np.ndarray) -> float:
    """Return the least deviation of a class with groups of these sizes, if it were alone.

    As many parts as possible get something. For large classes, and for other than three parts,
    whole numbers of clips are all that limits it.
    """
    n, n_parts = int(sizes.sum()), len(shares)
    if len(sizes) < n_parts:
        places = itertools.permutations(range(n_parts), len(sizes))
        holds = np.zeros((math.perm(n_parts, len(sizes)), n_parts))
        for row, parts in zip(holds, places, strict=True):
            row[list(parts)] = sizes
        return float(np.abs(holds / n - shares).sum(1).min())
    if n_parts != 3 or n > _LARGEST_EXACT_CLASS:
        return _rounded_deviation(n, shares)
    # Bit a * (n + 1) + b is set where a clips in the first part and b in the second can be had.
    reached = 1
    for size in sizes.tolist():
        reached |= (reached << size * (n + 1)) | (reached << size)
    n_bits = (n + 1) ** 2
    bits = np.frombuffer(reached.to_bytes((n_bits + 7) // 8 + 1, "little"), dtype=np.uint8)
    grid = np.unpackbits(bits, bitorder="little")[:n_bits].reshape(n + 1, n + 1).astype(bool)
    first, second = np.nonzero(grid)
    holds = np.stack([first, second, n - first - second], axis=1)
    holds = holds[(holds > 0).all(1)]
    return float(np.abs(holds / n - shares).sum(1).min())


def _rounded_deviation(n: int, shares: np.ndarray) -> float:
    """Return the deviation of ``n`` clips that can be dealt one by one."""
    wanted = n * shares
    nearest = np.floor(wanted)
    up = np.argsort(nearest - wanted, kind="stable")[: round(n - nearest.sum())]
    nearest[up] += 1
    return float(np.abs(nearest - wanted).sum() / n) if n else 0.0
