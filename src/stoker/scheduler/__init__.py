"""What runs, when: a pure core in an asyncio shell."""

from stoker.scheduler.events import RunnerKey, RunnerState, RunRequest
from stoker.scheduler.scheduler import Lease, Scheduler
from stoker.scheduler.status import RunnerStatus

__all__ = ["Lease", "RunRequest", "RunnerKey", "RunnerState", "RunnerStatus", "Scheduler"]
