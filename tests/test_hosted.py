"""The files for hosts and containers: the workflow, the image and the development container."""

import json
import re
import tomllib
from pathlib import Path

import yaml

from voicetune import __main__ as command
from voicetune.commands.serve import serve as run_server

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WORKFLOW = (ROOT / ".github/workflows/test.yml").read_text()
JOBS = yaml.safe_load(WORKFLOW)["jobs"]
DOCKERFILE = (ROOT / ".devcontainer/Dockerfile").read_text()


def test_every_supported_python_is_tested():
    low, high = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PYPROJECT["project"]["requires-python"]).groups()
    wanted = [f"3.{minor}" for minor in range(int(low), int(high))]
    assert JOBS["test"]["strategy"]["matrix"]["python"] == wanted


def test_code_of_a_pull_request_gets_a_token_that_can_only_read():
    assert yaml.safe_load(WORKFLOW)["permissions"] == {}
    assert "pull_request_target" not in WORKFLOW
    for name, job in JOBS.items():
        used = [step["uses"] for step in job["steps"] if "uses" in step]
        assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", one) for one in used), name
        if job["permissions"] != {"contents": "read"}:
            assert not [one for one in used if one.startswith("actions/checkout@")], name
            assert not [step for step in job["steps"] if "make " in step.get("run", "")], name


def test_no_text_of_a_pull_request_is_put_into_a_command():
    for job in JOBS.values():
        assert not [step for step in job["steps"] if "${{" in step.get("run", "")]


def test_the_image_for_gpus_has_the_packages_that_pyproject_names():
    extras = PYPROJECT["project"]["optional-dependencies"]
    for package in extras["low-memory"] + extras["gpu-recogniser"]:
        assert f" {package} " in DOCKERFILE or f'"{package}"' in DOCKERFILE


def test_the_image_that_serves_has_the_code_and_nothing_else_of_the_repository():
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    assert [stage.split()[2] for stage in stages] == ["tools", "packages", "serve", "voicetune"]
    serve = stages[2]
    assert re.findall(r"^COPY \S+ (.+)$", serve, re.MULTILINE) == ["LICENSE ./", "src src"]
    (entry,) = re.findall(r"^ENTRYPOINT (.+)$", serve, re.MULTILINE)
    given = command.parser().parse_args(json.loads(entry)[3:])
    assert json.loads(entry)[:3] == [".venv/bin/python", "-m", "voicetune"], "no shell keeps SIGTERM to itself"
    assert (given.run, given.host, given.watermark) == (run_server, "0.0.0.0", False)
    (port,) = re.findall(r"^EXPOSE (\d+)$", serve, re.MULTILINE)
    assert int(port) == given.port
    assert f"http://127.0.0.1:{port}/healthz" in serve
    (watermark,) = (one for one in PYPROJECT["project"]["optional-dependencies"]["watermark"] if "perth" in one)
    assert f" {watermark}\n" in serve


def test_nothing_runs_as_root_in_the_image():
    last = DOCKERFILE.index("\nUSER 1000\n")
    assert DOCKERFILE.count("\nUSER ") == 1
    assert "apt-get" not in DOCKERFILE[last:]
    opened = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert opened["remoteUser"] == "voicetune"
    assert f" AS {opened['build']['target']}\n" in DOCKERFILE


def test_what_git_ignores_gets_into_no_image():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for line in (ROOT / ".gitignore").read_text().splitlines():
        if line.startswith("/") and "?" not in line:
            assert line.strip("/") in ignored, line
    assert "data/raw/*" in ignored
