"""The pages about data and features say what the code says."""

import re
from pathlib import Path

from features.schema import TABLES
from features.user import CHURN_FEATURES, KIND_FEATURES, Feature

DOCS = Path(__file__).parents[2] / "docs"


def row(one: Feature, kind: str | None = None) -> str:
    """A feature's line in docs/features.md; for one of a family, the family's."""
    cells = [f"`{one.name}`", one.unit, one.missing, ", ".join(f"`{fact}`" for fact in one.facts), one.meaning]
    if kind:
        cells = [re.sub(rf"(\b|(?<=_)){kind}\b", "<kind>", cell) for cell in cells]
        cells[2:] = [cell.replace("<kind>", "`<kind>`") for cell in cells[2:]]
    return f"| {' | '.join(cells)} |"


def test_the_page_of_features_is_the_catalogue_line_by_line() -> None:
    families = {row(one, kind): None for kind, pair in KIND_FEATURES.items() for one in pair}
    page = (DOCS / "features.md").read_text(encoding="utf-8")
    written = [line for line in page.splitlines() if line.startswith("| `")]
    assert written == [*map(row, CHURN_FEATURES), *families]


def test_the_page_of_data_names_every_table_and_column() -> None:
    sections = (DOCS / "data.md").read_text(encoding="utf-8").split("\n## ")
    pages = {section.partition("\n")[0]: section for section in sections}
    missing = [
        f"{table.name}.{column.name}"
        for table in TABLES.values()
        for column in table.columns
        if f"`{column.name}`{'?' * column.optional}" not in pages[table.name]
    ]
    assert missing == []
