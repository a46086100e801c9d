"""Which files of this project a stage runs: its script, and every module that it imports, directly or not.

Imports inside functions count. Imports for type checkers only do not count. A call of `families.speaking` counts as an
import of the module `speaking` of every family of models, and so on for the other parts. An import whose line says
`# no dep: <reason>` is left out, because its code cannot change the stage's results. A package that imports whatever
lies in its folder, with `iter_modules(__path__)`, counts with all its modules. If a module names a folder `templates`
that lies beside it, the whole folder counts. A stage's deps in dvc.yaml list these files. A test compares the two.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from voicetune import families as known
from voicetune.errors import UserError
from voicetune.files import read_text

PACKAGE = "voicetune"
NO_DEP = "# no dep: "
JUDGE = "voicetune.measures.judge"
"""Judges a model in training by what it speaks. No phase depends on its code. Stage choose does, and hashes it for the
phases that choose by ear."""
_ALSO = {"choose": (JUDGE,)}
SRC = Path(__file__).resolve().parents[1]
"""The folder of the code that this process runs; in an experiment of `dvc exp run --temp`, the experiment's own."""


def files(script: str, src: Path = Path("src")) -> list[str]:
    """List the files of a stage, sorted, as dvc.yaml writes them (`src/...`).

    Args:
        script: the stage's source file without its ending, such as `prepare`.
        src: the folder of the sources.
    """
    seen = _run_by(script, src)
    templates = {path.with_name("templates") for path in seen if _names_templates(path)}
    return sorted(path.relative_to(src.parent).as_posix() for path in [*seen, *templates])


def sha256(module: str, src: Path = Path("src")) -> str:
    """Hash the code of a module and of everything that it imports."""
    seen: dict[Path, None] = {}
    _add(module, src, seen)
    return _hash(seen, src)


def sha256_of_stage(script: str, src: Path = SRC) -> str:
    """Hash the code that a stage runs; `script` is its source file without its ending."""
    return _hash(_run_by(script, src), src)


def _run_by(script: str, src: Path) -> dict[Path, None]:
    """Find a stage's script and every file that it imports."""
    if not (src / f"{script}.py").is_file():
        raise UserError(
            f"a stage runs {src / script}.py, which is missing; correct the stage's `cmd` in dvc.yaml, and write `cmd`"
            " above `deps`."
        )
    seen: dict[Path, None] = {src / f"{script}.py": None}
    _follow(src / f"{script}.py", src, seen)
    for module in _ALSO.get(script, ()):
        _add(module, src, seen)
    return seen


def _hash(seen: Iterable[Path], src: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(seen):
        digest.update(path.relative_to(src).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _add(module: str, src: Path, seen: dict[Path, None]) -> None:
    """Add a module, the packages around it, and what they import."""
    parts = module.split(".")
    for i in range(1, len(parts) + 1):
        place = src.joinpath(*parts[:i])
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if path.is_file() and path not in seen:
            seen[path] = None
            _follow(path, src, seen)


def _follow(path: Path, src: Path, seen: dict[Path, None]) -> None:
    text = read_text(path, "restore it with `git checkout`")
    lines = text.split("\n")
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        at = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise UserError(f"{path}{at} is not valid Python; correct it, or restore it with `git checkout`.") from None
    for node in _imports(tree):
        if any(NO_DEP in line for line in lines[node.lineno - 1 : node.end_lineno]):
            continue
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names = [base, *(f"{base}.{name}" for name in names)]
        for name in names:
            if name.split(".")[0] == PACKAGE:
                _add(name, src, seen)
    if path.name == "__init__.py" and "iter_modules(__path__)" in text:
        for beside in sorted(path.parent.glob("*.py")):
            _add(".".join(beside.relative_to(src).with_suffix("").parts), src, seen)
    for part in _parts(tree):
        for family in known.TABLE.values():
            _add(f"{family.package}.{part}", src, seen)


def _imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield every import below a node, except those for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        yield from _imports(node)


def _parts(tree: ast.AST) -> Iterator[str]:
    """Yield the parts of models that a module opens, such as `speaking` of `families.speaking(path)`."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="families"), attr=name) if name in known.PARTS:
                yield name


def _names_templates(path: Path) -> bool:
    return path.with_name("templates").is_dir() and '"templates"' in path.read_text(encoding="utf-8")


def commands(pipeline: dict[str, Any]) -> dict[str, str]:
    """Return the command of each stage in a dvc.yaml.

    Raises:
        UserError: it has no stages, or a stage has no command `python src/...`.
    """
    stages = pipeline.get("stages")
    if not isinstance(stages, dict):
        raise UserError("dvc.yaml has no stages; restore it with `git checkout dvc.yaml`.")
    found = {}
    for name, one in stages.items():
        command = one.get("cmd") if isinstance(one, dict) else None
        if not isinstance(command, str) or not command.startswith("python src/"):
            raise UserError(f"dvc.yaml: stage '{name}' has no `cmd: python src/...`; write one.")
        found[str(name)] = command
    return found


def script_of(command: str) -> str:
    """The source file of a stage's command, without its ending: `prepare` of `python src/prepare.py`."""
    return Path(command.split()[1]).stem


def rewrite(dvc_yaml: str, src: Path = Path("src")) -> str:
    """Return dvc.yaml with the current files below src/ for each stage. Everything else in it stays.

    Args:
        dvc_yaml: the text, with `cmd:` before `deps:` in every stage, and one item per line.
    """
    out: list[str] = []
    script, below_deps = "", False
    for line in dvc_yaml.splitlines():
        if line.startswith("    cmd: "):
            script = script_of(line.removeprefix("    cmd: "))
        if below_deps and line.startswith("      - src/"):
            continue
        below_deps = below_deps and line.startswith("      ")
        if line.rstrip() in ("    deps:", "    deps: []"):
            below_deps = True
            out += ["    deps:", *(f"      - {file}" for file in files(script, src))]
            continue
        out.append(line)
    return "\n".join(out) + "\n"
