"""What runs, when: a pure core in an asyncio shell."""

from stoker.scheduler.events import RunnerKey, RunnerState, RunRequest
from stoker.scheduler.lease import Lease
from stoker.scheduler.scheduler import Scheduler
from stoker.scheduler.status import RunnerStatus

__all__ = ["Lease", "RunRequest", "RunnerKey", "RunnerState", "RunnerStatus", "Scheduler"]
