"""The package is built in layers: a room uses what stands below it, and never what stands above."""

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import nla_release

PACKAGE = Path(nla_release.__file__).parent

# From the ground up. A module may import from its own room and from those before it.
LAYERS = (
    "errors",
    "io",
    "text",
    "contract",
    "adapter",
    "statistics",
    "evidence",
    "release",
    "hub_client",
    "base_model",
    "diagnostics",
    "calibration",
    "engine",
    "local_hub",
    "history",
    "cards",
    "gate",
    "sidecar_formats",
    "fixes",
    "hub",
    "output",
    "report",
    "training",
    "api",
    "cli",
    "__main__",
)
SMALL = 60  # lines


@cache
def modules() -> dict[str, Path]:
    """Every module by its dotted name below the package; "" is the package itself."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports() -> dict[str, set[str]]:
    """The modules of the package that each one imports, wherever in its source."""
    found = {}
    for name, path in modules().items():
        named: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                named |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
            elif isinstance(node, ast.ImportFrom):
                raise AssertionError(f"{path}:{node.lineno} imports relatively")
        below = {each.removeprefix("nla_release").lstrip(".") for each in named if _ours(each)}
        found[name] = {each for each in below if each in modules()} - {name, ""}
    return found


def _ours(name: str) -> bool:
    return name == "nla_release" or name.startswith("nla_release.")


def room(module: str) -> str:
    return module.split(".")[0]


def test_the_layers_are_the_rooms_that_there_are():
    assert {room(name) for name in modules()} - {""} <= set(LAYERS)


def test_a_room_imports_only_from_those_below_it():
    height = {name: at for at, name in enumerate(LAYERS)}
    upwards = [
        f"{name} imports {other}"
        for name, others in imports().items()
        if name
        for other in sorted(others)
        if height[room(other)] > height[room(name)]
    ]

    assert not upwards, "\n".join(upwards)


def test_no_modules_import_each_other_in_a_circle():
    """Those within one room; a room and one above it cannot."""
    state: dict[str, str] = {}

    def visit(name: str, way: tuple[str, ...]) -> None:
        if state.get(name) == "open":
            raise AssertionError(" -> ".join([*way[way.index(name) :], name]))
        if name not in state:
            state[name] = "open"
            for other in sorted(imports()[name]):
                visit(other, (*way, name))
            state[name] = "done"

    for name in modules():
        visit(name, ())


def test_a_small_module_has_more_than_one_reader():
    """An idea of a few lines that one module needs belongs into that module."""
    readers: dict[str, set[str]] = defaultdict(set)
    for name, others in imports().items():
        for other in others:
            readers[other].add(name)
    alone = [
        f"{name} is read by {min(readers[name])} only"
        for name, path in modules().items()
        if path.name != "__init__.py"
        and len(path.read_text(encoding="utf-8").splitlines()) < SMALL
        and len(readers[name]) == 1
    ]

    assert not alone, "\n".join(alone)


def test_no_two_public_classes_have_one_name():
    """A reader who meets a name finds one class by it."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in modules().values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(PACKAGE)))
    twice = [
        f"{name} is defined in {' and in '.join(sorted(set(files)))}"
        for name, files in sorted(found.items())
        if len(set(files)) > 1
    ]

    assert not twice, "\n".join(twice)
