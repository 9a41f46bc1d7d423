"""The rows of the ledger, by document: one file for each part of the paper, one for the report, one for the essay."""

from . import essay, growth, machine, projection, report, roadmap, scaling

ROWS = (*scaling.ROWS, *growth.ROWS, *projection.ROWS, *machine.ROWS, *roadmap.ROWS, *essay.ROWS, *report.ROWS)
