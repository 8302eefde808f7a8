"""The files of deploy/ through the tools that would run them; what a tool cannot see is looked at here."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml

from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until_now

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_dockerfile_is_clean() -> None:
    run(BIN / "hadolint", DEPLOY / "Dockerfile")


def test_the_compose_file_fits_its_schema() -> None:
    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


def test_everything_the_compose_file_mounts_is_there_and_every_image_is_pinned() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for name, service in compose["services"].items():
        assert re.search(r":v?\d+\.\d+|:local$", service["image"]), name
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).exists(), mount
        for needed in service.get("depends_on", {}):
            assert needed in compose["services"]


def copied() -> list[str]:
    """Return the folders that the Dockerfile copies from the repository."""
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    return [line.split()[1] for line in lines if line.startswith("COPY ") and not line.startswith("COPY --from")]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What the image would hold, without Docker: the copied files, and the packages of requirements.lock alone."""
    root, packages = tmp_path_factory.mktemp("image"), tmp_path_factory.mktemp("packages")
    assert copied() == ["requirements.lock", "collector", "enricher", "sink"]
    for name in copied()[1:]:
        (root / name).symlink_to(ROOT / name)
    for name in re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE):
        try:
            files = distribution(name).files or []
        except ModuleNotFoundError:
            continue  # of another platform or Python
        where = distribution(name).locate_file("")
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(where)) / top)
    return root, packages


@pytest.mark.parametrize("stage", ["collector", "enricher", "sink"])
def test_each_command_starts_with_the_locked_packages_alone(
    stage: str, image: tuple[Path, Path], tmp_path: Path, start: Callable[..., Program]
) -> None:
    """It comes up, the image's own health check passes, and it ends with 0: without Kafka or ClickHouse."""
    root, packages = image
    admin = free_port()
    prefix = f"PHAROS_{stage.upper()}_"
    env = {
        "PYTHONPATH": str(packages),
        f"{prefix}ADMIN_PORT": str(admin),
        f"{prefix}KAFKA": f"127.0.0.1:{free_port()}",
    }
    if stage == "collector":
        env |= {
            f"{prefix}SITES": str(DEPLOY / "local/sites.toml"),
            f"{prefix}SPOOL_DIR": str(tmp_path / "spool"),
            f"{prefix}PORT": str(free_port()),
            f"{prefix}GRACE_S": "0",
            f"{prefix}DRAIN_S": "1",
        }
    program = start([sys.executable, "-S", "-m", stage], env=env, cwd=root)
    health = health_check().replace("(9100, 9101, 9102)", f"({admin},)")

    def healthy() -> bool:
        assert program.running, program.output()
        return (
            subprocess.run([sys.executable, "-c", health], timeout=30, check=False, capture_output=True).returncode == 0
        )

    until_now(healthy, f"{stage}'s health check")
    assert program.terminate(60) == 0, program.output()


def health_check() -> str:
    """Return the program of the Dockerfile's HEALTHCHECK, read as Docker reads it."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", "")
    found = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", text, re.MULTILINE)
    assert found is not None
    python, option, program = json.loads(found.group(1))
    assert (python, option) == ("python", "-c")
    return str(program)
