"""Traffic: seeded, realistic by its data, every hit with an id of its own in the right slot."""

import itertools
from collections import Counter

import httptools
import msgspec
import pytest

from collector import contract
from loadtest.traffic import profiles, request_template, user_agents

SURFACE = profiles.Surface(token="secret", link_code="yt-launch")
SLOTS = (request_template.ID_SLOT, request_template.UUID_SLOT, request_template.PID_SLOT)


class Parsed:
    """Collects what httptools finds in one request."""

    def __init__(self, raw: bytes) -> None:
        self.headers: dict[str, str] = {}
        self.body, self.complete, self.url = b"", False, b""
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(raw)
        self.method = parser.get_method().decode()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


@pytest.mark.parametrize("profile", profiles.profiles())
def test_every_request_is_well_formed_and_carries_its_ids(profile: str) -> None:
    numbers = itertools.count()
    for template in profiles.pool(profile, 7, SURFACE, 400):
        ids = [
            request_template.hit_id("0badcafe", 3, next(numbers)).encode()
            if slot == "id"
            else request_template.hit_uuid("0badcafe", 3, next(numbers), 1_795_334_400_000).encode()
            for slot in template.slots
            if slot != "cookie"
        ]
        assert len(ids) == len(template.expected)
        raw = template.render(ids, b"c" * 32)
        parsed = Parsed(raw)
        assert parsed.complete, raw
        assert not any(slot.encode() in raw for slot in SLOTS)
        assert all(raw.count(identifier) == 1 for identifier in ids)
        assert len(parsed.url) < 8_192
        assert template.kind == "worst" or len(raw) - len(parsed.body) < 4_096
        if parsed.method == "POST":
            events = msgspec.json.decode(parsed.body)
            events = events if isinstance(events, list) else [events]
            assert len(events) == len(ids)
            found = [event.get("id") or event["props"]["lt"] for event in events]
            assert found == [identifier.decode() for identifier in ids]


def test_an_id_fits_its_slot() -> None:
    assert len(request_template.hit_id("0badcafe", 255, 0xFFFFFFFF)) == len(request_template.ID_SLOT)
    assert len(request_template.PID_SLOT) == 32


def test_the_seed_decides_everything() -> None:
    one, same, other = (profiles.pool("shop", seed, SURFACE, 300) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_a_new_visitor_learns_a_cookie_and_carries_it_along() -> None:
    visits: dict[int, list[request_template.Request]] = {}
    for request in itertools.islice(profiles.requests("campaign-spike", 5, SURFACE), 2_000):
        if request.visit >= 0:
            visits.setdefault(request.visit, []).append(request)
    long = [visit for visit in visits.values() if len(visit) > 1]
    assert len(long) > 50
    for visit in long:
        cookies = [dict(request.headers).get("Cookie", "") for request in visit]
        assert [request.learns for request in visit] == [True] + [False] * (len(visit) - 1)
        assert cookies == ["", *[f"_pid={request_template.PID_SLOT}"] * (len(visit) - 1)]


def test_profiles_have_their_character() -> None:
    def kinds(profile: str) -> Counter[str]:
        return Counter(template.kind for template in profiles.pool(profile, 3, SURFACE, 3_000))

    assert {"browse", "tag", "purchase", "server", "click", "mail", "bot", "refused", "nonsense"} <= kinds(
        "shop"
    ).keys()
    assert kinds("newsletter").most_common(1)[0][0] == "mail"
    assert kinds("bots").most_common(1)[0][0] == "bot"
    assert kinds("pixel").keys() == {"pixel"}
    with pytest.raises(KeyError):
        profiles.pool("no such profile", 1, SURFACE, 1)


def test_user_agents_have_a_head_a_tail_and_some_never_seen() -> None:
    agents = list(itertools.islice(user_agents.stream(1), 40_000))
    counts = Counter(agents)
    assert sum(count for _, count in counts.most_common(10)) > 0.5 * len(agents)
    assert len(counts) > 4_000
    unseen = sum("Unseen/" in agent for agent in agents) / len(agents)
    assert unseen == pytest.approx(user_agents.UNSEEN, abs=0.005)
    assert len(set(user_agents.distinct(1, 20_000))) == 20_000
    assert all("{" not in agent for agent in counts)


def test_hits_are_what_the_collector_writes() -> None:
    hits = list(itertools.islice(profiles.hits("shop", 9, SURFACE), 1_000))
    assert [contract.decode(contract.encode(hit)) for hit in hits] == hits
    assert len({hit.id for hit in hits}) == len(hits)
    assert {hit.kind for hit in hits} == {"pixel", "open", "tag", "server", "click"}
    assert not any(slot in text for hit in hits for slot in SLOTS for text in (hit.query, hit.body, hit.visitor_id))
