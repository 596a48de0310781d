"""What is not packed is named with the reason."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from sqhw.packed.selection import LINEAR, select
from sqhw.packed.sources import open_source
from sqhw.packed.tensor_file import Entry, TensorFileWriter

W = np.ones((4, 64), np.float32)
NAME = "model.layers.0.q_proj.weight"
LAYER = NAME.removesuffix(".weight")


def others(path, tensors, pattern=LINEAR):
    """Saves a model; returns what is packed, and what is not by reason."""
    save_file(tensors, path)
    selection = select(open_source(path), pattern)
    return selection.names, selection.others


def why(path, tensors, pattern=LINEAR):
    save_file(tensors, path)
    with pytest.raises(ValueError) as caught:
        select(open_source(path), pattern)
    return str(caught.value)


def test_every_tensor_has_a_reason(tmp_path):
    tensors = {
        NAME: W,
        "model.layers.0.experts.weight": np.ones((2, 4, 64), np.float32),
        "model.layers.0.conv.weight": np.ones((2, 3, 4, 5), np.float16),
        "model.layers.0.norm.weight": W[0],
        "model.layers.0.ids.weight": np.ones((4, 4), np.int64),
        "model.layers.0.none.weight": np.ones((0, 64), np.float32),
        "embed.weight": W,
        "scale": np.array(1.0),
    }
    names, reasons = others(tmp_path / "a", tensors)
    assert names == [NAME]
    assert {reason: sorted(group) for reason, group in reasons.items()} == {
        "of 3 dimensions": ["model.layers.0.experts.weight"],
        "of 4 dimensions": ["model.layers.0.conv.weight"],
        "vectors or scalars": ["model.layers.0.norm.weight", "scale"],
        "of type I64": ["model.layers.0.ids.weight"],
        "without elements": ["model.layers.0.none.weight"],
        rf"not matched by --tensors '{LINEAR}'": ["embed.weight"],
    }


@pytest.mark.parametrize(
    ("quantizer", "codes"),
    [
        (
            "GPTQ or AWQ: it lacks qzeros",
            {"qweight": np.ones((8, 4), np.int32), "scales": W.astype(np.float16)},
        ),
        (
            "compressed-tensors: it lacks weight_shape",
            {"weight_packed": np.ones((4, 8), np.int32), "weight_scale": W},
        ),
        ("bitsandbytes", {"weight": np.ones((128, 1), np.uint8), "weight.absmax": W[0]}),
        ("bitsandbytes", {"weight": np.ones((4, 64), np.int8), "SCB": W[0]}),
    ],
)
def test_codes_of_other_quantizers_are_named(tmp_path, quantizer, codes):
    codes = {f"{LAYER}.{part}": values for part, values in codes.items()}
    message = why(tmp_path / "a", {**codes, "lm_head.weight": W})
    assert f"in codes of {quantizer}: 2 ({LAYER}." in message
    assert f"not matched by --tensors '{LINEAR}': 1 (lm_head.weight)" in message
    names, reasons = others(tmp_path / "b", {**codes, "model.layers.1.q_proj.weight": W})
    assert names == ["model.layers.1.q_proj.weight"]
    assert list(reasons) == [f"in codes of {quantizer}"]


@pytest.mark.parametrize("kind", ["F8_E4M3", "F8_E5M2", "F8_E8M0", "I8"])
def test_types_are_named(tmp_path, kind):
    path = tmp_path / "a"
    with TensorFileWriter(path, {NAME: Entry(kind, (4, 64), 256)}, {}) as writer:
        writer.write(NAME, np.ones(256, np.uint8))
        writer.finish({})
    with pytest.raises(ValueError, match=f"^Nothing can be packed: of type {kind}: 1 \\({NAME}\\)$"):
        select(open_source(path), LINEAR)


def test_models_without_tensors(tmp_path):
    assert why(tmp_path / "a", {}) == "Nothing can be packed: the model has no tensors"
    assert why(tmp_path / "a", {"": W[0]}) == "Nothing can be packed: vectors or scalars: 1 ('')"


def test_many_names_are_cut(tmp_path):
    tensors = {NAME: W, **{f"norm{i}": W[0] for i in range(5)}}
    save_file(tensors, tmp_path / "a")
    lines = select(open_source(tmp_path / "a"), LINEAR).reasons()
    assert lines == ["vectors or scalars: 5 (norm0, norm1, norm2, ...)"]


def test_names_are_sorted_by_their_numbers(tmp_path):
    names = [f"h.{i}.a{j}.weight" for i in (0, 2, 10) for j in (1, 11)]
    digits = [f"h.{'9' * 5000}.weight", "h.²2.weight"]  # more than int takes, and a digit that it refuses
    save_file({name: np.ones((1, 4), np.float32) for name in names + digits}, tmp_path / "m")
    assert select(open_source(tmp_path / "m"), "weight").names == [*names, *digits]
