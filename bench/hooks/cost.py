"""What webhooks add to the CPU of a chat in a large room."""

from functools import partial

from bench import processes
from bench.generator import Load, load_on
from bench.hooks.comparison import compared, times
from bench.hooks.receiver import Receiver, receiving
from bench.hooks.targets import batching
from bench.scenarios import Figures, Pace
from bench.servers import Running


def measure(pace: Pace) -> dict[str, Figures]:
    """Publish to 1000 members, one and then 32 publications under way."""
    with receiving() as receiver:
        work = partial(_crowd, receiver=receiver, pace=pace)
        pairs = compared([], [batching("hooks", receiver.port)], pace.pairs, work)
    found = {}
    for row, key in (("hooks-cpu-1", "1"), ("hooks-cpu", "32")):
        inner = [(off[key], on[key]) for off, on in pairs]
        found[row] = {**times(inner, "cpu_us_per_event"), "runs": inner}
    return found


def _crowd(server: Running, receiver: Receiver, pace: Pace) -> Figures:
    with load_on(server) as load:
        load.open(clients=1000, rooms=1)
        return {
            str(inflight): _until_received(server, load, receiver, inflight, pace) for inflight in (1, 32)
        }


def _until_received(server: Running, load: Load, receiver: Receiver, inflight: int, pace: Pace) -> Figures:
    """Count the server's CPU until the receiver has everything: what is put off is not saved."""
    receiver.reset()
    before = processes.cpu_seconds(server.pids)
    answer = load.run(inflight=inflight, publishers=1000, seconds=pace.seconds, warm=pace.warm)
    received = receiver.wait_for(answer["published"], quiet=0.5)["events"]
    cpu = processes.cpu_seconds(server.pids) - before
    return {**answer, "cpu_us_per_event": cpu * 1e6 / answer["published"], "received": received}
