"""Results are kept by what decides them; keys of code are computed from what it imports."""

import pytest

from sqhw.tools import cache


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A package `sim` of its own, in front of the real one."""
    files = {
        "__init__": "",
        "top": "from . import middle\nfrom .group import leaf\nimport json\n",
        "middle": "from sim.low import f\n",
        "low": "from . import top\n",
        "group/__init__": "",
        "group/leaf": "",
        "other": "",
    }
    for name, text in files.items():
        path = tmp_path / "sim" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(cache, "_spec", lambda name: find(tmp_path, name))
    return tmp_path / "sim"


class Spec:
    def __init__(self, path):
        self.origin = str(path)
        self.submodule_search_locations = [str(path.parent)] if path.stem == "__init__" else None


def find(folder, name):
    place = folder.joinpath(*name.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.exists():
            return Spec(path)
    return None


@pytest.mark.parametrize(
    ("name", "decides"),
    [(n, True) for n in ("__init__", "top", "middle", "low", "group/__init__", "group/leaf")]
    + [("other", False)],
)
def test_a_file_counts_if_it_is_imported(project, name, decides):
    cache.sources.cache_clear()
    before = cache.sources("sim.top")
    with (project / f"{name}.py").open("a") as file:
        file.write("# changed\n")
    cache.sources.cache_clear()
    assert (cache.sources("sim.top") != before) == decides


def test_real_modules_are_followed():
    cache.sources.cache_clear()
    core, array = (cache.sources(f"sqhw.measure.{name}") for name in ("core", "rivals.array"))
    assert core != array
    assert cache.sources("sqhw.measure.core", "sqhw.measure.rivals.array") not in (core, array)
    assert cache.sources("no.such.module") == cache.key([])
