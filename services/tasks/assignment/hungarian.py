"""The assignment problem: a column of its own for every row, at the least cost of all together."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

Matrix = Sequence[Sequence[float]]


def assign(costs: Matrix) -> list[int]:
    """The column of each row; there are at least as many columns as rows.

    The Hungarian method as shortest paths: rows are taken up one by one, each by the cheapest way
    of moving those before it. Rows times columns times rows in the worst case.
    """
    columns_count = len(costs[0]) if costs else 0
    row_prices, column_prices = [0.0] * len(costs), [0.0] * columns_count
    row_of = [-1] * columns_count
    for first in range(len(costs)):
        lengths, before = [inf] * columns_count, [-1] * columns_count
        unseen, seen = list(range(columns_count)), list[int]()
        row, column, length = first, -1, 0.0
        while row >= 0:
            cost, price = costs[row], row_prices[row] - length
            nearest, shortest = -1, inf
            for other in unseen:
                way = cost[other] - price - column_prices[other]
                if way < lengths[other]:
                    lengths[other], before[other] = way, column
                if lengths[other] < shortest or nearest < 0:
                    nearest, shortest = other, lengths[other]
            column, length = nearest, shortest
            unseen.remove(column)
            seen.append(column)
            row = row_of[column]
        row_prices[first] += length
        for other in seen[:-1]:
            column_prices[other] -= length - lengths[other]
            row_prices[row_of[other]] += length - lengths[other]
        while column >= 0:
            row_of[column] = row_of[before[column]] if before[column] >= 0 else first
            column = before[column]
    found = [-1] * len(costs)
    for column, row in enumerate(row_of):
        if row >= 0:
            found[row] = column
    return found
