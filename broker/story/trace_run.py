"""One prompt's whole story, from the topics alone."""

from broker.settings import Settings
from broker.story.finding import Finding
from broker.story.log_reader import LogReader, Progress
from broker.story.trace import Trace


def run_trace(
    settings: Settings, identity: str, *, whole: bool = False, progress: Progress | None = None
) -> Trace:
    """The story of the prompt with this id.

    `whole`: read on after its completion, to the end of the topics. Raises UnknownIdError when no
    prompt has the id, NotReadyError when the cluster or its topics are not there.
    """
    with LogReader(settings) as reader:
        found = Finding(settings, reader, identity, progress)
        found.prompts()
        end = found.completions(whole=whole)
        found.works(end)
        found.journal(end)
        found.cancels(end)
        found.letters(end)
        return found.story.told(found.where())
