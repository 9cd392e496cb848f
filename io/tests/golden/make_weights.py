"""Makes `weights.safetensors` with the safetensors library itself: one tensor of each type that is read.

pip install safetensors==0.8.0 torch
usage: python make_weights.py     (writes beside itself)
"""
import pathlib
import torch
from safetensors.torch import save_file

values = torch.tensor([[1.0, -0.5, 3.140625], [65504.0, 6.103515625e-05, -0.0]], dtype=torch.float64)
tensors = {"down.0.weight": values.to(torch.float32) / 3, "half": values.to(torch.float16), "brain": values.to(torch.bfloat16),
           "double": values / 3, "number": torch.tensor(7.25), "empty": torch.zeros(0, 3)}
metadata = {"kind": "test", "channels": "2 8 16"}
save_file(tensors, pathlib.Path(__file__).with_name("weights.safetensors"), metadata=metadata)
