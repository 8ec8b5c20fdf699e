"""For every param: whatever is wrong with its value, the message names key, value and what is allowed."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from latentbench.params import file
from latentbench.params.base import ParamsError
from tests.faults.counting import Faults
from tests.params.mistakes import every_mistake, with_every_row, with_value

GUIDANCE = {"scale": 2.0, "dropped_share": 0.2}  # null by default, so that its own params would not be seen


@pytest.fixture(scope="module")
def params(root: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    content = with_every_row(content)
    content["diffusion"]["guidance"] = content["diffusion_latent"]["guidance"] = GUIDANCE
    return content


def n_leaves(content: Any) -> int:
    return sum(map(n_leaves, content.values())) if isinstance(content, dict) else 1


def test_every_mistake_in_every_param_is_told(params: dict[str, Any], faults: Faults) -> None:
    made = every_mistake(params)
    assert len({mistake.key for mistake in made}) >= n_leaves(params)
    assert len(made) > 2000
    for mistake in made:
        with faults.one():
            with pytest.raises(ParamsError) as caught:
                file.check(with_value(params, mistake.key, mistake.value))
            lines = [line for line in str(caught.value).splitlines() if line.startswith(mistake.key)]
            assert lines, f"{mistake}: {caught.value}"
            shown = mistake.value
            for _ in range(lines[0].partition(":")[0].removeprefix(mistake.key).count(".0")):  # of an item, and so on
                shown = shown[0]
            assert repr(shown)[:50] in lines[0], f"{mistake}: {lines[0]}"
            assert [word for word in mistake.allowed if word not in lines[0]] == [], f"{mistake}: {lines[0]}"


def test_nothing_is_written_when_a_mistake_is_told(
    params: dict[str, Any], faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["file"])
    for mistake in every_mistake(params)[::100]:
        with faults.one():
            text = yaml.safe_dump(with_value(params, mistake.key, mistake.value))
            Path("params.yaml").write_text(text, encoding="utf-8")
            with pytest.raises(SystemExit, match=rf"params\.yaml: {mistake.key}"):
                file.main()
            assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
            assert Path("params.yaml").read_text(encoding="utf-8") == text


def test_a_value_without_end_is_cut_short_in_the_message(params: dict[str, Any]) -> None:
    value: Any = ["long"] * 10
    for _ in range(9):
        value = [value] * 10  # as aliases in a YAML file may have it
    with pytest.raises(ParamsError) as caught:
        file.check(with_value(params, "latent_dim", value))
    assert str(caught.value).startswith("latent_dim: input should be a valid integer, not [[[")
    assert len(str(caught.value)) < 500
