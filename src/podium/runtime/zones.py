"""Time zones by their IANA names, from the time zone database of this machine."""

import os
from datetime import tzinfo
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from podium.errors import DefinitionError, Fault

__all__ = ["system_zone", "zone_of"]

LOCALTIME: Final = Path("/etc/localtime")


def zone_of(name: str) -> tzinfo:
    """Return a zone; raises `DefinitionError` PDM-D502 for an unknown one."""
    try:
        return ZoneInfo(name)
    # A name may be no name, no path, a folder of zones, or longer than a path can be.
    except (LookupError, OSError, ValueError) as error:
        raise _unknown_zone(name) from error


def system_zone() -> str:
    """Return the name of the zone this machine is set to, as far as it says; UTC otherwise."""
    named = os.environ.get("TZ", "").removeprefix(":")
    if not named:
        _, is_linked, linked = str(LOCALTIME.resolve()).partition("zoneinfo/")
        named = linked if is_linked else "UTC"
    try:
        zone_of(named)
    except DefinitionError:
        return "UTC"
    return "UTC" if named in {"Etc/UTC", "Universal", "Zulu"} else named


@cache
def _known() -> tuple[str, ...]:
    """Return the zones of this machine by name; looking them up reads hundreds of files."""
    return tuple(sorted(available_timezones()))


def _unknown_zone(name: str) -> DefinitionError:
    known = _known()
    by_city = {each.rpartition("/")[2].lower(): each for each in reversed(known)}
    wanted = name[:100].strip().lower().replace(" ", "_").rpartition("/")[2]
    close = get_close_matches(wanted, list(by_city), n=1, cutoff=0.75)
    hint = f"Did you mean {by_city[close[0]]!r}? " if close else ""
    missing = "" if known else "This machine has no time zones at all: pip install tzdata. "
    fault = Fault(
        code="PDM-D502",
        message=f"There is no time zone {name[:100]!r}.",
        why="A schedule names its zone as the IANA database does; abbreviations have no rules.",
        fix=f"{hint}{missing}Write it like 'Europe/Berlin', 'America/New_York' or 'UTC'.",
        pointer="/timezone",
    )
    return DefinitionError([fault], source="schedule")
