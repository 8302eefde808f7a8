"""What a release is made of: the notes, the workflows, the way to a bill of materials."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploy.release import CHANGELOG, notes
from stage.version import VERSION

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.stem)
def test_github_would_take_the_workflows(workflow: Path) -> None:
    checker = str(Path(sys.executable).parent / "check-jsonschema")
    command = [checker, "--builtin-schema", "vendor.github-workflows", str(workflow)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        for step in job.get("steps", ()):
            for target in re.findall(r"^make ([\w ]+)$", step.get("run", ""), re.MULTILINE):
                assert all(
                    re.search(rf"^{one}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for one in target.split()
                )
            for module in re.findall(r"python -m ([\w.]+)", step.get("run", "")):
                assert module == "pip" or (ROOT / f"{module.replace('.', '/')}.py").exists()


def test_the_notes_are_the_section_of_the_version() -> None:
    text = "# Changelog\n\n## 0.2.0 - 2027-01-01\nnew\n\n## 0.1.0 - 2026-12-01\n\n### For people\n- first\n"
    assert notes(text, "0.1.0") == "### For people\n- first\n"
    assert notes(text, "0.2.0") == "new\n"
    for number in ("0.1", "0.3.0", "Unreleased"):
        with pytest.raises(ValueError, match="has no section"):
            notes(text, number)


def test_this_version_has_notes() -> None:
    assert "### For operators" in notes(CHANGELOG.read_text(), VERSION)
