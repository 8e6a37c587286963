"""Values of all kinds that the codec knows, for tests of it."""

import math
import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

#: A limit that no test reaches.
ENOUGH = 2**30

SCALARS: list[Callable[[random.Random], Any]] = [
    lambda r: None,
    lambda r: r.random() < 0.5,
    lambda r: r.randint(-300, 300),
    lambda r: r.choice([-1, 1]) * 2 ** r.randint(0, 400) + r.randint(-2, 2),
    lambda r: r.choice([0.0, -0.0, 1.5, 1e308, 5e-324, math.inf, -math.inf, r.random()]),
    lambda r: complex(r.random(), -0.0),
    lambda r: "".join(chr(r.choice([65, 233, 0, 0x1F600, 0xD800])) for _ in range(r.randint(0, 9))),
    lambda r: r.randbytes(r.randint(0, 9)),
    lambda r: range(r.randint(-9, 9), r.randint(-9, 9), r.choice([-2, 1, 3])),
    lambda r: Decimal(r.choice(["0.10", "-Infinity", "1E+1000000", "3.00"])),
    lambda r: Fraction(r.randint(-99, 99), r.randint(1, 99)),
    lambda r: date(r.randint(1, 9999), 2, 3),
    lambda r: datetime(1999, 12, 31, 23, 59, 59, 7, tzinfo=r.choice([None, UTC]), fold=1),
    lambda r: time(1, 2, 3, 4, tzinfo=timezone(timedelta(hours=r.randint(-9, 9)))),
    lambda r: timedelta(r.randint(-9, 9), 3, 4),
]
HASHABLE = [
    lambda r, make: tuple(make() for _ in range(r.randint(0, 4))),
    lambda r, make: frozenset(make() for _ in range(r.randint(0, 4))),
]
CONTAINERS = [
    lambda r, make, key: [make() for _ in range(r.randint(0, 5))],
    lambda r, make, key: tuple(make() for _ in range(r.randint(0, 5))),
    lambda r, make, key: {key(): make() for _ in range(r.randint(0, 4))},
    lambda r, make, key: {key() for _ in range(r.randint(0, 4))},
    lambda r, make, key: OrderedDict((key(), make()) for _ in range(3)),
    lambda r, make, key: defaultdict(None, {key(): make()}),
    lambda r, make, key: Counter(key() for _ in range(3)),
    lambda r, make, key: deque([make()], r.choice([None, 7])),
    lambda r, make, key: {key(): 1}.keys(),
    lambda r, make, key: {key(): make()}.items(),
    lambda r, make, key: {1: make(), 2: make()}.values(),
    lambda r, make, key: slice(make(), None, make()),
]


def value(r: random.Random, depth: int = 0) -> Any:
    """Any value, with others within."""

    def key(inner: int = 0) -> Any:
        if inner < 3 and r.random() < 0.3:
            return r.choice(HASHABLE)(r, lambda: key(inner + 1))
        return r.choice(SCALARS)(r)

    if depth < 4 and r.random() < 0.6:
        return r.choice(CONTAINERS)(r, lambda: value(r, depth + 1), key)
    return r.choice(SCALARS)(r)
