"""Charts, drawn on the server as SVG: each is an image of its own, whose numbers its page says too."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final
from unicodedata import east_asian_width

import pygal
from pygal.style import Style

sys.meta_path[:] = [one for one in sys.meta_path if type(one).__name__ != "PluginImportFixer"]
"""Without the hook that pygal leaves: it serves plugins that are not used here, and every later import would warn."""

_STYLE: Final = Style(
    background="transparent",
    plot_background="transparent",
    foreground="#6b7280",
    foreground_strong="#6b7280",
    foreground_subtle="#d1d5db",
    guide_stroke_color="#d1d5db",
    guide_stroke_dasharray="2,5",
    major_guide_stroke_color="#d1d5db",
    major_guide_stroke_dasharray="2,5",
    opacity=".85",
    colors=("#2563eb", "#059669", "#b45309", "#7c3aed", "#be123c"),
    font_family="system-ui, sans-serif",
    label_font_size=13,
    major_label_font_size=13,
    legend_font_size=14,
    value_font_size=13,
)
_SAME: Final[Mapping[str, Any]] = {
    "style": _STYLE,
    "js": [],
    "width": 720,
    "height": 260,
    "margin": 8,
    "legend_at_bottom": True,
    "legend_box_size": 12,
    "show_minor_x_labels": False,
    "truncate_label": -1,
    "truncate_legend": -1,
    "disable_xml_declaration": True,
}


_EXTRA: Final = 7
"""Pixels that pygal forgets for each wide character: it takes all for narrow ones."""


def line_chart(days: Sequence[str], series: Mapping[str, Sequence[float | None]]) -> bytes:
    """Lines over days."""
    every = max(1, len(days) // 6)
    y_labels = {"y_labels_major_count": 5, "show_minor_y_labels": False}
    chart = pygal.Line(**_SAME, **y_labels, show_dots=False, stroke_style={"width": 2}, include_x_axis=True)
    chart.x_labels = list(days)
    chart.x_labels_major = list(days)[::every]
    for name, values in series.items():
        chart.add(name, list(values))
    return str(chart.render()).encode()


def bar_chart(labels: Sequence[str], name: str, values: Sequence[float]) -> bytes:
    """Bars side by side."""
    room = {"height": 60 + 30 * len(labels), "margin_left": 8 + _EXTRA * max(map(_wide, labels))}
    chart = pygal.HorizontalBar(**{**_SAME, **room}, show_legend=False, print_values=True)
    chart.x_labels = list(labels)
    chart.value_formatter = lambda value: f"{value:,.0f}"
    chart.add(name, list(values))
    return str(chart.render()).encode()


def _wide(label: str) -> int:
    """How many characters of a label are as wide as they are high."""
    return sum(east_asian_width(one) in "WF" for one in label)
