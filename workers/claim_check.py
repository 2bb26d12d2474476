"""What of an answer a record does not carry: it goes to the store before the record is written."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import orjson

from broker.records.completion import Completion, encode_completion
from broker.store.claims import BIG, ClaimStore
from broker.store.media import JSON
from workers.pictures import Picture, taken_out


class ClaimCheck:
    """Takes pictures out of answers, and whole answers that are larger than a record may be.

    `store` opens the store when it is first needed. Pictures always go, however small, so that a
    reader finds them in one way.
    """

    def __init__(self, store: Callable[[], ClaimStore], max_record_bytes: int) -> None:
        self._store = store
        self._most = max_record_bytes

    async def kept(self, completion: Completion) -> tuple[Completion, bytes]:
        """The completion as a record carries it, with its encoding.

        Raises StoreFailedError, and UsageError when the store cannot be opened.
        """
        if completion.body is not None:
            body, pictures = taken_out(completion.kind, completion.body)
            if pictures:
                await asyncio.gather(*map(self._keep, pictures))
                completion = replace(completion, body=body)
        value = encode_completion(completion)
        if len(value) > self._most:
            completion = await self._whole(completion)
            value = encode_completion(completion)
        return completion, value

    async def _keep(self, picture: Picture) -> None:
        if len(picture.encoded) < BIG:
            found = picture.decoded()
        else:
            found = await asyncio.to_thread(picture.decoded)
        if found is None:
            picture.put_back()
        else:
            ref = await self._store().put(*found)
            picture.holder.update(ref.as_json())

    async def _whole(self, completion: Completion) -> Completion:
        """A reference in the place of the answer's text and body."""
        body = completion.body
        data = orjson.dumps({"text": completion.text} if body is None else body)
        ref = await self._store().put(data, JSON)
        return replace(completion, text=None, body=None, data=ref)
