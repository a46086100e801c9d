"""The devices that a phase trains on, how they share the work, and the precision."""

import os

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard

from voicetune.device import choose_device
from voicetune.errors import UserError
from voicetune.model import Loss
from voicetune.params.training import TrainStage


def fabric_for(settings: TrainStage) -> Fabric:
    """Create and launch Fabric. After that, this process is one of the ranks.

    Raises:
        UserError: params.yaml asks for more devices than there are, or for settings that do not work together here.
    """
    accelerator, phase = choose_device(settings.device), settings.phase
    if accelerator == "cpu" and phase.precision == "16-mixed":
        raise UserError("precision: 16-mixed needs a GPU; set bf16-mixed or 32-true in params.yaml.")
    if accelerator == "cuda" and settings.devices > torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise UserError(f"devices is {settings.devices}, but {found} GPUs are found here; lower it in params.yaml.")
    precision = phase.precision
    if accelerator == "mps" and precision != "32-true":
        print(f"precision: a GPU of Apple trains in 32-true here, and not in {precision}")
        precision = "32-true"
    if accelerator == "mps" and phase.activation_checkpointing and phase.dropout:
        raise UserError(
            "activation_checkpointing draws another dropout in the backward pass on a GPU of Apple, so the gradients"
            " would be wrong; set dropout: 0 or activation_checkpointing: false in params.yaml, or device: cpu."
        )
    if accelerator == "cpu" and precision == "bf16-mixed" and not has_fast_bfloat16():
        print("precision: this CPU has no instructions for bfloat16; precision: 32-true in params.yaml is faster here")
    ranks = settings.devices * settings.num_nodes
    if ranks > 1 and settings.strategy == "fsdp" and phase.precision == "16-mixed":
        raise UserError("strategy: fsdp does not train in 16-mixed; set precision to bf16-mixed or 32-true.")
    if ranks > 1 and settings.strategy == "fsdp" and phase.lora_rank is not None:
        raise UserError("strategy: fsdp cannot train with lora_rank; set strategy: ddp, as LoRA needs little memory.")
    if accelerator == "cpu" and settings.devices > 1:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // settings.devices))
    torch.backends.cuda.matmul.allow_tf32 = True
    fabric = Fabric(
        accelerator=accelerator, devices=settings.devices, num_nodes=settings.num_nodes,
        strategy=_strategy(settings.strategy, ranks) if ranks > 1 else "auto", precision=precision,
    )  # fmt: skip
    fabric.launch()
    return fabric


def has_fast_bfloat16() -> bool:
    """Whether torch has fast products in bfloat16 on this CPU. With AVX2 and no AVX-512, it has none."""
    return torch.backends.cpu.get_cpu_capability() != "AVX2"


def _strategy(name: str, ranks: int) -> Strategy:
    if name == "fsdp":
        return ModelParallelStrategy(_shard, data_parallel_size=ranks, tensor_parallel_size=1)
    return DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)


def _shard(loss: Loss, mesh: DeviceMesh) -> Loss:
    """Shard the model with FSDP2: each of its blocks by itself, everything else together."""
    for block in loss.blocks:
        fully_shard(block, mesh=mesh["data_parallel"])
    fully_shard(loss, mesh=mesh["data_parallel"])
    return loss
