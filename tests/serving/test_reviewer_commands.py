"""The commands that see to the people who review."""

import pytest

from serving.__main__ import main
from serving.settings import Settings

pytestmark = pytest.mark.usefixtures("data_dir")


@pytest.fixture
def run(capsys):
    """Runs a command that must succeed, and gives what it printed."""

    def ran(*arguments):
        assert main([*arguments]) == 0
        return capsys.readouterr().out

    return ran


@pytest.fixture
def may_sign_in(make_world):
    """Whether a name and a password open the console."""

    def signs_in(name, password):
        with make_world(Settings().data_dir).open() as client:
            form = {"name": name, "password": password}
            return client.post("/console/sign-in", data=form, follow_redirects=False).status_code == 303

    return signs_in


def people(run):
    return [line.split("\t")[1:4] for line in run("list-reviewers").splitlines()]


def test_a_reviewer_is_made_given_another_password_and_ended(run, may_sign_in):
    password = run("create-reviewer", "--name", "lin", "--role", "lead").strip()
    assert may_sign_in("lin", password)
    another = run("reset-reviewer", "--name", "lin").strip()
    assert [may_sign_in("lin", one) for one in (password, another)] == [False, True]
    assert people(run) == [["lin", "lead", "enabled"]]
    run("disable-reviewer", "--name", "lin")
    assert people(run) == [["lin", "lead", "disabled"]]
    assert not may_sign_in("lin", another)


def test_a_reviewer_may_have_no_password(run, may_sign_in):
    assert run("create-reviewer", "--name", "lin@example.com", "--no-password") == ""
    assert people(run) == [["lin@example.com", "reviewer", "enabled"]]
    assert not may_sign_in("lin@example.com", "")


def test_a_role_is_changed_and_an_account_is_given_or_forgotten(run, capsys):
    subject = "https://accounts.example.com 1234"
    assert run("create-reviewer", "--name", "lin", "--subject", subject) == ""
    run("change-reviewer", "--name", "lin", "--role", "ops")
    assert people(run) == [["lin", "ops", "enabled"]]
    run("create-reviewer", "--name", "wu", "--no-password")
    assert main(["bind-reviewer", "--name", "wu", "--subject", subject]) == 2
    assert "somebody else's" in capsys.readouterr().err
    run("bind-reviewer", "--name", "lin", "--forget")
    run("bind-reviewer", "--name", "wu", "--subject", subject)
    with pytest.raises(SystemExit):
        main(["bind-reviewer", "--name", "wu", "--subject", "wu@example.com"])


def test_what_cannot_be_is_said(run, capsys):
    run("create-reviewer", "--name", "lin")
    for command in (["create-reviewer", "--name", "lin"], ["reset-reviewer", "--name", "wu"]):
        assert main(command) == 2
    said = capsys.readouterr().err
    assert ("somebody has this name already" in said, "nobody has this name" in said) == (True, True)
