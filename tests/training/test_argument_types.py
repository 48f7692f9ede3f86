"""Wrong values of a training's options are refused in one line that says what is allowed."""

import pytest
import torch

from training import prior, tower


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("--painted", "-1", "a whole number from 0"),
        ("--batch", "0", "a whole number from 1"),
        ("--batch", "2.5", "a whole number from 1"),
        ("--coarse", "1,0", "a whole number from 1"),
        ("--sides", "10", "a whole number from 32"),
        ("--minutes", "x", "a number from 0"),
        ("--minutes", "nan", "a number from 0"),
        ("--said", "1.5", "a number from 0 to 1"),
        ("--rate", "-1", "a number from 0"),
        ("--against", "foo", "view, sentence, or view,sentence"),
        ("--device", "foo", "write cpu"),
    ],
)
def test_a_wrong_value_of_the_tower(
    option: str, value: str, allowed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        tower.main(["--packed", "none", "--out", "none", f"{option}={value}"])
    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"argument {option}: " in last
    assert allowed in last


@pytest.mark.parametrize(("option", "value"), [("--layers", "0"), ("--calm", "2"), ("--device", "cuda:x")])
def test_a_wrong_value_of_the_prior(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        prior.main(["--packed", "none", "--out", "none", f"{option}={value}"])
    assert ended.value.code == 2
    assert f"argument {option}: " in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        tower.main(["--packed", "none", "--out", "none", "--device", "cuda"])
    assert "cuda: write cpu, as torch finds no GPU here" in capsys.readouterr().err
