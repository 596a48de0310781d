"""What the driver and the golden model take for an operand, a format, a policy, and what they refuse."""

from dataclasses import replace

import numpy as np
import pytest

from sqhw import DenseFormat, Engine, SQFormat, multiply, quantize_dense, quantize_sq
from sqhw.config import ArrayConfig
from sqhw.driver.engine import as_format, golden
from sqhw.driver.rtl import check_run
from sqhw.engine.registers import Format
from sqhw.presets import ENGINE_PRESETS
from sw_reference.policy import LargestMagnitude, Threshold
from sw_reference.tensors import SQTensor

CONFIG = ENGINE_PRESETS["tiny"]
X, W = np.random.default_rng(1).standard_normal((2, 3, 16), dtype=np.float32)
SQ, DENSE = quantize_sq(X, CONFIG.pe.sq), quantize_dense(W, CONFIG.pe.dense)


@pytest.mark.parametrize("output", list(Format))
def test_a_format_by_member_name_and_value(output):
    for said in (output, output.name, output.name.lower(), int(output), np.uint8(output)):
        assert as_format(said) is output
        y = Engine(CONFIG).matmul(SQ, DENSE, said)
        assert y.tobytes() == golden(SQ, DENSE, output).tobytes()
        assert y.size == 9


NO_FORMATS = ["half", "", "1", 3, -1, 1.0, True, None, np.float16, np.dtype("<f4"), b"FLOAT32"]
NAMES = "FLOAT32 (0), FLOAT16 (1), INT64 (2)"


@pytest.mark.parametrize("output", NO_FORMATS)
def test_what_is_no_format(output):
    with pytest.raises(TypeError) as caught:
        Engine(CONFIG).matmul(SQ, DENSE, output)
    assert str(caught.value) == f"Output must be a Format, its name or its value, of {NAMES}, not {output!r}"


def test_arrays_are_quantized():
    expected = golden(SQ, DENSE)
    for x, w in ((X, W), (SQ, W), (X, DENSE), (X.astype(np.float64), np.ma.array(W))):
        assert Engine("tiny").matmul(x, w).tobytes() == expected.tobytes()


def test_packed_weights_are_the_weights():
    for engine in (Engine(CONFIG), Engine("tiny")):
        for w in (W, DENSE):
            packed = Engine(CONFIG).pack(w)
            assert engine.matmul(SQ, packed).tobytes() == golden(SQ, DENSE).tobytes()
    other = replace(CONFIG, m_max=3)
    with pytest.raises(
        ValueError, match=r"^Weights must be packed for EngineConfig\(.*, not for EngineConfig"
    ):
        Engine(other).matmul(SQ, packed)
    with pytest.raises(
        TypeError, match=r"^Weights must be a DenseTensor or an array of floats, not SQTensor$"
    ):
        Engine(CONFIG).pack(SQ)


FIRST = "First operand must be a tensor of SQTensor, as quantize_sq(x, SQFormat()) makes one, not "
SECOND = "Second operand must be a tensor of DenseTensor, as quantize_dense(w, DenseFormat()) makes one, not "
MATRIX = "A matrix must be an array of float16, float32 or float64, not "


@pytest.mark.parametrize(
    ("x", "w", "message"),
    [
        (DENSE, SQ, FIRST + "DenseTensor, the operands are swapped"),
        (SQ, SQ, SECOND + "SQTensor, the operands are swapped"),
        (X.tolist(), DENSE, FIRST + "list"),
        (SQ, "w.npy", SECOND + "str"),
        (X.astype(np.int64), W, MATRIX + "int64"),
        (X, W.astype(complex), MATRIX + "complex128"),
    ],
)
def test_what_is_no_operand(x, w, message):
    with pytest.raises(TypeError) as caught:
        Engine(CONFIG).matmul(x, w)
    assert str(caught.value) == message


def test_multiply_refuses_arrays_and_swapped_operands():
    for x, w in ((X, W), (SQ, W), (DENSE, SQ)):
        with pytest.raises(TypeError, match=r"^(First|Second) operand must be a tensor of "):
            multiply(x, w)


def test_masked_elements_are_refused():
    masked = np.ma.array(X, mask=X > 1)
    assert masked.mask.any()
    for quantize, fmt in ((quantize_sq, SQFormat()), (quantize_dense, DenseFormat())):
        with pytest.raises(TypeError) as caught:
            quantize(masked, fmt)
        assert str(caught.value) == (
            "A matrix must have no masked elements: x.filled(0) makes one of zeros there"
        )
        quantize(masked.filled(0), fmt)


