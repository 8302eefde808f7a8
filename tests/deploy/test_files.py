"""The files of deploy/ through the tools that would run them; what a tool cannot see is looked at here.

Long, because it is a list: the files and their tools.
"""

import importlib
import itertools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import hcl2
import jsonschema
import pytest
import yaml

from sink.commands.users import USERS
from tests import needs
from tests.image import Image
from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until_now

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_dockerfile_is_clean() -> None:
    run(BIN / "hadolint", DEPLOY / "Dockerfile")


def test_the_compose_file_fits_its_schema() -> None:
    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


def test_everything_the_compose_file_mounts_is_there_and_every_image_is_pinned() -> None:
    compose = composed()
    for name, service in compose["services"].items():
        assert re.search(r":v?\d+\.\d+\.\d+|:local$", service["image"]), name
        for source in mounted(service):
            known = source in compose["volumes"] or source == "/dev/shm/pharos-salt"
            assert known or (DEPLOY / source).exists(), source
        for needed in service.get("depends_on", {}):
            assert needed in compose["services"]
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}, name
    plugins = compose["services"]["grafana"]["environment"]["GF_PLUGINS_PREINSTALL"].split(",")
    assert all(re.fullmatch(r"[a-z-]+@\d+\.\d+\.\d+", plugin) for plugin in plugins)


def test_the_small_host_keeps_within_its_memory() -> None:
    """compose.small.yaml: limits of all that runs on, also with compose.live.yaml, under 3.6 of 4 GiB."""
    small = yaml.safe_load((DEPLOY / "compose.small.yaml").read_text())["services"]
    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.small.yaml")
    once = {"secrets", "topics", "users", "migrate", "erase"}
    total = 0
    for name, service in composed()["services"].items():
        if name not in once:
            limit = small.get(name, service)["deploy"]["resources"]["limits"]["memory"]
            total += int(limit.removesuffix("M"))
    total += 128  # the service `certificate` of compose.live.yaml
    assert total <= 3.6 * 1024
    heap = small["kafka"]["environment"]["KAFKA_HEAP_OPTS"]
    assert int(re.findall(r"-Xmx(\d+)m", heap)[0]) * 2 <= 640
    server = ElementTree.parse(DEPLOY / "clickhouse/small.xml").getroot()
    limit = int(small["clickhouse"]["deploy"]["resources"]["limits"]["memory"].removesuffix("M")) << 20
    assert int(server.findtext("max_server_memory_usage") or 0) < 0.9 * limit


def composed() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def mounted(service: dict[str, Any]) -> list[str]:
    return [mount.split(":")[0] for mount in service.get("volumes", ())]


def test_compose_up_needs_nothing_before_it() -> None:
    """Who reads a password, or the salt's folder, waits for the service that makes them; who serves says how it is."""
    services = composed()["services"]
    makes = {source for source in mounted(services["secrets"]) if not source.startswith(".")}

    def waits_for(name: str) -> set[str]:
        needed = set(services[name].get("depends_on", {}))
        return needed.union(*(waits_for(one) for one in needed))

    for name, service in services.items():
        if name != "secrets" and makes & set(mounted(service)):
            assert "secrets" in waits_for(name), name
    told = " ".join(path for one in services.values() for path in map(str, one.get("environment", {}).values()))
    for path in re.findall(r"/run/secrets/(\w+)", told):
        assert f"/{path}" in services["secrets"]["command"][0]
    for name in ("kafka", "clickhouse", "edge", "prometheus", "grafana"):
        assert "test" in services[name]["healthcheck"], name


def test_each_password_is_made_once(tmp_path: Path) -> None:
    first, own = tmp_path / "a/first", tmp_path / "b/own"
    own.parent.mkdir()
    own.write_text("mine")
    for _ in range(2):
        run("/bin/sh", DEPLOY / "secrets.sh", first, own)
        made = first.read_text()
    assert run("/bin/sh", DEPLOY / "secrets.sh", first, own) == ""
    assert re.fullmatch(r"[A-Za-z0-9]{20,32}", made)
    assert (first.read_text(), own.read_text()) == (made, "mine")
    assert first.stat().st_mode & 0o777 == 0o644, "the containers' own users read it"
    assert [path.name for path in first.parent.iterdir()] == ["first"]


