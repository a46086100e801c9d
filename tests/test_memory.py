"""Training in less memory: LoRA adapters, activation checkpointing and 8-bit Adam."""

import sys

import numpy as np
import pytest
import torch
from test_training import MEASURED, TOKENS, phase_with, small_gpt, write_made_up

from voicetune.data.codes import Codes
from voicetune.errors import UserError
from voicetune.training import memory, optimization
from voicetune.xtts.batch import Batch
from voicetune.xtts.gpt import TrainingLoss, set_dropout
from voicetune.xtts.gpt_rows import assemble, draw

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def batch(tmp_path_factory) -> Batch:
    where = tmp_path_factory.mktemp("made_up")
    write_made_up(where)
    codes = Codes(where)
    return assemble(codes, draw(codes, codes.training[:4], MEASURED, np.random.default_rng(0)), MEASURED, TOKENS)


def adapted(seed: int = 5) -> TrainingLoss:
    """A model with adapters whose weights are not zero."""
    loss = TrainingLoss(small_gpt().eval())
    memory.add_lora(loss, rank=3, alpha=6.0, seed=seed)
    torch.manual_seed(9)
    with torch.no_grad():
        for name, parameter in loss.named_parameters():
            if ".lora_B" in name:
                parameter.normal_(std=0.05)
    return loss


def test_new_adapters_do_not_change_the_loss_and_only_they_are_trained(batch):
    plain, loss = TrainingLoss(small_gpt().eval()), TrainingLoss(small_gpt().eval())
    memory.add_lora(loss, rank=3, alpha=6.0, seed=5)
    with torch.no_grad():
        assert torch.equal(loss(batch)[1], plain(batch)[1])
    loss(batch)[1].mean().backward()
    trained = {name for name, parameter in loss.network.named_parameters() if parameter.grad is not None}
    assert trained == set(memory.trained_state(loss.network))
    assert {name.rsplit(".lora_", 1)[0] for name in trained} == {
        f"gpt.h.{layer}.{part}" for layer in (0, 1) for part in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    }
    decayed, rest = optimization.optimizer_for(loss, phase_with()).param_groups
    assert len(decayed["params"]) + len(rest["params"]) == len(trained)


def test_a_stock_model_with_merged_adapters_has_the_same_loss(batch):
    loss, plain, stock = adapted(), TrainingLoss(small_gpt().eval()), TrainingLoss(small_gpt(seed=2).eval())
    before = {name: value.clone() for name, value in loss.network.state_dict().items()}
    stock.network.load_state_dict(memory.whole_state(loss.network), strict=True)
    with torch.no_grad():
        assert (loss(batch)[1] - plain(batch)[1]).abs().max() > 1e-3  # the adapters change the loss
        for ours, theirs in zip(loss(batch), stock(batch), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in loss.network.state_dict().items())


def test_the_saved_state_holds_only_the_adapters():
    loss, other = adapted(), adapted(seed=6)
    state = {name: value.clone() for name, value in memory.trained_state(loss.network).items()}
    assert sum(v.numel() for v in state.values()) < 0.1 * sum(p.numel() for p in loss.network.parameters())
    memory.load_trained_state(other.network, state)
    assert all(torch.equal(value, state[name]) for name, value in memory.trained_state(other.network).items())
    larger = TrainingLoss(small_gpt())
    memory.add_lora(larger, rank=4, alpha=6.0, seed=5)
    with pytest.raises(UserError, match="set lora_rank to the value that the state was saved with"):
        memory.load_trained_state(larger.network, state)


def gradients_and_kept(loss: TrainingLoss, batch: Batch) -> tuple[dict[str, torch.Tensor], int]:
    """Return the gradients of one pass, and the number of values that it kept for the backward pass."""
    set_dropout(loss.network, 0.1)
    loss.train()
    own, kept = {parameter.data_ptr() for parameter in loss.parameters()}, {}

    def keep(value):
        if value.data_ptr() not in own:
            kept[value.data_ptr()] = value.numel()
        return value

    torch.manual_seed(4)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        objective = loss(batch)[1].mean()
        count = sum(kept.values())
    objective.backward()
    return {name: p.grad for name, p in loss.named_parameters() if p.grad is not None}, count


def test_checkpointing_keeps_fewer_values_and_changes_no_gradient(batch):
    plain, again = TrainingLoss(small_gpt()), TrainingLoss(small_gpt())
    again.recompute_activations()
    (expected, usual), (ours, fewer) = gradients_and_kept(plain, batch), gradients_and_kept(again, batch)
    assert ours.keys() == expected.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-6)
    assert fewer < 0.75 * usual  # the conditioning encoder is not checkpointed, and it is most of this model
    assert again.network.state_dict().keys() == plain.network.state_dict().keys()


def test_8_bit_adam_without_its_package_is_one_sentence(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("bitsandbytes")] or ["bitsandbytes"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=r"optimizer: adamw8bit does not run on cpu .*pip install -c .* bits"):
        optimization.optimizer_for(TrainingLoss(small_gpt()), phase_with(optimizer="adamw8bit"))


def test_8_bit_adam_ends_close_to_adam_with_a_third_of_its_state():
    pytest.importorskip("bitsandbytes")
    torch.manual_seed(1)
    start, target = torch.randn(64, 128), torch.randn(64, 128)
    found = {}
    for name in ("adamw", "adamw8bit"):
        layer = torch.nn.Linear(128, 64, bias=False)
        with torch.no_grad():
            layer.weight.copy_(start)
        optimizer = optimization.optimizer_for(layer, phase_with(optimizer=name, lr=0.01))
        for _ in range(50):
            optimizer.zero_grad()
            (layer.weight - target).square().sum().backward()
            optimizer.step()
        found[name] = layer.weight.detach()
        values = [
            v for state in optimizer.state.values() for v in state.values() if torch.is_tensor(v) and v.numel() > 1
        ]
        found[name + " bytes"] = sum(value.nbytes for value in values)
    moved = (found["adamw"] - start).norm()
    assert (found["adamw"] - found["adamw8bit"]).norm() < 0.1 * moved
    assert found["adamw8bit bytes"] < 0.35 * found["adamw bytes"]