@pytest.mark.parametrize("small", [1e-46, -1e-300, 5e-324])
def test_numbers_below_the_range_of_float32(small):
    x = X.astype(np.float64)
    x[1, 2] = small
    with pytest.raises(ValueError) as caught:
        quantize_sq(x, SQFormat())
    assert str(caught.value) == (
        f"Row 1, column 2: an element must be 0 or at least float32's smallest, 1.4e-45, not {small}"
    )
    x[1, 2] = 1e-44
    quantize_sq(x, SQFormat())
    x[1, 2] = 0
    quantize_sq(x, SQFormat())


def test_a_policy_by_name():
    for policy in ("largest magnitude", "largest_magnitude", "Largest magnitude"):
        got = quantize_sq(X, SQFormat(), policy)
        assert (got.bitmap == quantize_sq(X, SQFormat(), LargestMagnitude()).bitmap).all()


@pytest.mark.parametrize("policy", ["threshold", "", None, LargestMagnitude, Threshold, 3.0])
def test_what_is_no_policy(policy):
    for quantize, fmt in ((quantize_sq, SQFormat()), (quantize_dense, DenseFormat(4, None, 1, 16))):
        with pytest.raises(TypeError) as caught:
            quantize(X, fmt, policy=policy)
        assert str(caught.value) == (
            "Policy must be LargestMagnitude(), LargestImportance(importance), Threshold(limit), "
            f"GivenMask(mask) or 'largest magnitude', not {policy!r}"
        )


@pytest.mark.parametrize("fmt", ["default", None, 16, DenseFormat()])
def test_what_is_no_sq_format(fmt):
    with pytest.raises(TypeError) as caught:
        quantize_sq(X, fmt)
    assert str(caught.value) == f"Format must be an SQFormat, such as SQFormat(16, 2, 'int8'), not {fmt!r}"


@pytest.mark.parametrize("fmt", ["int4", SQFormat()])
def test_what_is_no_dense_format(fmt):
    with pytest.raises(TypeError) as caught:
        quantize_dense(W, fmt)
    assert str(caught.value) == f"Format must be a DenseFormat, such as DenseFormat(4, 64), not {fmt!r}"


def test_numpy_integers_are_integers():
    """In formats, configurations and tensors; what is kept is Python's."""
    assert SQFormat(np.int64(16), np.uint8(2)) == SQFormat(16, 2)
    pe = replace(CONFIG.pe, lanes=np.int32(4), k_max=np.int64(256), dense=DenseFormat(np.int8(4)))
    config = replace(CONFIG, array=ArrayConfig(pe, np.int16(2), np.int16(2)), axi_bits=np.int64(32))
    assert config == CONFIG
    assert {type(value) for value in (config.axi_bits, pe.lanes, config.array.rows)} == {int}
    same = SQTensor(SQ.format, np.int64(SQ.k), SQ.low, SQ.bitmap, SQ.scale, SQ.high, SQ.row_scale)
    assert type(same.k) is int
    with pytest.raises(TypeError, match=r"^Lanes must be a power of two from 1 to 8, not 4\.0$"):
        replace(CONFIG.pe, lanes=np.float64(4))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"passes": 0}, "Passes must be an integer from 1 to 65536, not 0"),
        ({"passes": -1}, "Passes must be an integer from 1 to 65536, not -1"),
        ({"passes": 65537}, "Passes must be an integer from 1 to 65536, not 65537"),
        ({"room": 0}, "Room must be an integer from 1 to 4294967296, not 0"),
        ({"cycles": -5}, "Cycles must be an integer from 1 to 9223372036854775807, not -5"),
        ({"sq": b"abc"}, "Packets must be whole words of 4 bytes, not 3 and 0 bytes"),
    ],
)
def test_a_run_out_of_range(changes, message):
    with pytest.raises(ValueError) as caught:
        check_run(CONFIG, **{"sq": b"", "dense": b"", "passes": 1, "room": 1, "cycles": 1} | changes)
    assert str(caught.value) == message


@pytest.mark.parametrize(("backend", "port"), [("serial", None), ("golden", "/dev/ttyUSB0"), ("rtl", "x")])
def test_a_port_belongs_to_the_serial_backend(backend, port):
    with pytest.raises(TypeError, match=r"^Port must be given with the backend 'serial' alone, not "):
        Engine(CONFIG, backend, port=port)
    with pytest.raises(TypeError, match=r"^Configuration must be an EngineConfig or a preset's name, not 3$"):
        Engine(3)
