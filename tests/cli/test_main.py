import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from assay import __version__
from assay.cli import main as command_line
from assay.cli.main import app, is_expected, main, message_of
from assay.runs.journal import JournalError


def run_main(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["assay", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code


def test_the_version_is_printed():
    assert CliRunner().invoke(app, ["--version"]).stdout == f"assay {__version__}\n"


def test_every_command_has_a_help_page_with_an_example():
    names = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert {"score", "pick", "filter", "doctor"} <= names
    for name in sorted(names):
        page = CliRunner().invoke(app, [name, "--help"])
        assert page.exit_code == 0
        assert f"assay {name}" in page.stdout, name


def test_an_error_of_input_is_one_message_without_a_traceback(monkeypatch, capsys, tmp_path):
    (tmp_path / "mine.py").write_text("from assay.rewards import rules\nwords = rules.length(per_words=1)\n")
    reward, missing = f"{tmp_path}/mine.py:words", str(tmp_path / "none.jsonl")
    assert run_main(monkeypatch, "score", reward, missing, "-o", str(tmp_path / "s.jsonl")) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: {missing}: no such file")
    assert printed.count("\n") == 1


def test_assay_debug_shows_where(monkeypatch, tmp_path):
    monkeypatch.setenv("ASSAY_DEBUG", "1")
    monkeypatch.setattr(sys, "argv", ["assay", "score", "none.py:x", "none.jsonl", "-o", str(tmp_path / "s.jsonl")])
    with pytest.raises(ValueError, match=r"there is no file none\.py"):
        main()


def test_a_defect_keeps_its_traceback(monkeypatch, tmp_path):
    def defect(*_, **__):
        return int("not a number")

    monkeypatch.setattr(command_line, "app", defect)
    with pytest.raises(ValueError, match="not a number"):
        main()


def test_an_interrupt_is_no_traceback(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "app", interrupted)
    assert run_main(monkeypatch) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_wrong_usage_is_exit_code_two(monkeypatch, capsys):
    assert run_main(monkeypatch, "score") == 2
    assert run_main(monkeypatch, "nonsense") == 2
    assert "nonsense" in capsys.readouterr().err


def test_which_errors_are_expected():
    assert is_expected(JournalError("x"))
    assert is_expected(FileNotFoundError(2, "No such file", "x"))
    assert not is_expected(ValueError("of nowhere"))
    assert (
        message_of(FileNotFoundError(2, "No such file or directory", "a.jsonl")) == "a.jsonl: No such file or directory"
    )


def test_the_module_is_the_command():
    command = [sys.executable, "-m", "assay", "--version"]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    assert found.stdout == f"assay {__version__}\n"
