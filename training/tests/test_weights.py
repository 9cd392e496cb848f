"""Weights files: what Cellpose saved is what is read back, and bad files get a sentence. Run: pytest training/tests"""
import pathlib
import sys

import numpy as np
import pytest
import torch
from cellpose.resnet_torch import CPnet as Theirs

here = pathlib.Path(__file__).resolve()
sys.path.insert(0, str(here.parents[1]))
import convert  # noqa: E402
import masks  # noqa: E402
import weights  # noqa: E402

golden = here.parents[2] / "validation/tests/golden/cpnet"


@pytest.mark.parametrize("half", [False, True])
def test_a_checkpoint_of_cellpose_gives_the_same_outputs_after_conversion(tmp_path, half):
    torch.manual_seed(7)
    theirs = Theirs([2, 6, 8, 10], 3, 3, diam_mean=17.0)
    for name, tensor in theirs.named_buffers():
        if name.endswith("running_mean"):
            tensor.normal_()
    theirs.eval()
    theirs.save_model(tmp_path / "checkpoint")
    assert convert.convert(tmp_path / "checkpoint", tmp_path / "w.safetensors", half, "a test's") == [2, 6, 8, 10]
    ours, metadata = weights.read(tmp_path / "w.safetensors")
    assert (metadata["input"], metadata["diameter_px"], metadata["tile"], metadata["licence"]) == ("cellpose", "17", "224", "a test's")
    x = torch.randn(1, 2, 32, 48)
    with torch.no_grad():
        # Rounding of the weights to 11 bits when they are halved.
        assert torch.allclose(ours(x), theirs(x)[0], atol=2e-2 if half else 1e-5)


def test_what_is_no_checkpoint_gets_a_sentence(tmp_path):
    (tmp_path / "text").write_text("not a checkpoint")
    torch.save({"encoder.weight": torch.zeros(3)}, tmp_path / "other")
    torch.save(Theirs([2, 4, 8], 2, 3).state_dict(), tmp_path / "two")
    for name, words in (("absent", "does not exist"), ("text", "no PyTorch file"), ("other", "no CPnet"), ("two", "no CPnet of widths")):
        with pytest.raises(ValueError, match=words):
            convert.convert(tmp_path / name, tmp_path / "out.safetensors")
        assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("number", [1])
def test_tiles_and_masks_of_a_whole_image_equal_cellposes(number):
    stored = np.load(golden / f"path_{number}.npz")
    net, metadata = weights.read(golden / "path.safetensors")
    assert float(stored["diameter_px"]) == float(metadata["diameter_px"])
    image = stored["image"].transpose(2, 0, 1)
    low, high = np.percentile(image, [1, 99], axis=(1, 2), keepdims=True)
    y = weights.run_tiled(net, ((image - low) / (high - low)).astype(np.float32))
    assert np.abs(y[:, ::2, ::2] - stored["output"]).max() < 1e-3
    assert (masks.build_masks(y[:2], y[2]) != stored["masks"]).mean() < 0.002
