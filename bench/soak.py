"""The long hold: idle clients while chat flows in ten rooms. Memory stays flat, nobody is lost."""

import threading
import time
from dataclasses import asdict, dataclass

from bench import processes
from bench.generator import Load, load_on
from bench.runner import Say
from bench.servers import RTSERVER, Running, running

CHATTING, CHAT_ROOMS, CHAT_RATE = 200, 10, 100
SAMPLE_EVERY = 5.0


@dataclass(frozen=True)
class Soaked:
    """What the hold showed."""

    clients: int
    minutes: float
    lost: int
    kb_per_client: float
    rss_kb: list[tuple[float, int]]
    """Seconds since the swarm was open, and resident memory."""
    growth: float
    """Memory of the last tenth of the samples to that of the first tenth after a minute."""
    chat: dict[str, float]

    @property
    def held(self) -> bool:
        """Say whether memory was flat (within 2 %) and nobody was lost."""
        return self.lost == 0 and self.growth < 1.02 and not self.chat["missing"] and not self.chat["lost"]

    def figures(self) -> dict[str, object]:
        """Return everything, for JSON."""
        return {**asdict(self), "held": self.held}


def soak(clients: int, minutes: float, say: Say) -> Soaked:
    """Hold idle clients for some minutes."""
    with running(RTSERVER) as server, load_on(server) as idle, load_on(server) as chatting:
        before = processes.resident_kb(server.pids)
        opened = idle.open(clients=clients, rooms=clients // 100, sources=8)
        kb = (processes.resident_kb(server.pids) - before) / clients
        say(f"{opened['clients']} idle clients in {opened['seconds']:.1f} s, {kb:.1f} KB each")
        chatting.open(clients=CHATTING, rooms=CHAT_ROOMS)
        with _Sampling(server, say) as sampling:
            chat = chatting.run(rate=CHAT_RATE, publishers=CHATTING, seconds=minutes * 60, warm=1)
        lost = idle.status()["lost"] + _gone(chatting)
    return Soaked(clients, minutes, lost, kb, sampling.samples, _growth(sampling.samples), chat)


def _gone(load: Load) -> int:
    return int(load.status()["lost"])


def _growth(samples: list[tuple[float, int]]) -> float:
    """Compare ends, without the first minute or tenth, in which buffers find their size."""
    settled = [kb for at, kb in samples if at >= min(60.0, samples[-1][0] / 10)]
    tenth = max(1, len(settled) // 10)
    return sum(settled[-tenth:]) / sum(settled[:tenth])


class _Sampling:
    """Reads the server's memory every few seconds while the load runs."""

    def __init__(self, server: Running, say: Say) -> None:
        self.samples: list[tuple[float, int]] = []
        self._server = server
        self._say = say
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "_Sampling":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        begin = time.monotonic()
        while True:
            at = time.monotonic() - begin
            self.samples.append((round(at, 1), processes.resident_kb(self._server.pids)))
            if len(self.samples) % 12 == 1:
                self._say(f"{at:4.0f} s: {self.samples[-1][1] / 1024:.1f} MiB")
            if self._done.wait(SAMPLE_EVERY):
                return
