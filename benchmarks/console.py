"""What the console's pages cost, and how they look: ``python -m benchmarks.console URL --name NAME --password WORD``.

Asks a running server, such as the demo's, for each page as somebody who is signed in: printed are the median and the
99th percentile of the server's time, and what the page weighs with its style, script and charts. A browser claims and
decides a few reviews: the median from a key to the next note. With ``--shots DIR`` every page is drawn to a PNG there.
"""

import argparse
import io
import shutil
import time
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, Response, sync_playwright

PAGES = {
    "reviews": "reviews",
    "queue": "queue",
    "users": "users",
    "user": "users/{user_id}",
    "overview": "overview?days=90",
    "models": "models",
    "policy": "policy",
    "people": "people",
}
N_ASKED = 30
N_DECIDED = 10
N_LOOKED_AT = 20
WIDTH, TALLEST = 1280, 1500


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--name", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--user", default="u0", help="whose page is asked for")
    parser.add_argument("--shots", type=Path, metavar="DIR")
    options = parser.parse_args()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": WIDTH, "height": 860})
        sign_in(page, options.url, options.name, options.password)
        decide(page, options.url)
        for name, path in PAGES.items():
            ask(page, name, f"{options.url}/console/{path.format(user_id=options.user)}")
            if options.shots:
                options.shots.mkdir(parents=True, exist_ok=True)
                shoot(page, options.shots / f"{name}.png")
        chromium.close()


def shoot(page: Page, file: Path) -> None:
    """Draw the top of a page, in as few bytes as 128 colours take."""
    height = min(page.evaluate("document.documentElement.scrollHeight"), TALLEST)
    drawn = page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
    Image.open(io.BytesIO(drawn)).convert("RGB").quantize(128).save(file, optimize=True)


def sign_in(page: Page, url: str, name: str, password: str) -> None:
    """Sign in."""
    page.goto(f"{url}/console/sign-in")
    page.locator("input[name=name]").fill(name)
    page.locator("input[name=password]").fill(password)
    page.locator("button.main").click()
    page.wait_for_url("**/console/reviews")


def decide(page: Page, url: str) -> None:
    """Decide some reviews by keyboard."""
    page.goto(f"{url}/console/reviews")
    if page.locator("article.note").count() == 0:
        page.keyboard.press("n")
    page.locator("article.note").wait_for()
    seconds = []
    for number in range(N_DECIDED):
        before = page.locator("form.decide").get_attribute("action")
        started = time.perf_counter()
        page.keyboard.press("12"[number % 2])
        page.locator(f'form.decide:not([action="{before}"])').wait_for()
        seconds.append(time.perf_counter() - started)
    for _ in range(N_LOOKED_AT):  # a note in which something is marked shows best
        if page.locator("article.note mark").count():
            break
        page.keyboard.press("n")
        page.wait_for_load_state("load")
    print(f"from a key to the next note, in the browser: p50 {np.median(seconds) * 1e3:.0f} ms")


def ask(page: Page, name: str, url: str) -> None:
    """Ask for a page again and again, and leave it open."""
    seconds = []
    for _ in range(N_ASKED):
        started = time.perf_counter()
        page.request.get(url)
        seconds.append(time.perf_counter() - started)
    weighed: list[int] = []

    def weigh(answer: Response) -> None:
        weighed.append(len(answer.body()) if answer.ok else 0)

    page.on("response", weigh)
    page.goto(url, wait_until="networkidle")
    page.remove_listener("response", weigh)
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
    print(f"{name}: p50 {p50:.0f} ms, p99 {p99:.0f} ms, {sum(weighed) / 1e3:.0f} kB in all")


if __name__ == "__main__":
    main()
