# amaranth: UnusedElaboratable=no
"""The engine with DMA: its configuration, its ports, and its Verilog before models of memories."""

import json

import pytest

from sim.engine import simulate_dma
from sqhw.cli import main
from sqhw.console import SEED
from sqhw.dma.axi import AXIDMAEngine
from sqhw.dma.config import DMA_PRESETS, DMAConfig
from sqhw.dma.registers import DMA_REGISTERS
from sqhw.engine.registers import ADDRESS_BITS, REGISTERS
from sqhw.presets import ENGINE_PRESETS


@pytest.mark.parametrize("testcase", ["random_jobs", "faults"])
def test_agrees_with_the_golden_model_through_memory(tmp_path, testcase):
    (row,) = simulate_dma("tiny", simulator="verilator", seed=SEED, folder=tmp_path, testcase=testcase)
    assert row["mismatches"] == 0
    assert row["compared"] > 100


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"address_bits": 8}, "Address bits must be an integer from 16 to 64, not 8"),
        ({"burst": 512}, "Burst must be a power of two from 2 to 256, not 512"),
        ({"burst": 3}, "Burst must be a power of two from 2 to 256, not 3"),
    ],
)
def test_limits(parameters, message):
    with pytest.raises(ValueError) as error:
        DMAConfig(ENGINE_PRESETS["tiny"], **parameters)
    assert str(error.value) == message


def test_configurations_of_another_kind():
    with pytest.raises(TypeError, match=r"^Engine configuration must be an EngineConfig, not 'tiny'$"):
        DMAConfig("tiny")
    with pytest.raises(TypeError, match=r"^Configuration must be a DMAConfig, not EngineConfig"):
        AXIDMAEngine(ENGINE_PRESETS["tiny"])


def test_registers_follow_those_of_the_engine():
    offsets = [register.offset for register in (*REGISTERS, *DMA_REGISTERS)]
    assert offsets == sorted(set(offsets))
    assert offsets[-1] < 1 << ADDRESS_BITS
    assert all(offset % 4 == 0 for offset in offsets)


def test_every_engine_has_a_preset():
    assert {name: config.engine for name, config in DMA_PRESETS.items()} == ENGINE_PRESETS


def test_the_command_takes_its_parameters(tmp_path):
    arguments = ["verilog", "dma", "--preset", "tiny", "--address-bits", "40", "--burst", "8"]
    assert main([*arguments, "--name", "my_dma", "--output", str(tmp_path)]) == 0
    manifest = json.loads((tmp_path / "my_dma.json").read_text())
    assert (manifest["parameters"]["address_bits"], manifest["parameters"]["burst"]) == (40, 8)
    widths = {port["name"]: port["width"] for port in manifest["ports"]}
    assert widths["m_axi_x_araddr"] == widths["m_axi_y_awaddr"] == 40
    assert widths["m_axi_w_rdata"] == 32
