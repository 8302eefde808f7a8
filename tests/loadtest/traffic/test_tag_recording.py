"""The mix's tag requests are still what the tag sends."""

import json

from tests.loadtest.traffic.tag_recording import RECORDING, TAG, form, record


async def test_the_recording_has_the_form_of_what_the_tag_sends() -> None:
    recorded = json.loads(RECORDING.read_text())
    assert form(await record(TAG.read_text())) == form(recorded), "run tests.loadtest.traffic.tag_recording --write"
