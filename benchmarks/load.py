"""Load on the machine, for what must not depend on it."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager


def _burn() -> None:
    number = 0
    while True:
        number += 1


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many cores busy."""
    burners = [multiprocessing.Process(target=_burn, daemon=True) for _ in range(processes)]
    for burner in burners:
        burner.start()
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.join()
