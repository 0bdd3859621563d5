"""The converter with a Model Optimizer that only notes down what it is asked for."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from modelzoo.openvino.locate import HERE

from tests.conftest import TOOLS, tool
from tests.programs import Programs, gone, make_tree, wait_until
from tests.zoo import add_local_model, tree


def convert(
    programs: Programs, root: Path, *options: str, check: int | None = 0, **environ: str
) -> Any:
    """Run the converter on a tree that `make_tree` has made."""
    return programs.tool("converter", *on_tree(programs, root), *options, check=check, **environ)


def on_tree(programs: Programs, root: Path) -> list[str | Path]:
    """Options for a tree that `make_tree` has made."""
    return ["--source", root / "zoo", "--mo", programs.mo, "-d", root / "dl"]


def headings(output: str) -> list[str]:
    """The sections of an output, without what Python and paths they name."""
    return [line[11:] for line in output.splitlines() if line.startswith("========== ")]


def test_what_is_printed_and_what_is_left(programs: Programs, tmp_path: Path) -> None:
    make_tree(tmp_path, "a", "b-warns")
    options = ["--all", "--precisions=FP32", "--add_mo_arg=--x", "--add-mo-arg=y z"]
    done = tool("converter", *on_tree(programs, tmp_path), *options)
    folder = tmp_path / "dl/public/a"
    command = [
        sys.executable, "--", str(programs.mo), "--framework=onnx", "--data_type=FP32",
        f"--output_dir={folder}/FP32", "--model_name=a",
        f"--input_model={folder}/model.onnx", "--x", "y z",
    ]  # fmt: skip
    shown = f"Conversion command: {shlex.join(command)}"
    first = f"========== Converting a to IR (FP32)\n{shown}\n\nworking on a\n\n"
    assert done.stdout.startswith(first + "========== Converting b-warns to IR (FP32)\n")
    assert done.stderr == "a warning about b-warns\n"
    assert tree(folder) == {
        "FP32": "folder", "FP32/a.bin": b"IR of a", "FP32/a.xml": b"IR of a", "model.onnx": b"a",
    }  # fmt: skip
    kept = [p.name for p in (tmp_path / "dl/.modelzoo").iterdir()]
    assert kept == ["conversions"]
    ran = programs.runs()[0]["argv"]
    assert [word for word in command[3:] if word not in ran] == [f"--output_dir={folder}/FP32"]


def test_failures_do_not_stop_the_others(programs: Programs, tmp_path: Path) -> None:
    make_tree(tmp_path, "a-fails", "b-dies", "c-silent", "d")
    for jobs in ("1", "3"):
        done = convert(programs, tmp_path, "--all", "-j", jobs, "--force", check=1)
        assert done.stdout.endswith("\nFAILED:\na-fails\nb-dies\nc-silent\n")
        assert "Terminated by signal SIGKILL (9)\n" in done.stderr
        assert "the command ended well, but left no .xml file" in done.stderr
        # A failure ends the work on its model: there is no attempt at the second precision.
        assert programs.names() == [*["a-fails", "b-dies", "c-silent", "d", "d"]] or jobs == "3"
        assert sorted(p.name for p in (tmp_path / "dl/public").glob("*/*/*.xml")) == ["d.xml", "d.xml"]


def test_output_of_jobs_beside_each_other_is_in_order(programs: Programs, tmp_path: Path) -> None:
    names = ["a-slow-warns", "b", "c-warns", "d"]
    make_tree(tmp_path, *names)
    one = convert(programs, tmp_path, "--all", "--precisions=FP16")
    several = convert(programs, tmp_path, "--all", "--precisions=FP16", "-j4", "--force")
    assert set(programs.names()[4:]) == set(names)
    without = [line for line in several.stdout.splitlines() if not line.startswith("a warning")]
    assert without == one.stdout.splitlines()
    assert several.stderr == ""
    line = several.stdout.splitlines().index("a warning about c-warns")
    assert several.stdout.splitlines()[line - 1] == "working on c-warns"


def test_skips(programs: Programs, tmp_path: Path) -> None:
    make_tree(tmp_path, "a")
    ir = {f"FP16/{n}": b"x" for n in ("b.xml", "b.bin")}
    add_local_model(tmp_path / "zoo", "public/b", ir, framework="dldt", model_optimizer_args=None)
    onnx = {"framework": "caffe2", "conversion_to_onnx_args": ["--x"]}
    add_local_model(tmp_path / "zoo", "public/c", {"c.pb": b"c"}, **onnx)
    done = convert(programs, tmp_path, "--all", "--precisions=FP16-INT8")
    why = ["all conversions skipped", "no conversions defined", "all conversions skipped"]
    assert headings(done.stdout) == [f"Skipping {n} ({w})" for n, w in zip("abc", why, strict=True)]
    caffe2 = "Skipping c (needs Caffe2, which is in no Python of today)"
    assert headings(convert(programs, tmp_path, "--name", "c*").stdout) == [caffe2]
    done = convert(programs, tmp_path, "--name", "c", check=1)
    assert done.stdout == f"========== {caffe2}\n\nFAILED:\nc\n"
    shown = convert(programs, tmp_path, "--name", "c", "--dry_run").stdout
    assert headings(shown)[0] == "(DRY RUN) Converting c to ONNX"
    assert "/caffe2_to_onnx.py --x\n\n\n==========" in shown
    assert programs.runs() == []


def test_a_dry_run_touches_nothing(programs: Programs, tmp_path: Path) -> None:
    make_tree(tmp_path, "a", model_optimizer_args=["--m=$mo_dir", "--c=$config_dir", "--o=$conv_dir"])
    before = tree(tmp_path)
    for spelling in ("--dry_run", "--dry-run"):
        done = convert(programs, tmp_path, "--all", spelling, "-o", str(tmp_path / "out"), "-j2")
        assert headings(done.stdout) == [
            f"(DRY RUN) Converting a to IR ({p})" for p in ("FP16", "FP32")
        ]
    out, zoo = tmp_path / "out/public/a", tmp_path / "zoo/public/a"
    assert f" --m={programs.mo.parent} --c={zoo} --o={out}\n" in done.stdout
    assert tree(tmp_path) == before


def test_the_folder_of_extensions(programs: Programs, tmp_path: Path) -> None:
    """Catalogs from 2022 on name it; Model Optimizer has it up to 2021."""
    folder = programs.mo.parent
    args = ["--transformations_config=$mo_ext_dir/front/tf/it.json"]
    make_tree(tmp_path, "a", model_optimizer_args=args)
    for place in (folder, folder / "extensions"):
        place.mkdir(exist_ok=True)
        done = convert(programs, tmp_path, "--all", "--dry_run")
        assert f" --transformations_config={place}/front/tf/it.json\n" in done.stdout


def test_an_unknown_variable_fails_its_model(programs: Programs, tmp_path: Path) -> None:
    make_tree(tmp_path, "a", model_optimizer_args=["--x=$bogus"])
    make_tree(tmp_path, "b")
    done = convert(programs, tmp_path, "--all", check=1)
    assert "a: $bogus is none of $config_dir, $conv_dir, $dl_dir, $mo_dir, $mo_ext_dir\n" in done.stderr
    assert done.stdout.endswith("FAILED:\na\n")
    assert programs.names() == ["b", "b"]


@pytest.mark.parametrize(
    ("options", "status", "problem"),
    [
        ([], 2, "one of the arguments --all --name --list --print_all --url is required"),
        (["--all", "--print_all"], 2, "not allowed with argument"),
        (["--all", "-j0"], 2, "a whole number from 1 to 1024, or auto"),
        (["--all", "-d", "ftp://h/models"], 2, "expected a folder or s3://BUCKET/PATH, gs://BUCKET"),
        (["--name", "zzz", "--precisions=FP8"], 1, 'No matching models: "zzz"'),
        (["--all", "--precisions=FP8"], 1, 'Unknown precision "FP8"'),
        (["--all", "--python", "/no/such/python"], 1, "--python: /no/such/python: No such file"),
        (["--all", "--python", "/bin/true"], 1, "/bin/true does not run Python code: it ended with 0"),
    ],
)
def test_mistakes(options: list[str], status: int, problem: str, programs: Programs) -> None:
    """In the order of the checks: nobody is asked for a program before the rest is right."""
    done = programs.tool("converter", *options, "--source", "demo", check=status)
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_names_are_printed_without_any_toolkit(tmp_path: Path) -> None:
    for name in ("converter", "quantizer"):
        done = tool(name, "--print_all", "--source", "demo", "--python", "/no/such/python")
        assert done.stdout.splitlines()[0] == "prob-breast-cancer-logistic"


def test_settings_from_the_environment(programs: Programs, tmp_path: Path) -> None:
    make_tree(tmp_path, "a")
    environ = {"MODELZOO_ADD_MO_ARG": "--x\n--y=z w", "MODELZOO_MO": str(programs.mo)}
    environ |= {"MODELZOO_PRECISIONS": "FP16", "MODELZOO_DOWNLOAD_DIR": str(tmp_path / "dl")}
    programs.tool("converter", "--all", "--source", tmp_path / "zoo", **environ)
    assert [run["argv"][-2:] for run in programs.runs()] == [["--x", "--y=z w"]]


def test_what_is_up_to_date_is_not_done_again(programs: Programs, tmp_path: Path) -> None:
    zoo = make_tree(tmp_path, "a", "b")
    convert(programs, tmp_path, "--all", "--precisions=FP16")
    done = convert(programs, tmp_path, "--all")
    fresh = ["Skipping a: IR (FP16) (up to date)", "Converting a to IR (FP32)"]
    assert headings(done.stdout)[:2] == fresh
    assert programs.names() == ["a", "b", "a", "b"]
    (tmp_path / "dl").rename(tmp_path / "moved")
    (tmp_path / "moved").rename(tmp_path / "dl")
    os.utime(tmp_path / "dl/public/a/model.onnx")  # the same bytes at another time
    assert convert(programs, tmp_path, "--all").stdout.count("up to date") == 4
    for change, redone in (
        (lambda: (tmp_path / "dl/public/a/model.onnx").write_bytes(b"other"), ["a", "a"]),
        (lambda: (tmp_path / "dl/public/b/FP16/b.xml").write_bytes(b"damaged"), ["b"]),
        (lambda: (tmp_path / "dl/public/b/FP32/b.bin").unlink(), ["b"]),
        (lambda: programs.mo.write_text(programs.mo.read_text() + "# newer"), ["a", "a", "b", "b"]),
        (lambda: (tmp_path / "dl/.modelzoo/conversions/zoo/b.json").write_text("{"), ["b", "b"]),
        (lambda: None, []),
    ):
        before = len(programs.names())
        change()
        convert(programs, tmp_path, "--all", "-j2")
        assert sorted(programs.names()[before:]) == redone
    before = len(programs.names())
    convert(programs, tmp_path, "--name", "a", "--add_mo_arg=--new")
    convert(programs, tmp_path, "--name", "b", "--force")
    assert programs.names()[before:] == ["a", "a", "b", "b"]
    assert zoo.is_dir()


PRE = """
import sys
from pathlib import Path
assert sys.argv[1] == "--"
came, made = map(Path, sys.argv[2:])
print("pre-converting")
Path(made, "sub").mkdir()
Path(made, "sub", "graph.pb").write_bytes((came / "model.onnx").read_bytes() * 2)
"""


def test_a_script_that_prepares(programs: Programs, tmp_path: Path) -> None:
    zoo = make_tree(tmp_path, "a", model_optimizer_args=["--input_model=$conv_dir/sub/graph.pb"])
    script = zoo / "public/a/pre-convert.py"
    script.write_text(PRE)
    options = ("--all", "--precisions=FP16", "-o", str(tmp_path / "out"))
    done = convert(programs, tmp_path, *options)
    dl, out = tmp_path / "dl/public/a", tmp_path / "out/public/a"
    shown = shlex.join([sys.executable, "--", str(script), "--", str(dl), str(out)])
    start = f"========== Running pre-convert script for a\nPre-convert command: {shown}\n\n"
    assert done.stdout.startswith(f"{start}pre-converting\n\n")
    assert (out / "sub/graph.pb").read_bytes() == b"aa"
    assert (out / "FP16/a.xml").exists()
    assert headings(convert(programs, tmp_path, *options).stdout) == [
        "Skipping a: pre-converted files (up to date)", "Skipping a: IR (FP16) (up to date)",
    ]  # fmt: skip
    script.write_text(f"{PRE}\nsys.exit(4)")
    done = convert(programs, tmp_path, *options, check=1)
    assert done.stdout.endswith("pre-converting\n\nFAILED:\na\n")
    shown = convert(programs, tmp_path, *options, "--dry_run").stdout
    assert shown.startswith(
        "========== (DRY RUN) Running pre-convert script for a\nPre-convert command: "
    )
    assert "\n\n\n========== (DRY RUN) Converting a to IR" in shown


@pytest.mark.parametrize(
    ("number", "jobs"),
    [(signal.SIGINT, "1"), (signal.SIGTERM, "2"), (signal.SIGKILL, "2")],
    ids=["SIGINT", "SIGTERM", "SIGKILL"],
)
def test_a_stopped_run_leaves_no_process_and_no_half_results(
    number: signal.Signals, jobs: str, programs: Programs, tmp_path: Path
) -> None:
    make_tree(tmp_path, "a-hangs", "b-hangs")
    command = [
        sys.executable,
        TOOLS / "converter.py",
        "--source",
        tmp_path / "zoo",
        "--all",
        "-j",
        jobs,
    ]
    command += ["--mo", programs.mo, "-d", tmp_path / "dl", "--precisions=FP16"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        pids = wait_until(lambda: len(programs.pids()) == 2 * int(jobs) and programs.pids())
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    wait_until(lambda: gone(pids))
    assert process.returncode == (-number if number == signal.SIGKILL else 130)
    assert errors == ("" if number == signal.SIGKILL else "converter.py: interrupted\n")
    assert not list((tmp_path / "dl/public").glob("*/FP16"))
    programs.let_go()
    convert(programs, tmp_path, "--all", "--precisions=FP16")
    assert len(list((tmp_path / "dl/public").glob("*/FP16/*.xml"))) == 2
    assert not (tmp_path / "dl/.modelzoo/staging").exists()


def test_two_runs_do_the_work_once(programs: Programs, tmp_path: Path) -> None:
    make_tree(tmp_path, "a-slow", "b-slow")
    command = [sys.executable, TOOLS / "converter.py", "--source", tmp_path / "zoo", "--all"]
    command += ["--mo", programs.mo, "-d", tmp_path / "dl", "--precisions=FP16"]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = "".join(run.communicate(timeout=60)[0] for run in runs)
    assert [run.returncode for run in runs] == [0, 0]
    assert printed.count("(up to date)") == 2
    assert sorted(programs.names()) == ["a-slow", "b-slow"]


def test_the_code_of_a_registered_source_needs_consent(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELZOO_ZOO_DIR", str(tmp_path / "zoos"))
    make_tree(tmp_path, "a", "b")
    (tmp_path / "zoo/public/a/pre-convert.py").write_text(PRE)
    programs.tool("sources", "register", tmp_path / "zoo")
    command = ["converter", "--mo", programs.mo, "-d", tmp_path / "dl", "--name", "a,b"]
    command += ["--source", "zoo", "--precisions=FP16", "-o", tmp_path / "out"]
    for scheduled in ([], ["-j2"]):
        done = programs.tool(*command, *scheduled, check=1)
        assert "pre-convert.py: this code of the source" in done.stderr
        assert "--trust_remote_code" in done.stderr
        assert done.stdout.endswith("FAILED:\na\n")
    assert not (tmp_path / "out/public/a").exists()
    programs.tool(*command, "--trust_remote_code")
    assert (tmp_path / "out/public/a/FP16/a.xml").exists()
    (script,) = (tmp_path / "zoos").rglob("pre-convert.py")
    script.write_text(f"{PRE}\n# changed")
    assert "has changed since" in programs.tool(*command, check=1).stderr


def test_the_record_says_what_was_made_of_what(programs: Programs, tmp_path: Path) -> None:
    make_tree(tmp_path, "a")
    convert(programs, tmp_path, "--all")
    record = json.loads((tmp_path / "dl/.modelzoo/conversions/zoo/a.json").read_text())
    assert [i["path"] for i in record["inputs"]] == [str(tmp_path / "dl/public/a/model.onnx")]
    made = {o["path"]: o["stamp"]["size"] for step in record["steps"].values() for o in step["outputs"]}
    assert made == {f"{p}/a.{s}": 7 for p in ("FP16", "FP32") for s in ("bin", "xml")}


def test_where_the_bundled_program_says_that_results_are(programs: Programs, tmp_path: Path) -> None:
    """Not the folder that they are made in, which is gone when somebody reads that."""
    name = "prob-wine-logistic"
    programs.tool("downloader", "--name", name, "-o", tmp_path)
    command = ["--name", name, "-d", tmp_path, "--precisions=FP16", "--mo", HERE / "mo.py"]
    done = programs.tool("converter", *command)
    told = re.findall(r"\[ SUCCESS \] \w+ file: (.*)\n", done.stdout)
    assert told == [str(tmp_path / f"demo/{name}/FP16/{name}.{suffix}") for suffix in ("xml", "bin")]
    assert all(os.path.exists(path) for path in told)
