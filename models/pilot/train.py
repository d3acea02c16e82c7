"""Train pilot on the CPU by the clock: the schedule ends when the minutes are up.

    python models/pilot/train.py --data data.npz --minutes 60 --checkpoint pilot.pt -o models/pilot/weights

Matrices are trained by Muon (orthogonalised momentum), the rest by AdamW. The rate rises for a minute,
stays, and falls to nothing in the last part of the time, so a shared machine changes how many steps are
made but not how training ends. A checkpoint is written every few minutes; --resume goes on from it with the
time that is left, --warm starts a new schedule from its weights.
"""

import argparse
import json
import time
from pathlib import Path

import network
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

# Rows and their length: positions up to 1023 see training, most steps stay cheap. 4096 tokens each.
_BATCHES = [(16, 256, 0.5), (8, 512, 0.3), (4, 1024, 0.2)]
_OTHERS = 0.05  # loss weight of what the assistant did not write
_WARM_UP_STEPS = 60
_CHECKPOINT_SECONDS = 180.0


def orthogonal(gradient: Tensor, steps: int = 5) -> Tensor:
    """The nearest matrix with all singular values about 1 (Newton-Schulz iteration)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = gradient / (gradient.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose matrix updates are made orthogonal; rates compare with AdamW's."""

    def __init__(self, params: list[Tensor], lr: float, momentum: float = 0.95, decay: float = 0.05) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                update = orthogonal(parameter.grad.lerp(state["momentum"], group["momentum"]))
                parameter.mul_(1 - group["lr"] * group["decay"])
                parameter.add_(update, alpha=-group["lr"] * 0.2 * max(parameter.shape) ** 0.5)


class Stream:
    """Batches from the encoded dataset. Every row begins at a conversation's first token."""

    def __init__(self, file: Path, seed: int) -> None:
        data = np.load(file)
        self.ids, self.mine = data["ids"].astype(np.int64), data["mine"]
        self.starts = np.concatenate([[0], np.flatnonzero(self.ids == 0)[:-1] + 1])
        self.rng = np.random.default_rng(seed)
        self.next = int(self.rng.integers(len(self.starts) // 2))
        self.epochs = 0.0

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """(inputs, targets, loss weights), each (rows, time)."""
        rows, length, _ = _BATCHES[self.rng.choice(len(_BATCHES), p=[share for *_, share in _BATCHES])]
        ids = np.zeros((rows, length + 1), dtype=np.int64)
        weight = np.zeros((rows, length), dtype=np.float32)
        for row in range(rows):
            start = self.starts[self.next]
            if start + length + 1 > len(self.ids):
                self.next, start = 0, 0
            ids[row] = self.ids[start : start + length + 1]
            weight[row] = np.where(self.mine[start + 1 : start + length + 1] == 1, 1.0, _OTHERS)
            # Go on at the conversation that was cut, so that none is only ever seen in half.
            following = int(np.searchsorted(self.starts, start + length, side="right")) - 1
            self.epochs += (following - self.next) / len(self.starts)
            self.next = max(following, self.next + 1) % len(self.starts)
        return torch.from_numpy(ids[:, :-1]), torch.from_numpy(ids[:, 1:]), torch.from_numpy(weight)


def rate(step: int, done: float, decay_from: float) -> float:
    """Share of the full rate at `step`, with `done` of the time used (0 to 1)."""
    fall = 1.0 if done < decay_from else max(0.0, (1 - done) / (1 - decay_from))
    return min(1.0, (step + 1) / _WARM_UP_STEPS) * fall


def export(model: network.Llama, folder: Path) -> None:
    """model.safetensors (float16), config.json and generation_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors, config = network.hugging_face(model)
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    generation = {"eos_token_id": 2, "pad_token_id": 0, "do_sample": False}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n", "utf-8")


def main() -> None:
    """Command line: train, checkpoint, export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--decay-from", type=float, default=0.5, help="share of the time at the full rate")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--warm", type=Path, help="start from the weights of this checkpoint")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, help="stop after so many steps (for a quick try)")
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    model = network.Llama(network.Shape())
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.dim() == 1 or "embed" in name]
    optimizers = [
        Muon(matrices, lr=args.rate),
        torch.optim.AdamW(others, lr=args.rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    used, step = 0.0, 0
    source = args.checkpoint if args.resume else args.warm
    if source:
        saved = torch.load(source, weights_only=True)
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        if args.resume:
            used, step = saved["used"], saved["step"]

    def save() -> None:
        states = [optimizer.state_dict() for optimizer in optimizers]
        record = {"model": model.state_dict(), "optimizers": states, "used": used, "step": step}
        torch.save(record, args.checkpoint.with_suffix(".part"))
        args.checkpoint.with_suffix(".part").replace(args.checkpoint)

    stream = Stream(args.data, args.seed + step)
    total = args.minutes * 60
    began, saved_at = time.monotonic() - used, used
    mean = 0.0
    while used < total and (args.steps is None or step < args.steps):
        inputs, targets, weight = stream.batch()
        now = args.rate * rate(step, used / total, args.decay_from)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = now
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scores = model.logits(model(inputs))
        loss = functional.cross_entropy(scores.float().flatten(0, 1), targets.flatten(), reduction="none")
        flat = weight.flatten()
        loss = (loss * flat).sum() / flat.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        step += 1
        used = time.monotonic() - began
        mean = loss.item() if step == 1 else 0.95 * mean + 0.05 * loss.item()
        if step % 20 == 0:
            speed = step * 4096 / used
            print(f"{used / 60:6.1f} min  step {step}  loss {mean:.4f}  rate {now:.5f}  epoch {stream.epochs:.2f}  {speed:.0f} tok/s", flush=True)
        if used - saved_at > _CHECKPOINT_SECONDS:
            saved_at = used
            save()
    save()
    if args.out:
        export(model, args.out)
        print(f"exported to {args.out}")


if __name__ == "__main__":
    main()
