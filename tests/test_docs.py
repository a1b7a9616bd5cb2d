"""The pages say what the code does: every link leads somewhere, every setting, route and command is named."""

import re
from pathlib import Path
from typing import get_args

import pytest

from features.schema import EVENT_KINDS, TABLES
from features.user import CATALOGUE, WINDOWS
from models.churn.reasons import GROUPS
from models.policy.errors import Code
from models.policy.facts import NOTE_FACTS, USER_FACTS
from models.policy.words import WORDS
from serving.app import create_app
from serving.churn import MAX_EXPLAINED
from serving.settings import Settings
from serving.store.redis_states import MAX_BYTES
from training.churn.config import ChurnConfig, Gates
from training.config import Table
from training.quality.config import Gates as QualityGates
from training.quality.config import QualityConfig, Tower
from training.recommend.config import Gates as RecommendGates
from training.recommend.config import RecommendConfig

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("mlflow/*.md")])


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_names_only_targets_that_make_has() -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z]+)", read("README.md") + read("CONTRIBUTING.md")))
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize(("title", "config", "gates"), [
    ("Training a churn model", ChurnConfig, Gates), ("Training a recommender", RecommendConfig, RecommendGates),
])  # fmt: skip
def test_the_training_page_names_every_setting_with_its_default(
    title: str, config: type[Table], gates: type[Table]
) -> None:
    parts = dict(re.findall(r"^# (.*?)\n(.*?)(?=^# |\Z)", read("docs/training.md"), re.MULTILINE | re.DOTALL))
    settings = [*config.model_fields, *(f"gates.{name}" for name in gates.model_fields)]
    settings.remove("gates")
    assert [name for name in settings if f"| `{name}` |" not in parts[title]] == []
    for name, setting in gates.model_fields.items():
        assert f"| `gates.{name}` | {setting.default} |" in parts[title]


def test_the_quality_page_names_every_setting_with_its_default() -> None:
    page = read("docs/quality.md")
    for prefix, table in (("", QualityConfig), ("tower.", Tower), ("gates.", QualityGates)):
        for name, setting in table.model_fields.items():
            if name not in ("tower", "gates"):
                assert f"| `{prefix}{name}` |" in page
            if isinstance(setting.default, int | float):
                assert f"| `{prefix}{name}` | {setting.default:g} |" in page


def test_the_api_page_names_every_setting_and_no_other() -> None:
    named = set(re.findall(r"`MINGJIAN_([A-Z_]+)`", read("docs/api.md")))
    assert named == {name.upper() for name in Settings.model_fields}


def test_the_api_page_names_every_route_and_no_other(tmp_path: Path) -> None:
    spec = create_app(Settings(data_dir=tmp_path)).openapi()
    routes = {f"{method.upper()} {path}" for path, methods in spec["paths"].items() for method in methods}
    assert set(re.findall(r"^\| `([A-Z]+ /[^`]+)` \|", read("docs/api.md"), re.MULTILINE)) == routes


def test_the_operations_page_names_every_command_and_the_limits_of_each_key_class() -> None:
    page = read("docs/operations.md")
    commands = re.findall(r'add_parser\(\s*"([a-z-]+)"', read("serving/__main__.py"))
    assert [name for name in commands if f"`{name}`" not in page and f"serving {name}`" not in page] == []
    assert f"({Settings.model_fields['state_ttl_days'].default})" in page
    assert f"({Settings.model_fields['store_timeout_s'].default} s)" in page
    assert f"{MAX_BYTES:,}" in page
    assert f"`{Settings.model_fields['state_prefix'].default}:state:<user_id>`" in page


def test_the_api_page_names_every_code_of_a_reason_and_how_many_users_are_explained() -> None:
    page = read("docs/api.md")
    codes = {"kind_<event>" if group.code.startswith("kind_") else group.code for group in GROUPS}
    assert [code for code in sorted(codes) if f"| `{code}` |" not in page] == []
    assert f"(up to {MAX_EXPLAINED} users a request" in page


def test_the_data_page_names_every_table_column_and_event_kind() -> None:
    page = read("docs/data.md")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    for name, table in TABLES.items():
        assert [column.name for column in table.columns if f"`{column.name}`" not in sections[name]] == []
    assert " ".join(kind for kind in EVENT_KINDS if kind != "other") in sections["events"]


def test_the_policy_page_names_every_fact_code_and_word() -> None:
    page = read("docs/policy.md")
    said = {*re.findall(r"`([\w.<>]+)`", page)}
    windows = {f"n_{kind}_{days}d": f"n_<kind>_{days}d" for kind in EVENT_KINDS for days in WINDOWS}
    of_users = {windows.get(name, name) for name in USER_FACTS if name not in CATALOGUE}
    assert (of_users | {*NOTE_FACTS, "probability.<label>"}) - said == set()
    assert [one for one, words in WORDS.items() if f"`{one}` {words.zh}" not in page] == []
    part = page.partition("## What is refused")[2].partition("\n## ")[0]
    assert {*re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)} == {*get_args(Code)}


def test_the_changelog_has_an_unreleased_part() -> None:
    assert "\n## Unreleased\n" in read("CHANGELOG.md")
