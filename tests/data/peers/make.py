"""Outputs and gradients of other simulators' layers on fixed inputs, deterministic parts only.

    python make.py FOLDER

Needs torch, aihwkit and aihwkit-lightning, which the package itself does not: see README.md for the versions that made
the tables. A case is a file with x, w (n_in × n_out), the settings, y, and the gradients of Σ y · error in x and, for
aihwkit-lightning, in w.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from aihwkit.nn import AnalogLinear as KitLinear
from aihwkit.simulator.configs import TorchInferenceRPUConfig
from aihwkit.simulator.parameters.enums import BoundManagementType, NoiseManagementType
from aihwkit_lightning.nn import AnalogLinear as LightningLinear
from aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig as LightningConfig
from aihwkit_lightning.simulator.configs import WeightClipType

N_IN, N_OUT, BATCH = 24, 6, 16
# steps of inputs and of outputs, output bound in largest weights, input range (0: that of each vector), rows of a tile
GRID = [
    ("eight_bits", 254, 254, 12.0, 2.0, 512),
    ("clipped_inputs", 254, 254, 12.0, 0.7, 512),
    ("clipped_outputs", 254, 254, 1.5, 2.0, 512),
    ("five_bits", 30, 30, 4.0, 1.5, 512),
    ("two_tiles", 254, 254, 6.0, 2.0, 12),
    ("own_range", 254, 254, 12.0, 0.0, 512),
]


def data(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(BATCH, N_IN)).astype(np.float32)
    w = np.clip(0.3 * rng.normal(size=(N_IN, N_OUT)), -0.6, 0.6).astype(np.float32)
    w[[0, N_IN // 2]] = np.linspace(0.7, 1.2, N_OUT)  # the peers scale each tile by itself: the same largest in both
    return x, w, rng.normal(size=(BATCH, N_OUT)).astype(np.float32)


def kit(inputs, outputs, bound, input_range, rows, columns):
    config = TorchInferenceRPUConfig()
    io = config.forward
    io.inp_res, io.out_res, io.out_bound, io.inp_bound = 1 / inputs, 1 / outputs, bound, 1.0
    io.out_noise = io.inp_noise = io.w_noise = 0.0
    io.bound_management = BoundManagementType.NONE
    io.noise_management = NoiseManagementType.NONE if input_range else NoiseManagementType.ABS_MAX
    config.mapping.weight_scaling_omega = 1.0
    config.mapping.weight_scaling_columnwise = columns
    config.mapping.max_input_size = rows
    config.pre_post.input_range.enable = bool(input_range)
    config.pre_post.input_range.init_value = input_range
    config.pre_post.input_range.init_from_data = 0
    return KitLinear(N_IN, N_OUT, bias=False, rpu_config=config)


def lightning(inputs, outputs, bound, input_range, rows, columns):
    config = LightningConfig()
    config.forward.inp_res, config.forward.out_res, config.forward.out_bound = inputs, outputs, bound
    config.mapping.max_input_size = rows
    config.pre_post.input_range.enable = True
    config.pre_post.input_range.init_value = input_range
    config.pre_post.input_range.init_from_data = 0
    config.pre_post.input_range.decay = 0.0
    if columns:
        config.clip.type, config.clip.sigma = WeightClipType.LAYER_GAUSSIAN_PER_CHANNEL, 1e3
    return LightningLinear(N_IN, N_OUT, bias=False, rpu_config=config)


def record(folder, name, seed, layer, **settings):
    x, w, error = data(seed)
    layer.set_weights(torch.tensor(w.T.copy()))
    layer.eval()
    inputs = torch.tensor(x, requires_grad=True)
    y = layer(inputs)
    (y * torch.tensor(error)).sum().backward()
    arrays = {"x": x, "w": w, "error": error, "y": y.detach().numpy(), "x_gradient": inputs.grad.numpy(), **settings}
    if isinstance(layer, LightningLinear):  # aihwkit keeps its weights scaled
        arrays["w_gradient"] = layer.weight.grad.numpy().T
    np.savez(folder / f"{name}.npz", **arrays)
    print(name, sorted(arrays))


def main():
    folder = Path(sys.argv[1])
    for seed, (name, inputs, outputs, bound, input_range, rows) in enumerate(GRID):
        for columns in (False, True):
            suffix = "columns" if columns else "tensor"
            settings = {
                "input_steps": inputs, "output_steps": outputs, "bound": bound, "input_range": input_range,
                "rows": rows, "columns": columns,
            }  # fmt: skip
            layer = kit(inputs, outputs, bound, input_range, rows, columns)
            record(folder, f"aihwkit_{name}_{suffix}", seed, layer, **settings)
            if input_range:
                layer = lightning(inputs, outputs, bound, input_range, rows, columns)
                record(folder, f"lightning_{name}_{suffix}", seed, layer, **settings)


if __name__ == "__main__":
    main()
