"""Print the lowest versions that setup.cfg allows, one requirement a line, for pip: ``name==floor``.

What has no floor, or does not belong to this Python and machine, is left out. ``./scripts/test --floors`` installs
these.
"""

from __future__ import annotations

import argparse
import configparser
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

from packaging.requirements import Requirement

SETUP = Path(__file__).resolve().parents[1] / "setup.cfg"


def floors(setup: Path, extras: Sequence[str]) -> Iterator[str]:
    """Yield what is required by the package and by these extras, each at its floor."""
    found = configparser.ConfigParser()
    found.read(setup, encoding="utf-8")
    listed = [found["options"]["install_requires"], *(found["options.extras_require"][extra] for extra in extras)]
    for line in "\n".join(listed).splitlines():
        if not line.strip():
            continue
        requirement = Requirement(line)
        floor = re.search(r">=\s*([0-9.]+)", str(requirement.specifier))
        if floor is not None and (requirement.marker is None or requirement.marker.evaluate()):
            yield f"{requirement.name}=={floor[1]}"


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("extras", nargs="*", help="the extras whose floors are wanted, beside the package's own")
    print("\n".join(floors(SETUP, parser.parse_args(arguments).extras)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
