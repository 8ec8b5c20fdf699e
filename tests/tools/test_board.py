"""What the lines about running stages say."""

from pathlib import Path

import pytest

from tools.lib import board, times
from tools.lib.board import Board
from tools.lib.engine import Done, Task


def task(name: str, log: Path, seconds: float | None = None, started: float = 0.0) -> Task:
    return Task(name, name, print, (), log, seconds=seconds, started=started)


def test_a_log_line_names_what_runs_and_what_waits_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr(board.time, "monotonic", lambda: now)
    shown = Board(lambda: ["seed-1: 3 of 9 stages run"])
    waiting = [task(name, tmp_path) for name in "abcdefgh"]
    shown.show([task("x", tmp_path)], waiting)
    assert capsys.readouterr().err == ""
    now = 161.0
    shown.show([task("x", tmp_path)], waiting)
    said = capsys.readouterr().err.splitlines()
    assert said == ["seed-1: 3 of 9 stages run", "0 done, 1 running, 8 waiting: a, b, c, d, e, f and 2 more"]


def test_the_time_left_is_that_of_the_last_run_at_the_speed_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(board.time, "monotonic", lambda: now)
    shown = Board()
    running = task("b", tmp_path, seconds=60.0, started=990.0)
    assert shown.left(running) == 50
    assert shown.left(task("new", tmp_path)) is None
    shown.ended(Done(task("a", tmp_path, seconds=100.0, started=800.0)))  # took twice as long
    assert shown.left(running) == 110
    assert shown.left(task("c", tmp_path, seconds=3.0, started=900.0)) == 0


def test_a_line_of_a_stage_has_the_newest_state_of_its_progress_bar(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert board._last_line(log) == ""
    log.write_bytes("vae: 10%\rvae: 20%\rvae: 30% é\n\n".encode() + b"\xc3")
    assert board._last_line(log) == "�"
    log.write_bytes(b"x" * 1000 + b"\nvae: 10%\rvae: 20%\n")
    assert board._last_line(log) == "vae: 20%"


@pytest.mark.parametrize(("seconds", "told"), [(0.4, "0:00"), (59.6, "1:00"), (125, "2:05"), (3600, "1:00:00")])
def test_times_are_told_as_people_read_them(seconds: float, told: str) -> None:
    assert board.clock(seconds) == told


def test_a_stage_took_what_its_timing_says(tmp_path: Path) -> None:
    folder = tmp_path / "data/timing"
    folder.mkdir(parents=True)
    (folder / "vae@vae_dense.json").write_text('{"seconds": 12.5}', encoding="utf-8")
    (folder / "fit@pca.json").write_text('{"seconds": 1.5}', encoding="utf-8")
    (folder / "costs.json").write_text('{"pca": {"knn_s_per_1000": 1}}', encoding="utf-8")
    assert times.of(tmp_path) == {"vae@vae_dense": 12.5}
    assert times.of(tmp_path / "nowhere") == {}
