"""What a simulated classifier learns from the replay's calls, as a real one from the journal."""

from dataclasses import replace

from broker.classifier.learned_lengths import LearnedLengths
from broker.classifier.learning import Begun
from broker.classifier.rules import Rules
from broker.classifier.weighing import FixedThresholds, Lengths, PriorLengths, Thresholds
from broker.core.lane_fitting import Bounds, LaneFitting
from broker.core.lanes import LanePlan
from broker.core.output_length import Answered, OutputLengths
from broker.settings import Settings

LOOK_S = 1.0
"""So often it is asked whether the lanes' thresholds should move."""


class MovingThresholds:
    """Thresholds that follow the traffic: the core's fitting, in force as soon as proposed."""

    def __init__(self, settings: Settings, rules: Rules, now: float) -> None:
        given = settings.lanes
        self._plan = rules.thresholds
        self._changed_at = 0.0
        self._looked_at = now
        self._fitting = LaneFitting(
            given.light_share, given.heavy_share, given.fit_half_life_s, now
        )

    def plan(self, now: float) -> LanePlan:
        """The thresholds in force."""
        if now - self._looked_at >= LOOK_S:
            self._looked_at = now
            bounds = Bounds(self._plan.light_max, self._plan.heavy_min)
            found = self._fitting.proposal(bounds, self._changed_at, now)
            if found is not None:
                self._changed_at = now
                new = found.new
                self._plan = replace(self._plan, light_max=new.light_max, heavy_min=new.heavy_min)
        return self._plan

    def began(self, weight: int, lane: str, at: float) -> None:
        """A prompt was called for the first time."""
        if lane != "batch":
            self._fitting.saw(weight, at)


class Learned:
    """`lengths` and `thresholds` for a weigher, and where they hear of calls."""

    def __init__(self, settings: Settings, rules: Rules, now: float) -> None:
        given = settings.lengths
        self._known: OutputLengths | None = None
        self.lengths: Lengths = PriorLengths(rules)
        if given.learn:
            self._known = OutputLengths(given.quantile, given.half_life_s, given.most_tenants)
            self.lengths = LearnedLengths(self._known, rules, worded=False)
        self._moving: MovingThresholds | None = None
        self.thresholds: Thresholds = FixedThresholds(rules)
        if settings.lanes.mode == "auto":
            self._moving = self.thresholds = MovingThresholds(settings, rules, now)

    def hear(self, told: Answered | Begun) -> None:
        """What a line of the journal says."""
        if isinstance(told, Answered):
            if self._known is not None:
                self._known.learn(told)
        elif self._moving is not None:
            self._moving.began(*told)

    @property
    def wants_starts(self) -> bool:
        """Whether the first calls of prompts are to be told."""
        return self._moving is not None

    @property
    def wants_ends(self) -> bool:
        """Whether answers are to be told."""
        return self._known is not None
