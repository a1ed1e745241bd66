"""Very many texts to files: what is whole is not spoken again, whatever became of the process before.

::

    from cartesia_sync import Cartesia, batch

    report = batch.run(Cartesia(limit=15), batch.read_items("texts.csv"), "out", voice="...")
    print(report.done, report.skipped, report.failed)

``cartesia-sync batch`` does the same; see docs/batch.md.
"""

from __future__ import annotations

from .items import Item, read_items
from .planning import Outlook
from .report import Failure, Progress, Report, Slow
from .runs import plan, run

__all__ = ["Failure", "Item", "Outlook", "Progress", "Report", "Slow", "plan", "read_items", "run"]
