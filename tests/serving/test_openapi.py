"""The document of the API: what generated clients are made of, and the page that shows it."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import serving.api_docs


@pytest.fixture(scope="module")
def client(make_world, tmp_path_factory):
    """A client of one app for all."""
    world = make_world(tmp_path_factory.mktemp("openapi"))
    world.registry.release()
    with world.open() as client:
        yield client


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


def test_its_title_names_a_package(document):
    assert document["info"]["title"] == "Mingjian"


def test_operations_have_short_names_of_their_own(document):
    names = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(set(names)) == len(names)
    assert {"score_users", "server_ready", "infer"} <= set(names)
    assert [name for name in names if not re.fullmatch(r"[a-z][a-z0-9_]{2,29}", name)] == []


ELSEWHERE = re.compile(r"""(?:src|href|url|from|import)\s*[=:(]?\s*["']?(?:https?:)?//""", re.IGNORECASE)


def test_its_page_and_what_that_loads_come_from_here_alone(client):
    page = client.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert not re.search(r"https?:|\*", policy)
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 4
    for path in loaded:
        assert path.startswith("/")
        assert client.get(path).status_code == 200
    assert not ELSEWHERE.search(page.text)
    assert "<script>" not in page.text


@pytest.mark.parametrize("path", ["/redoc", "/docs/oauth2-redirect", "/docs/static/", "/docs/static/../routes.py"])
def test_no_other_page_shows_it(client, path):
    assert client.get(path).status_code == 404


def test_the_licence_lies_beside_the_copy():
    static = Path(serving.api_docs.__file__).parent / "static"
    assert "Apache License" in (static / "swagger-ui-LICENSE.txt").read_text()


@pytest.mark.slow
def test_the_page_shows_every_operation_and_asks_nobody_else(document, world, listen):
    from playwright.sync_api import sync_playwright

    with listen(world.app()) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(f"http://{address}/docs")
        page.wait_for_selector(".opblock")
        n_operations = sum(len(path) for path in document["paths"].values())
        assert page.locator(".opblock").count() == n_operations
        assert [url for url in asked if not url.startswith((f"http://{address}/", "data:"))] == []
        assert errors == []
        browser.close()


USE = """
from mingjian_client import AuthenticatedClient
from mingjian_client.api.users import score_users
from mingjian_client.models import ScoreUsers

client = AuthenticatedClient("http://{address}", "any", prefix="", auth_header_name="X-API-Key")
answer = score_users.sync_detailed(client=client, body=ScoreUsers(user_ids=["u1", "u2"]))
assert answer.status_code == 200, answer
print([one.user_id for one in answer.parsed.results])
"""


@pytest.mark.slow
def test_a_generated_client_installs_and_works(document, world, listen, tmp_path):
    world.registry.release()
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    generate = ["-m", "openapi_python_client", "generate", "--path", "openapi.json", "--meta", "setup",
                "--output-path", "made", "--fail-on-warning"]  # fmt: skip
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", "site", "./made"]
    beside = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}  # the generator asks for ruff
    for step in (generate, install):
        done = subprocess.run([sys.executable, *step], cwd=tmp_path, capture_output=True, text=True, env=beside)
        assert done.returncode == 0, done.stdout + done.stderr
    [installed] = importlib.metadata.distributions(path=[str(tmp_path / "site")])
    assert installed.name == "mingjian-client"
    with listen(world.app()) as address:
        use = [sys.executable, "-c", USE.format(address=address)]
        done = subprocess.run(use, cwd=tmp_path / "site", capture_output=True, text=True)
    assert ast.literal_eval(done.stdout or repr(done.stderr)) == ["u1", "u2"]