@pytest.fixture(scope="module", params=["base", "example"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `kubectl apply -k` would send, in a file."""
    built = run(BIN / "kubectl", "kustomize", DEPLOY / "kubernetes" / request.param)
    file = tmp_path_factory.mktemp(request.param) / "all.yaml"
    file.write_text(built)
    return file


def test_kubernetes_would_take_every_resource(cluster: Path) -> None:
    run(BIN / "kubernetes-validate", "--strict", "--quiet", cluster)


def test_kubernetes_would_take_the_job_that_makes_the_topics(tmp_path: Path) -> None:
    built = run(BIN / "kubectl", "kustomize", DEPLOY / "kubernetes/topics")
    (tmp_path / "all.yaml").write_text(built)
    run(BIN / "kubernetes-validate", "--strict", "--quiet", tmp_path / "all.yaml")
    (job,) = (one for one in yaml.safe_load_all(built) if one["kind"] == "Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == composed()["services"]["topics"]["image"]
    assert "COPIES" not in {entry["name"] for entry in container["env"]}, "three, as the script has it"


def test_every_pod_is_confined_and_drains_in_time(cluster: Path) -> None:
    resources = [one for one in yaml.safe_load_all(cluster.read_text()) if one]
    labels = {
        one["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]
        for one in resources
        if "template" in one.get("spec", {})
    }
    report = {"pharos-report"} if "example" in cluster.parent.name else set()
    assert labels == {"pharos-collector", "pharos-enricher", "pharos-sink"} | report
    for one in resources:
        if one["kind"] == "PodDisruptionBudget":
            labels.discard(one["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"])
        if "template" not in one.get("spec", {}):
            continue
        pod = one["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        for own in (container, *pod.get("initContainers", ())):
            assert own["securityContext"]["readOnlyRootFilesystem"]
            assert own["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert not pod["automountServiceAccountToken"]
        settings = {entry["name"]: entry["value"] for entry in container.get("env", ())}
        waits = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        drain = sum(float(settings.get(f"PHAROS_COLLECTOR_{name}_S", 0)) for name in ("GRACE", "DRAIN"))
        assert waits + max(drain, 20) + 10 <= pod["terminationGracePeriodSeconds"]
    assert not labels, "without a disruption budget"


def test_the_example_shares_the_salt_among_collectors(cluster: Path) -> None:
    resources = [one for one in yaml.safe_load_all(cluster.read_text()) if one]
    claims = [one for one in resources if one["kind"] == "PersistentVolumeClaim"]
    if "example" not in cluster.parent.name:
        assert not claims, "a cluster without shared volumes takes the base"
        return
    assert [one["spec"]["accessModes"] for one in claims] == [["ReadWriteMany"]]
    (stateful,) = (one for one in resources if one["kind"] == "StatefulSet")
    pod = stateful["spec"]["template"]["spec"]
    volume = {"name": "salt", "persistentVolumeClaim": {"claimName": claims[0]["metadata"]["name"]}}
    assert volume in pod["volumes"]
    (container,) = pod["containers"]
    (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == "salt")
    settings = {entry["name"]: entry["value"] for entry in container["env"]}
    assert Path(mount["mountPath"]) in Path(settings["PHAROS_COLLECTOR_SALT_DIR"]).parents


def test_nobody_but_the_autoscaler_says_how_many_pods(cluster: Path) -> None:
    """Each `kubectl apply` would take the autoscaler's number back."""
    resources = [one for one in yaml.safe_load_all(cluster.read_text()) if one]
    scaled = {
        (one["spec"]["scaleTargetRef"]["kind"], one["spec"]["scaleTargetRef"]["name"])
        for one in resources
        if one["kind"] == "HorizontalPodAutoscaler"
    }
    assert len(scaled) == 3
    found = [one for one in resources if (one["kind"], one["metadata"]["name"]) in scaled]
    assert len(found) == 3
    assert not [one["metadata"]["name"] for one in found if "replicas" in one["spec"]]


def test_prometheus_adapter_has_every_metric_that_an_autoscaler_asks_for(cluster: Path) -> None:
    rules = yaml.safe_load((DEPLOY / "kubernetes/lag/prometheus-adapter.yaml").read_text())["rules"]["external"]
    given = {rule["name"]["as"]: rule["seriesQuery"] for rule in rules}
    asked = {
        metric["external"]["metric"]["name"]
        for one in yaml.safe_load_all(cluster.read_text())
        if one and one["kind"] == "HorizontalPodAutoscaler"
        for metric in one["spec"]["metrics"]
        if metric["type"] == "External"
    }
    assert asked == set(given)
    assert all(f"| `{series}` |" in (ROOT / "docs/metrics.md").read_text() for series in given.values())


def test_the_spool_fills_its_volume_and_no_more(cluster: Path) -> None:
    resources = [one for one in yaml.safe_load_all(cluster.read_text()) if one]
    (stateful,) = (one for one in resources if one["kind"] == "StatefulSet")
    (claim,) = stateful["spec"]["volumeClaimTemplates"]
    volume = int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi")) << 30
    (settings,) = (
        one["data"]
        for one in resources
        if one["kind"] == "ConfigMap" and one["metadata"]["name"].startswith("pharos-settings")
    )
    assert 0.7 * volume < int(settings["PHAROS_COLLECTOR_SPOOL_BYTES"]) < 0.9 * volume


def test_the_certificates_solver_is_let_in(cluster: Path) -> None:
    """Only the example has an Ingress, and with it cert-manager's pod, which the base's policy would shut off."""
    resources = [one for one in yaml.safe_load_all(cluster.read_text()) if one]
    wanted = any("cert-manager.io/cluster-issuer" in one["metadata"].get("annotations", {}) for one in resources)
    let_in = [
        one["spec"]["ingress"][0]["ports"]
        for one in resources
        if one["kind"] == "NetworkPolicy"
        and "acme.cert-manager.io/http01-solver" in one["spec"]["podSelector"].get("matchLabels", {})
    ]
    assert let_in == ([[{"port": 8089}]] if wanted else [])
    assert wanted == ("example" in cluster.parent.name)


def test_the_topics_have_three_copies_unless_there_is_one_broker(tmp_path: Path) -> None:
    """The script with a fake tool that records its arguments."""
    tool, told = tmp_path / "kafka-topics.sh", tmp_path / "told"
    tool.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    tool.chmod(0o755)
    script = DEPLOY / "kubernetes/topics/topics.sh"
    compose = composed()["services"]["topics"]["environment"]
    found = {}
    for given in ({}, {"COMMAND_CONFIG": "/c"}, compose):
        env = {"KAFKA": "broker:9092"} | given | {"TOOLS": str(tmp_path)}
        subprocess.run(["/bin/sh", script], env=env, timeout=30, check=True)
        for line in told.read_text().splitlines():
            words = line.split()
            options = dict(itertools.pairwise(words))
            configs = {words[at + 1] for at, word in enumerate(words) if word == "--config"}
            assert words[:2] == ["--bootstrap-server", env["KAFKA"]]
            assert options.get("--command-config", "") == env.get("COMMAND_CONFIG", "")
            assert "--if-not-exists" in words
            copies = env.get("COPIES", "3")
            assert options["--replication-factor"] == copies
            assert f"min.insync.replicas={'1' if copies == '1' else '2'}" in configs
            (days,) = (int(one.split("=")[1]) / 86_400_000 for one in configs if one.startswith("retention.ms="))
            found[options["--topic"]] = (int(options["--partitions"]), days)
        told.unlink()
    assert found == {"hits.raw": (12, 7), "hits.enriched": (12, 3), "hits.dead": (3, 30), "forward.dead": (3, 30)}


def test_cloudfront_would_take_the_template() -> None:
    run(BIN / "cfn-lint", DEPLOY / "cdn/cloudfront.yaml")


def plain(value: Any) -> Any:
    """Return what hcl2 has read without its quotes and marks."""
    if isinstance(value, dict):
        return {plain(name): plain(each) for name, each in value.items() if not name.startswith("__")}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value[1:-1].replace('\\"', '"') if isinstance(value, str) and value.startswith('"') else value


def test_cloudflare_would_take_the_resources_and_each_path_has_one_rule() -> None:
    """Terraform's language by a parser of it; the provider's fields by tests/deploy/cloudflare.yml."""
    with (DEPLOY / "cdn/cloudflare.tf").open() as file:
        found = plain(hcl2.load(file))
    schema = yaml.safe_load((Path(__file__).parent / "cloudflare.yml").read_text())
    declared = {name for variable in found["variable"] for name in variable}
    assert set(re.findall(r"\$\{var\.(\w+)\}", json.dumps(found))) == declared
    assert found["terraform"][0]["required_providers"][0]["cloudflare"]["version"] == "~> 5.0"
    rules: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for resource in found["resource"]:
        ((kind, named),) = resource.items()
        ((_, given),) = named.items()
        jsonschema.validate(given, {"$defs": schema["$defs"], **schema[kind]})
        for rule in given.get("rules", ()):
            condition = re.fullmatch(
                r'\(http\.host eq "\$\{var\.name\}" and (not )?http\.request\.uri\.path '
                r'(?:(eq|ne) "([^"]+)"|in \{([^}]+)\})\)',
                rule["expression"],
            )
            assert condition is not None, rule["expression"]
            named = re.findall(r'"([^"]+)"', condition[4]) if condition[4] else [condition[3]]
            for path in ("/p.gif", "/o.gif", "/e", "/v1/events", "/c/x", "/opt-out", "/t.js", "/x.js"):
                if (path in named) != (condition[1] is not None or condition[2] == "ne"):
                    rules.setdefault(path, []).append((given["phase"], rule["action_parameters"]))
    for path, chosen in rules.items():
        cached = [parameters["cache"] for phase, parameters in chosen if phase == "http_request_cache_settings"]
        assert cached == [path in ("/t.js", "/x.js")]
        dropped = any("Authorization" in parameters.get("headers", {}) for _, parameters in chosen)
        assert dropped == (path != "/v1/events")
    assert len(rules) == 8


@pytest.mark.parametrize("stage", ["collector", "enricher", "sink", "forward"])
def test_systemd_takes_the_unit_and_finds_it_confined(stage: str, tmp_path: Path) -> None:
    analyze = needs.program("systemd-analyze", "systemd")
    text = (DEPLOY / f"systemd/pharos-{stage}.service").read_text()
    program = "sink forward" if stage == "forward" else stage
    assert f"ExecStart=/opt/pharos/bin/python -m {program}\n" in text
    unit = tmp_path / f"pharos-{stage}.service"
    unit.write_text(text.replace("/opt/pharos/bin/python", "/bin/true"))
    run(analyze, "verify", "--man=no", unit)
    run(analyze, "security", "--offline=true", "--threshold=15", "--no-pager", unit)


def test_the_collectors_salt_outlives_a_restart_and_stays_in_memory() -> None:
    """A user that systemd makes up loses its files in /dev/shm with each stop; /run is memory, too."""
    lines = (DEPLOY / "systemd/pharos-collector.service").read_text().splitlines()
    assert {"RuntimeDirectory=pharos-collector", "RuntimeDirectoryPreserve=yes"} <= set(lines)
    assert "Environment=PHAROS_COLLECTOR_SALT_DIR=%t/pharos-collector/salt" in lines


@pytest.mark.parametrize("stage", ["enricher", "sink"])
@pytest.mark.parametrize(
    "path", ["compose.yaml", "kubernetes/base/{}.yaml", "systemd/pharos-{}.service", "local/programs.py"]
)
def test_every_way_to_deploy_gives_enricher_and_sink_the_sites(path: str, stage: str) -> None:
    """Without them a payment page starts a new visit, days are those of UTC, and nothing tells why."""
    setting = rf"PHAROS_{stage.upper()}_SITES\W+(?:value: )?(?:/etc/pharos/sites\.toml|str)"
    assert re.search(setting, (DEPLOY / path.format(stage)).read_text())


@pytest.mark.parametrize("stage", ["collector", "enricher", "sink"])
def test_a_live_host_gives_its_own_sites_to_each_stage(stage: str) -> None:
    """Compose replaces the local file, which has the demo's sites, by the one in the host's folder."""
    services = yaml.safe_load((DEPLOY / "compose.live.yaml").read_text())["services"]
    assert any("sites.toml:/etc/pharos/sites.toml" in volume for volume in services[stage]["volumes"])


DROP_INS = sorted(DEPLOY.glob("systemd/*.service.d/*.conf"))


@pytest.mark.parametrize("drop_in", DROP_INS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_secret_reaches_a_setting_of_its_stage(drop_in: Path, tmp_path: Path) -> None:
    stage = drop_in.parent.name.removeprefix("pharos-").removesuffix(".service.d")
    text = drop_in.read_text()
    loaded = re.findall(r"^LoadCredential=(\w+):/etc/pharos/secrets/[\w.]+$", text, re.MULTILINE)
    environment = dict(re.findall(r"^Environment=(\w+)=(.+)$", text, re.MULTILINE))
    assert sorted(loaded) == sorted(value[3:] for value in environment.values() if value.startswith("%d/"))
    for name in loaded:
        (tmp_path / name).write_text("a secret of some length\n")
    given = {name: value.replace("%d", str(tmp_path)) for name, value in environment.items()}
    program = "sink" if stage == "forward" else stage
    settings = importlib.import_module(f"{program}.settings")
    needed = {"PHAROS_COLLECTOR_SITES": "sites.toml"} if stage == "collector" else {}
    read = settings.read(given | needed)
    for name, value in given.items():
        field = name.removeprefix(f"PHAROS_{program.upper()}_").lower()
        expected = "a secret of some length" if field.endswith("_file") else value
        assert getattr(read, field.removesuffix("_file")) == expected
    analyze = needs.program("systemd-analyze", "systemd")
    unit = tmp_path / f"pharos-{stage}.service"
    text = (DEPLOY / "systemd" / unit.name).read_text()
    unit.write_text(text.replace("/opt/pharos/bin/python", "/bin/true"))
    shutil.copytree(drop_in.parent, tmp_path / drop_in.parent.name)
    run(analyze, "verify", "--man=no", unit)


def test_there_is_a_drop_in_for_each_secret() -> None:
    assert [path.stem for path in DROP_INS] == ["kafka-certificate", "kafka-password", "link-key"] + [
        "kafka-certificate",
        "kafka-password",
    ] * 3


def test_each_service_reaches_clickhouse_as_its_own_user_and_has_no_other_password() -> None:
    services = composed()["services"]
    users = {"users": "pharos", "migrate": "migrator", "sink": "sink", "erase": "eraser", "forward": "forwarder"}
    volumes = {"pharos": "clickhouse-secret"} | {user: f"{user}-secret" for user in USERS}
    for name, user in users.items():
        environment = services[name]["environment"]
        assert environment["PHAROS_SINK_CLICKHOUSE"] == f"http://{user}@clickhouse:8123"
        allowed = set(volumes.values()) if name == "users" else {volumes[user]}
        assert {each for each in mounted(services[name]) if not each.startswith(".")} == allowed, name
    (source,) = [one for one in datasources() if "clickhouse" in one["type"]]
    # A user who sees a dashboard can send SQL through it.
    assert source["jsonData"]["username"] == "analyst"
    file = re.fullmatch(r"\$__file\{(/run/analyst)/analyst_password\}", source["secureJsonData"]["password"])
    assert file is not None
    assert f"analyst-secret:{file[1]}:ro" in services["grafana"]["volumes"]
    assert "clickhouse-secret" not in mounted(services["grafana"])


def datasources() -> list[dict[str, Any]]:
    file = DEPLOY / "grafana/provisioning/datasources/pharos.yaml"
    found: list[dict[str, Any]] = yaml.safe_load(file.read_text())["datasources"]
    return found


def test_the_image_has_what_is_locked_and_nothing_else(image: Image) -> None:
    """No checker of types where the programs run, and none of their packages where they are compiled."""

    def holds(python: Path) -> set[str]:
        told = "import importlib.metadata as m; print(*(found.name for found in m.distributions()))"
        return {re.sub(r"[-_.]+", "-", name.lower()) for name in run(python, "-I", "-c", told).split()}

    def locked(name: str) -> set[str]:
        return set(re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / name).read_text(), re.MULTILINE))

    own = {"pip", "setuptools"}  # what `python -m venv` brings, by the version of Python
    assert "aiohttp" in holds(image.python)
    assert holds(image.python) - own <= locked("requirements.lock")
    assert "pip" not in holds(image.python)
    assert "mypy" in holds(image.compiler)
    assert holds(image.compiler) - own <= locked("requirements-native.lock")


@pytest.mark.parametrize("stage", ["collector", "enricher", "sink"])
def test_each_command_starts_in_the_image(
    stage: str, image: Image, tmp_path: Path, start: Callable[..., Program]
) -> None:
    """It comes up, the image's own health check passes, and it ends with 0: without Kafka or ClickHouse."""
    admin = free_port()
    prefix = f"PHAROS_{stage.upper()}_"
    env = {f"{prefix}ADMIN_PORT": str(admin), f"{prefix}KAFKA": f"127.0.0.1:{free_port()}"}
    if stage == "collector":
        env |= {
            f"{prefix}SITES": str(DEPLOY / "local/sites.toml"),
            f"{prefix}SPOOL_DIR": str(tmp_path / "spool"),
            f"{prefix}PORT": str(free_port()),
            f"{prefix}GRACE_S": "0",
            f"{prefix}DRAIN_S": "1",
        }
    program = start([str(image.python), "-m", stage], env=env, cwd=image.programs)
    health = health_check().replace("(9100, 9101, 9102)", f"({admin},)")

    def healthy() -> bool:
        assert program.running, program.output()
        return (
            subprocess.run([image.python, "-c", health], timeout=30, check=False, capture_output=True).returncode == 0
        )

    until_now(healthy, f"{stage}'s health check")
    assert program.terminate(60) == 0, program.output()


def health_check() -> str:
    """Return the program of the Dockerfile's HEALTHCHECK, read as Docker reads it."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", "")
    found = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", text, re.MULTILINE)
    assert found is not None
    python, option, program = json.loads(found.group(1))
    assert (python, option) == ("python", "-c")
    return str(program)
