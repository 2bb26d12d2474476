"""When a child that died may start again."""

from collections import deque
from dataclasses import dataclass, field

FIRST_DELAY_S = 0.0
"""A first death is most often a kill: whoever waits for this child should not wait for us."""
STEP_S = 0.5
LONGEST_S = 30.0
FORGIVEN_AFTER_S = 60.0


@dataclass(slots=True)
class RestartBackoff:
    """Deaths of one child; each within a minute of the others doubles the delay, up to 30 s."""

    deaths: deque[float] = field(default_factory=deque)

    def died(self, now: float) -> float:
        """Note a death at `now` (seconds); returns how many seconds to wait before the restart."""
        while self.deaths and now - self.deaths[0] > FORGIVEN_AFTER_S:
            self.deaths.popleft()
        self.deaths.append(now)
        earlier = len(self.deaths) - 1
        if earlier == 0:
            return FIRST_DELAY_S
        return min(STEP_S * 2.0 ** (earlier - 1), LONGEST_S)
