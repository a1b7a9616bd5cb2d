"""``python -m serving policy``: a file is checked, compared, and recent scores are replayed under it."""

import pytest

from serving.__main__ import main
from serving.policies.live import shipped_policy

SHIPPED = shipped_policy().content


@pytest.fixture
def policy_file(data_dir):
    """Writes a policy file."""

    def write(content=SHIPPED, name="new.toml"):
        path = data_dir / name
        path.write_text(content, encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def run(capsys):
    def run(*arguments):
        status = main(["policy", *arguments])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_a_good_file_is_checked(policy_file, run):
    status, out, err = run("check", policy_file())
    assert (status, err) == (0, "")
    assert out.endswith(f"21 rules, 8 actions, version {shipped_policy().version}\n")


def test_a_bad_file_is_one_line_a_problem_with_exit_2(policy_file, run):
    path = policy_file(SHIPPED.replace("priority = 90", "priority = 9000").replace('tier = "koc"', 'tier = "vip"'))
    status, out, err = run("check", path)
    tier, priority = (SHIPPED.split("\n").index(line) + 1 for line in ('tier = "koc"', "priority = 90"))
    assert (status, out) == (2, "")
    assert err.splitlines() == [
        f"serving: {path}:{tier}: tiers: tier must be one of ordinary, active, koc, head_creator; got 'vip'",
        f"{path}:{priority}: actions: priority must lie between 0 and 1000, got 9000",
    ]


def test_a_file_that_is_not_there_or_no_text_is_one_line_with_exit_2(data_dir, run):
    (data_dir / "bytes.toml").write_bytes(b"\xff")
    for name, said in (("nowhere.toml", "No such file"), ("bytes.toml", "not UTF-8")):
        status, out, err = run("check", str(data_dir / name))
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert said in err


def test_a_diff_is_against_the_active_policy_or_another_file(policy_file, run):
    new = policy_file(SHIPPED.replace("n_followers >= 1000", "n_followers >= 500"))
    line = (
        "tiers: koc: when was [n_followers >= 1000, n_publish_90d >= 3], is [n_followers >= 500, n_publish_90d >= 3]\n"
    )
    assert run("diff", new) == (0, line, "")
    assert run("diff", new, "--against", new) == (0, "nothing changes\n", "")


def test_recent_scores_are_replayed_and_what_would_change_is_shown(world, data_dir, policy_file, run, event):
    world.registry.release()
    world.registry.release_quality()
    with world.open() as client:
        for user_id, n_followers in (("u1", 600), ("u2", 5)):
            client.put(
                f"/v1/users/{user_id}", json={"n_followers": n_followers, "registered_at": "2024-01-01T00:00:00Z"}
            )
        events = [event(user_id, event="publish", days=days) for user_id in ("u1", "u2") for days in (1, 2, 3)]
        client.post("/v1/events", json={"events": events})
        client.put("/v1/notes/n1", json={"body": "这家小店藏在巷子里，手冲咖啡很香。", "author_id": "u1"})
    as_of = "2025-05-01T12:00:00+00:00"
    assert main(["score-all", "--out", str(data_dir / "scores"), "--as-of", as_of]) == 0
    changed = SHIPPED.replace("n_followers >= 1000", "n_followers >= 500").replace(
        "quality < limit_below", "quality < 99"
    )
    status, out, _ = run("simulate", policy_file(changed))
    assert status == 0
    assert out.startswith(f"users: 2 as of {as_of}, 0 of them without a stored score; another tier or stage: 1\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in out.splitlines() if line.startswith("|")]
    tables = {row[0]: row[1:] for row in rows}
    assert tables["active"] == ["0", "1 (-1)", "0", "0", "0", "0", "1 (-1)"]
    assert tables["koc"] == ["0", "1 (+1)", "0", "0", "0", "0", "1 (+1)"]
    assert tables["traffic_support"] == ["1 (+1)"]
    assert "notes: 1; another decision: 1\n" in out
    assert tables["pass"] == ["0", "0", "1", "0", "0"]
