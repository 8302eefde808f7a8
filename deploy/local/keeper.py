"""Keeps one program running: started, watched, started again when it dies, stopped when asked."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from deploy.local.children import dies_with_parent
from deploy.local.programs import Program

PAUSES_S: Final = (0.2, 0.5, 1, 2, 5, 10)
"""Before each start after a death; the last one stays."""
STEADY_S: Final = 30
"""After a run of this length a restart uses the first pause again."""
LOG_BYTES: Final = 16 << 20
"""A log that is longer at the start is kept as `.1`."""

WRONG_SETTING: Final = 2
"""Exit code by which every program says that another start would not help."""


class Keeper:
    """One program; `died` is called with one line before each restart: the exit code and the pause."""

    def __init__(self, program: Program, folder: Path, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
        self.program = program
        self.log = folder / f"{program.name}.log"
        self.starts = 0
        self.refused = asyncio.Event()
        """Set when the program exits because of wrong settings: it is not started again."""
        self.after_death: Callable[[], None] = lambda: None
        """Called when the program has died by itself, before it is started again."""
        self._environ = {name: value for name, value in environ.items() if not name.startswith("PHAROS_LOCAL_")}
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    @property
    def pid(self) -> int:
        """The process, 0 where none runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else 0

    async def run(self) -> None:
        """Start the program, and again whenever it ends, until `stop` or a wrong setting."""
        clock = asyncio.get_running_loop().time
        deaths = 0
        while not self._stopping:
            begun = clock()
            self._process = await self._start()
            code = await self._process.wait()
            if self._stopping:
                return
            if code == WRONG_SETTING:
                self.refused.set()
                return
            self.after_death()
            deaths = 0 if clock() - begun > STEADY_S else deaths
            pause = PAUSES_S[min(deaths, len(PAUSES_S) - 1)]
            deaths += 1
            self._say(f"{self.program.name} {_how(code)}: starting it again in {pause:g} s; log: {self.log}")
            await asyncio.sleep(pause)

    def kill(self) -> None:
        """End the program at once; `run` starts it again."""
        if self._process is not None and self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def last_line(self) -> str:
        """Return the last line of the program's log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return lines[-1] if lines else "(no output)"

    async def stop(self, seconds: float) -> bool:
        """SIGTERM, wait, then SIGKILL; return whether it ended by itself, with exit code 0."""
        self._stopping = True
        process = self._process
        if process is None:
            return True
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(seconds):
                    await process.wait()
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return process.returncode == 0

    async def _start(self) -> asyncio.subprocess.Process:
        self.starts += 1
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *self.program.argv,
                env=self._environ | self.program.env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a terminal's Ctrl-C is ours: the order of the drain is
                # A killed runner cannot drain in order; what kill -9 costs a stage is nothing, by design.
                preexec_fn=dies_with_parent(signal.SIGKILL),
            )


def _how(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
