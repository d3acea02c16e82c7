"""All runners and what they hold: the two change together. The core's own; nobody else writes."""

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

from stoker.planner.devices import Device
from stoker.planner.spec import Way
from stoker.scheduler import refusals
from stoker.scheduler.events import Generation, Grant, RunnerKey, RunnerState, Start, Stop, Ticket
from stoker.scheduler.ledger import Ledger
from stoker.scheduler.queue import Waiting
from stoker.scheduler.runner import Runner

SETTLE: Final = 5.0
"""Seconds until a driver has told of all memory that a process gave back; some are that late."""


class Roster:
    """Runners by key, their memory in `ledger`, and who holds which by a ticket."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.runners: dict[RunnerKey, Runner] = {}
        self._holds: dict[Ticket, RunnerKey] = {}
        self._left: dict[str, float] = {}
        self._generations = 0

    def current(self, key: RunnerKey, generation: Generation) -> Runner | None:
        """The runner, if this is still the life it lives."""
        runner = self.runners.get(key)
        return runner if runner and runner.generation == generation else None

    def start(self, waiting: Waiting, way: Way, now: float) -> Start:
        """A new life."""
        self._generations += 1
        generation = Generation(self._generations)
        request = waiting.request
        charges = self.ledger.charges(way.cost)
        self.ledger = self.ledger.entered(request.key, charges)
        self.runners[request.key] = Runner(request, way, generation, waiting.keep_alive, now)
        left = {memory: self.ledger.left(memory) for memory in charges}
        why = f"{refusals.sizes(left)} stay free for other models"
        return Start(generation, replace(request, ways=(way,)), why)

    def stop(self, key: RunnerKey, why: str, now: float) -> Stop:
        """Its memory counts until it is gone."""
        runner = self.runners[key]
        runner.becomes(RunnerState.STOPPING, now)
        return Stop(key, runner.generation, runner.request.model.name, why)

    def stop_idle(self, wanted: Callable[[RunnerKey], int], now: float) -> Iterator[Stop]:
        """Those whose time is over or that were to be unloaded, except where somebody waits."""
        for key, runner in self.runners.items():
            expired = runner.expires <= now
            if not (expired or runner.unload) or runner.state is RunnerState.STOPPING:
                continue
            asked = bool(runner.unload) and runner.idle
            # One that loads may still be wanted; an idle one that is wanted is granted now.
            dropped = bool(runner.unload) and runner.state is RunnerState.LOADING
            if asked or ((dropped or expired) and not wanted(key)):
                unused = f"nobody used it for {runner.keep_alive:.0f} s, its keep-alive"
                yield self.stop(key, runner.unload or unused, now)

    def forget(self, key: RunnerKey, now: float) -> None:
        """It is gone."""
        self._left |= dict.fromkeys(self.ledger.held[key], now)
        self.ledger = self.ledger.without(key)
        for ticket in self.runners.pop(key).holders:
            del self._holds[ticket]

    def grant(self, key: RunnerKey, ticket: Ticket) -> Grant:
        """The ticket holds it from now on."""
        runner = self.runners[key]
        runner.serves(ticket)
        self._holds[ticket] = key
        return Grant(ticket, key, runner.generation)

    def release(self, ticket: Ticket, now: float) -> None:
        """Nothing happens when it holds none any more."""
        key = self._holds.pop(ticket, None)
        if key is not None:
            self.runners[key].released(ticket, now)

    def see(self, devices: tuple[Device, ...], since: float) -> None:
        """Enter what a look at the GPUs, begun at `since`, tells of others."""
        steady, moving = [], {memory for memory, at in self._left.items() if since - at < SETTLE}
        for key, runner in self.runners.items():
            if runner.state is RunnerState.READY and runner.since <= since:
                steady.append(key)
            elif runner.loads:
                moving |= self.ledger.held[key].keys()
        self.ledger = self.ledger.with_devices(devices, steady=steady, moving=moving)

    def holders(self, memories: AbstractSet[str]) -> set[RunnerKey]:
        """The runners that hold something of these and are not kept for ever."""
        return {
            key
            for key, runner in self.runners.items()
            if not runner.pinned and memories & self.ledger.held[key].keys()
        }
