"""The environment against the lock: what is missing, and what has another version."""

import sys
from importlib.metadata import distributions

from mixmerge.artifacts.fingerprint import read_lock
from mixmerge.preflight.context import Context
from mixmerge.preflight.finding import Area, few

#: Other versions that are named one by one.
_NAMED = 6


def check(context: Context) -> Area:
    """Compare the installed distributions with ``envs/requirements.lock``."""
    area = Area("software")
    lock = context.repository / "envs/requirements.lock"
    if context.deployed:
        area.unchecked.append("jobs bring environments of their own (--sdm), which pin the lock")
        return area
    if not lock.is_file():
        area.unchecked.append(f"{lock}: not there")
        return area
    pins = read_lock(lock)
    installed = {
        str(found.metadata["Name"]).lower().replace("_", "-").replace(".", "-"): found.version
        for found in distributions()
        if found.metadata["Name"]
    }
    others = []
    for name, pin in pins.items():
        found = installed.get(name.replace(".", "-"))
        if found is None:
            area.error(
                f"{lock}: {name}=={pin} is not installed in {sys.prefix}; run `make setup`, or "
                f"`pip install {name}=={pin}`"
            )
        elif found.partition("+")[0] != pin.partition("+")[0]:
            others.append(f"{name} {found} (lock: {pin})")
    if others:
        area.warning(
            f"{lock}: other versions are installed: {few(others, _NAMED)}; run `make setup`, or "
            "results may differ from those of the lock"
        )
    area.checked.append(f"{len(pins)} distributions of {lock.name}")
    return area
