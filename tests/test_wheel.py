"""What `pip install` puts on a machine is all that painting needs: configs and checkpoints lie inside the package."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from vqclip.base.paths import CHECKPOINTS, CONFIGS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "vqclip"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_every_config_and_checkpoint_is_inside_unchanged(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for folder in (CONFIGS, CHECKPOINTS):
            for path in folder.rglob("*"):
                if path.is_file():
                    inside = f"vqclip/{folder.name}/{path.relative_to(folder).as_posix()}"
                    assert archive.getinfo(inside).file_size == path.stat().st_size
        assert "vqclip/weights/cards/vqgan.yaml" in archive.namelist()
        pages = {f"vqclip/{path.relative_to(PACKAGE).as_posix()}" for path in PACKAGE.glob("*/page/*")}
        assert len(pages) > 5
        assert pages <= set(archive.namelist())


def test_nothing_but_the_package_is_inside(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
        assert {top for top in tops if not top.endswith(".dist-info")} == {"vqclip"}
        assert not [
            name for name in archive.namelist() if "__pycache__" in name or name.startswith("vqclip/data")
        ]
        entry = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert b"vqclip = vqclip.cli.app:main" in archive.read(entry)


def test_an_installed_package_finds_its_configs_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        "import sys; sys.path.insert(0, '../site'); from vqclip.config import resolve as config; from "
        "vqclip.base import paths as resources;"
        "from vqclip.weights import catalog; print(resources.CONFIGS, resources.CHECKPOINTS);"
        "print(config.resolve(preset='fine').size, *catalog.cards())"
    )
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        cwd=tmp_path / "elsewhere",
        capture_output=True,
        text=True,
        check=True,
    )
    configs, checkpoints, size, *cards = done.stdout.split()
    assert Path(configs) == tmp_path / "site/vqclip/configs"
    assert Path(checkpoints) == tmp_path / "site/vqclip/checkpoints"
    assert size == "384x384"
    assert cards[:2] == ["mini-vqgan", "mini-clip-2"]
