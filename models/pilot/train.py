"""Train pilot on the CPU by the clock: the schedule ends when the minutes are up.

    python models/pilot/train.py --data data.npz --minutes 60 --checkpoint pilot.pt -o
    models/pilot/weights

Matrices are trained by Muon (orthogonalised momentum), the rest by AdamW. The rate rises for a
minute, stays, and falls to nothing in the last part of the time, so a shared machine changes how
many steps are made but not how training ends. A checkpoint is written every few minutes; --resume
goes on from it with the time that is left, --warm starts a new schedule from its weights.
"""

import argparse
import json
import signal
import threading
import time
from pathlib import Path

import network
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

# Rows, their length, whether conversations in one row are kept apart, and the share of the steps;
# 4096 tokens each. Kept apart, the question is found sooner; side by side, positions up to 1023 see
# training and older talk is learnt to be passed over. The first shape is compiled: a minute for the
# other would not pay.
_BATCHES = [(16, 256, True, 0.94), (4, 1024, False, 0.06)]
_EMBEDDING_RATE = 0.5  # of the matrices' rate
_WARM_UP_STEPS = 30
_CHECKPOINT_SECONDS = 180.0


def orthogonal(gradient: Tensor, steps: int = 5) -> Tensor:
    """The nearest matrix with all singular values about 1 (Newton-Schulz iteration)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = (gradient / (gradient.norm() + 1e-7)).bfloat16()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return (x.T if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Momentum whose matrix updates are made orthogonal; rates compare with AdamW's."""

    def __init__(
        self, params: list[Tensor], lr: float, momentum: float = 0.95, decay: float = 0.05
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
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

    def batch(self) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """(inputs, targets, whether the target is the assistant's) by rows and time, and the
        mask.
        """
        shares = [share for *_, share in _BATCHES]
        rows, length, apart, _ = _BATCHES[self.rng.choice(len(_BATCHES), p=shares)]
        ids = np.zeros((rows, length + 1), dtype=np.int64)
        mine = np.zeros((rows, length), dtype=bool)
        for row in range(rows):
            start = self.starts[self.next]
            if start + length + 1 > len(self.ids):
                self.next, start = 0, 0
            ids[row] = self.ids[start : start + length + 1]
            mine[row] = self.mine[start + 1 : start + length + 1] == 1
            # Go on at the conversation that was cut, so that none is only ever seen in half.
            following = int(np.searchsorted(self.starts, start + length, side="right")) - 1
            self.epochs += (following - self.next) / len(self.starts)
            self.next = max(following, self.next + 1) % len(self.starts)
        inputs = torch.from_numpy(ids[:, :-1])
        mask = None
        if apart:
            number = torch.cumsum(inputs == 0, dim=1) - (inputs == 0).long()
            same = number[:, :, None] == number[:, None, :]
            mask = (same & torch.ones(length, length, dtype=torch.bool).tril())[:, None]
        return inputs, torch.from_numpy(ids[:, 1:]), torch.from_numpy(mine), mask


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


def main() -> None:  # noqa: C901 (a script reads best from top to bottom)
    """Command line: train, checkpoint, export."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument(
        "--decay-from", type=float, default=0.5, help="share of the time at the full rate"
    )
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--warm", type=Path, help="start from the weights of this checkpoint")
    parser.add_argument(
        "--compile", action="store_true", help="compile the network (needs a C++ compiler)"
    )
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

    fast = torch.compile(model) if args.compile else model
    stream = Stream(args.data, args.seed + step)
    total = args.minutes * 60
    began, saved_at = time.monotonic() - used, used
    mean = 0.0
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    while used < total and not stopped.is_set() and (args.steps is None or step < args.steps):
        inputs, targets, mine, mask = stream.batch()
        now = args.rate * rate(step, used / total, args.decay_from)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = now if isinstance(optimizer, Muon) else now * _EMBEDDING_RATE
        with torch.autocast("cpu", dtype=torch.bfloat16):
            trunk = model if mask is None else fast
            # Only what the assistant says is learnt, so only there are scores needed.
            scores = model.logits(trunk(inputs, mask)[mine])
        loss = functional.cross_entropy(scores.float(), targets[mine])
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
            progress = f"loss {mean:.4f}  rate {now:.5f}  epoch {stream.epochs:.2f}"
            print(f"{used / 60:6.1f} min  step {step}  {progress}  {speed:.0f} tok/s", flush=True)
        if used - saved_at > _CHECKPOINT_SECONDS:
            saved_at = used
            save()
    save()
    if args.out and not stopped.is_set():
        export(model, args.out)
        print(f"exported to {args.out}")


if __name__ == "__main__":
    main()
