"""`weighbridge lanes`: what is light and heavy, and how that changed."""

from dataclasses import asdict

from broker.cli.options import AsJson, Config, Kafka, load
from broker.cli.output import console, harmless, reading_progress, say, table, write, write_json


def lanes(config: Config = None, kafka: Kafka = None, as_json: AsJson = False) -> None:
    """Say which weights are light and heavy now, and the changes of the last day.

    With `lanes = "auto"` in the settings classifiers let the thresholds follow the traffic, a step
    a minute at most. What waits stays in the lane that it was put into.
    """
    from broker.records.times import to_rfc3339
    from broker.story.lane_changes import read_lanes

    with reading_progress() as progress:
        found = read_lanes(load(config, kafka), progress)
    if as_json:
        changes = [{**asdict(one), "at": to_rfc3339(one.at)} for one in found.changes]
        write_json({**asdict(found), "changes": changes})
        return
    write(
        f"light is up to {found.light_max:,}, heavy from {found.heavy_min:,} ({found.mode}; "
        "token units)"
    )
    if not found.changes:
        say("lanes: no change in the last day")
        return
    made = table("at", "light up to", "heavy from", "why", right=("light up to", "heavy from"))
    for one in found.changes:
        made.add_row(
            to_rfc3339(one.at),
            f"{one.old_light_max:,} → {one.light_max:,}",
            f"{one.old_heavy_min:,} → {one.heavy_min:,}",
            harmless(one.why),
        )
    console().print(made, markup=False)
