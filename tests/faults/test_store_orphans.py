"""A worker killed between the write of a picture and its commit: an orphan, and one answer."""

import hashlib
import threading
from pathlib import Path
from typing import Any

import orjson

from broker.log.embedded import Running
from broker.log.topic_names import TopicNames
from broker.settings import Settings
from broker.story.log_reader import LogReader
from tests.cli.running import run
from tests.faults.deployment import wait_until
from tests.faults.process_faults import WORKER
from tests.faults.rig import Rig, fault_settings, rigged
from tests.store.s3_server import Bucket, s3_server

DAYS_S = 3 * 86_400.0


def picture_settings(kafka: Running, prefix: str, bucket: Bucket) -> Settings:
    return fault_settings(
        kafka.bootstrap,
        prefix,
        models={"pictures": {"kind": "image", "default": True}},
        providers={"azure": {"models": {"pictures": "gpt-image-1", "chat-small": "gpt-5-mini"}}},
        simulator={"fast": True},
        store=bucket.store,
    )


def killed_after_its_first_write(rig: Rig, bucket: Bucket) -> threading.Event:
    """The worker is killed when the store has its picture, and before it is told so."""
    killed, first = threading.Event(), threading.Lock()

    def kill(name: str) -> None:
        if first.acquire(blocking=False):
            rig.deployment.kill(WORKER)
            # As if it had been a year before: the same picture of this hour would be the same
            # object, and nothing would be left.
            folder, day, hour, file = name.rsplit("/", 3)
            bucket.kept[f"{folder}/2025{day[4:]}/{hour}/{file}"] = bucket.kept.pop(name)
            killed.set()

    bucket.on_put = kill
    return killed


def completions(settings: Settings) -> dict[str, dict[str, Any]]:
    topic = TopicNames(settings.kafka.prefix).completions
    with LogReader(settings) as reader:
        spans = reader.spans(topic, settled=True)
        found = [orjson.loads(one.value()) for batch in reader.read(spans) for one in batch]
    return {one["id"]: one for one in found}


def test_an_orphan_of_a_killed_worker_is_removed_and_the_answers_pictures_are_not(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    with (
        s3_server() as bucket,
        rigged(picture_settings(kafka, prefix, bucket), tmp_path) as rig,
    ):
        killed = killed_after_its_first_write(rig, bucket)
        (identity,) = rig.traffic.burst(1, model="pictures", n=2)
        assert killed.wait(60), "no picture was written"
        orphans = {name for name in bucket.kept if "/2025-" in name}
        rig.deployment.start(WORKER)
        wait_until(lambda: identity in rig.answers.ids(), 60, "the prompt is answered")
        pictures = completions(rig.deployment.settings)[identity]["body"]["data"]
        # What was made may be asked about, by the same reference.
        part = {"type": "image_url", "image_url": pictures[0]}
        messages = [{"role": "user", "content": [part]}]
        (about,) = rig.traffic.burst(1, model="chat-small", messages=messages)
        wait_until(lambda: about in rig.answers.ids(), 60, "the prompt about the picture is")
        rig.expect_exactly_once()

        done = completions(rig.deployment.settings)
        assert {name: one["status"] for name, one in done.items()} == {
            identity: "succeeded",
            about: "succeeded",
        }
        assert len(pictures) == 2
        for kept in bucket.kept.values():
            kept.modified -= DAYS_S
        store = orjson.dumps(rig.deployment.settings.store.model_dump(mode="json")).decode()
        told = run(rig.deployment.settings, "store", "gc", "--json", WEIGHBRIDGE_STORE=store).json()
        assert {url.removeprefix("s3://bucket/") for url in told["objects"]} == orphans
        assert len(bucket.kept) == told["listed"] - len(orphans)
        for ref in pictures:
            data = bucket.kept[ref["dataref"].removeprefix("s3://bucket/")].data
            assert hashlib.sha256(data).hexdigest() == ref["dataref_sha256"]
            assert (len(data), ref["dataref_type"]) == (ref["dataref_size"], "image/png")
