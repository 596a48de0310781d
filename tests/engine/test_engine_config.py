"""The engine's configuration, and the texts made from its register map."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sqhw.config import ArrayConfig, EngineConfig
from sqhw.dma.registers import DMA_REGISTERS
from sqhw.engine.register_pages import c_header, markdown
from sqhw.engine.registers import REGISTERS, register, registers_of
from sqhw.layouts import buffer_bits
from sqhw.presets import ENGINE_PRESETS, PRESETS, engine_preset
from sw_reference.format import DenseFormat
from sw_reference.llm import LAYERS

ROOT = Path(__file__).parents[2]
BIG = ENGINE_PRESETS["8x8"]
LEAN = ENGINE_PRESETS["lean"].pe
BOTH = PRESETS["both"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"array": ArrayConfig(replace(BIG.pe, dense=DenseFormat(4, 64, 1, 16)), 8, 8)},
            "Dense outliers of an engine must be an integer from 0 to 0, not 1",
        ),
        (
            {"array": ArrayConfig(replace(BOTH, dense=replace(BOTH.dense, bank=16, outliers=3)), 8, 8)},
            "Dense bank must be 32 in an engine, not 16",
        ),
        (
            {"array": ArrayConfig(replace(BOTH, dense=replace(BOTH.dense, group=96)), 8, 8)},
            "Group must be a power of two from 32 to 1048576, not 96",
        ),
        ({"axi_bits": 100}, "AXI bits must be 32, 64, 128, 256, 512 or 1024, not 100"),
        ({"block_tiles": 0}, "Block tiles must be an integer from 1 to 64, not 0"),
        ({"m_max": 65537}, "M_max must be an integer from 1 to 65536, not 65537"),
        ({"n_max": 0}, "N_max must be an integer from 1 to 65536, not 0"),
        ({"output_stages": 8}, "Output stages must be a power of two from 1 to 4, not 8"),
        (
            {"array": ArrayConfig(PRESETS["default"], 8, 6)},
            "Output stages must divide the columns (6), not 4",
        ),
        (
            {"array": ArrayConfig(replace(PRESETS["default"], k_max=1 << 20), 8, 8)},
            "Accumulator must have 64 bits at most, not 72: lower K_max",
        ),
        ({"encoder": 8}, "Mask must be 'index' in an encoder, not 'bitmap'"),
        (
            {"array": ArrayConfig(LEAN, 8, 8), "encoder": 16},
            "Encoder must be a power of two from 1 to 8, not 16",
        ),
        (
            {"array": ArrayConfig(LEAN, 8, 8), "axi_bits": 1024, "encoder": 64},
            "Encoder must be a power of two from 1 to 32, not 64",
        ),
        (
            {"array": ArrayConfig(LEAN, 8, 8), "encoder": 8, "input": "float32"},
            "Encoder must be a power of two from 1 to 4, not 8",
        ),
        ({"input": "bf16"}, "Input must be 'fp16' in an engine without an encoder, not 'bf16'"),
        ({"input": "fp8"}, "Input must be 'fp16', 'bf16' or 'float32', not 'fp8'"),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(ValueError) as error:
        replace(BIG, **changes)
    assert str(error.value) == message


def test_refuses_other_types():
    with pytest.raises(TypeError) as error:
        EngineConfig(BIG.pe)
    assert str(error.value) == f"Array configuration must be an ArrayConfig, not {BIG.pe!r}"


def test_presets_by_name():
    assert engine_preset("8x8") is BIG
    names = "tiny, 2x2, 8x8, lean, decode, imported, fine, both, encoder"
    with pytest.raises(ValueError, match=f"^Engine preset must be one of {names}, not '4x4'$"):
        engine_preset("4x4")


def test_unpacking_keeps_up_with_the_stream():
    """A word of the buffer is at least a word of the stream, and whole bytes."""
    for config in ENGINE_PRESETS.values():
        assert config.sq_banks_per_word * config.pe.sq.bank_bits >= config.axi_bits
        assert config.sq_banks_per_word * config.pe.sq.bank_bits % 8 == 0
        assert config.dense_beats_per_word * config.pe.lanes * config.pe.dense.bits >= config.axi_bits


@pytest.mark.parametrize(
    ("group", "axi_bits", "groups", "beats"),
    [
        (64, 128, 1, 2),  # part of a group
        (16, 128, 4, 4),  # 4 x 72 bits: two words
        (48, 512, 1, 1),  # no power of two: what divides it
        (64, 512, 4, 16),
        (None, 512, 1, 8),
    ],
)
def test_a_step_of_several_groups_is_two_words(group, axi_bits, groups, beats):
    pe = replace(BIG.pe, dense=DenseFormat(4, group))
    config = replace(BIG, array=replace(BIG.array, pe=pe), axi_bits=axi_bits)
    assert (config.dense_groups_per_word, config.dense_beats_per_word) == (groups, beats)


def test_derived_sizes():
    assert (BIG.sq_banks_per_word, BIG.dense_beats_per_word) == (2, 2)
    assert (BIG.sq_block_words, BIG.dense_tile_words) == (8 * 64, 64)
    assert [BIG.passes(m) for m in (1, 64, 65)] == [1, 1, 2]
    # Per row two halves of 512 words of 2 beats of 98 bits; per column two of 64 words of 134 bits.
    assert buffer_bits(BIG) == 8 * 2 * 512 * 196 + 8 * 2 * 64 * 134


def test_registers_do_not_overlap():
    known = registers_of(ENGINE_PRESETS["encoder"])
    assert known[: len(REGISTERS)] == REGISTERS
    assert [r.name for r in registers_of(BIG)] == [r.name for r in REGISTERS]
    assert len({r.offset for r in known}) == len({r.name for r in known}) == len(known) == len(REGISTERS) + 2
    assert all(r.offset % 4 == 0 and r.bits <= 32 for r in known)
    assert register("ARRAY").unpack(register("ARRAY").pack(columns=3, lanes=16)) == {
        "rows": 0,
        "columns": 3,
        "lanes": 16,
        "block_tiles": 0,
    }
    with pytest.raises(ValueError, match=r"^Register must be one of ID, VERSION, .*, not 'X'$"):
        register("X")
    with pytest.raises(
        ValueError, match=r"^Field of CONTROL must be one of start, abort, recover, not 'go'$"
    ):
        register("CONTROL").shift("go")


def test_committed_register_page_is_up_to_date():
    page = (ROOT / "docs" / "registers.md").read_text()
    assert page == markdown(DMA_REGISTERS), "sqhw registers --language markdown > docs/registers.md"


def test_committed_header_is_up_to_date():
    header = (ROOT / "verilog" / "sq_engine_registers.h").read_text()
    assert header == c_header(DMA_REGISTERS), "sqhw registers > verilog/sq_engine_registers.h"


def test_committed_report_is_whole():
    document = json.loads((ROOT / "docs" / "results" / "engine.json").read_text())
    rows = [*document["product"]["rows"], *document["layer"]["rows"]]
    assert sum(row["mismatches"] for row in rows) == 0 < sum(row["compared"] for row in rows)
    assert [row["layer"] for row in document["layer"]["rows"]] == list(LAYERS)
    assert document["layer"].get("clock") == document.get("clock")
