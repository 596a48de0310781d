"""The small model in a folder of its own."""

import pytest
from safetensors.numpy import save_file

from .models import weights


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(weights(), path, {"format": "np"})
    return path
