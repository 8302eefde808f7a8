"""docs/kubernetes.md: the Gateway API's fields, the Job of the database, and each command of the page."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from sink import settings as sink_settings
from sink.commands.users import USERS
from tests.deploy.edges import DEPLOY

KUBECTL = Path(sys.executable).parent / "kubectl"


def built(folder: Path) -> list[dict[str, Any]]:
    """Return what `kubectl apply -k` would send."""
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def pod(resource: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = resource["spec"]["template"]["spec"]
    return found


@pytest.fixture(scope="module")
def example() -> list[dict[str, Any]]:
    return built(DEPLOY / "kubernetes/example")


def test_the_gateway_and_its_routes_fit_the_api_and_each_other(example: list[dict[str, Any]]) -> None:
    schema = yaml.safe_load((Path(__file__).parent / "gateway.yml").read_text())
    kinds = {kind: [one for one in example if one["kind"] == kind] for kind in schema if kind != "$defs"}
    for kind, resources in kinds.items():
        assert resources, kind
        for one in resources:
            jsonschema.validate(one["spec"], {"$defs": schema["$defs"], **schema[kind]})
    (gateway,), (of,) = kinds["Gateway"], kinds["GatewayClass"]
    assert gateway["spec"]["gatewayClassName"] == of["metadata"]["name"]
    listeners = {listener["name"]: listener for listener in gateway["spec"]["listeners"]}
    services = {one["metadata"]["name"]: one["spec"]["ports"] for one in example if one["kind"] == "Service"}
    for route in kinds["HTTPRoute"]:
        (parent,) = route["spec"]["parentRefs"]
        assert parent["name"] == gateway["metadata"]["name"]
        assert route["spec"]["hostnames"] == [listeners[parent["sectionName"]]["hostname"]]
        for rule in route["spec"]["rules"]:
            for backend in rule.get("backendRefs", ()):
                assert backend["port"] in {port["port"] for port in services[backend["name"]]}
            paths = {match["path"]["value"] for match in rule.get("matches", ())}
            removed = [
                name
                for each in rule.get("filters", ())
                for name in each.get("requestHeaderModifier", {}).get("remove", ())
            ]
            assert not paths or (removed == ["Authorization"]) == (paths != {"/v1/events"})


def test_the_database_job_and_the_sink_have_their_own_passwords(example: list[dict[str, Any]]) -> None:
    (job,) = (one for one in built(DEPLOY / "kubernetes/database") if one["kind"] == "Job")
    (users,), (migrate,) = pod(job)["initContainers"], pod(job)["containers"]
    assert users["command"][-1] == "/run/secrets/users"
    assert {mount["name"] for mount in migrate["volumeMounts"]} == {"users"}, "no administrator's password"
    settings = {entry["name"]: entry["value"] for entry in migrate["env"]}
    assert settings["PHAROS_SINK_CLICKHOUSE_USER"] == "migrator"
    (sink,) = (one for one in example if one["metadata"]["name"] == "pharos-sink" and one["kind"] == "Deployment")
    (secret,) = (volume["secret"] for volume in pod(sink)["volumes"] if "secret" in volume)
    assert [item["key"] for item in secret["items"]] == ["sink_password"]
    settings = {entry["name"]: entry["value"] for entry in pod(sink)["containers"][0]["env"]}
    assert (settings["PHAROS_SINK_CLICKHOUSE_USER"], settings["PHAROS_SINK_MIGRATE"]) == ("sink", "false")
    policies = [one for one in example if one["kind"] == "NetworkPolicy" and one["metadata"]["name"] == "pharos-sink"]
    assert "pharos-database" in policies[0]["spec"]["podSelector"]["matchExpressions"][0]["values"]


def test_managed_services_get_tls_passwords_and_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: pharos\n"
        "resources: [kubernetes/base]\ncomponents: [kubernetes/managed]\n"
    )
    subprocess.run(["cp", "-r", DEPLOY / "kubernetes", tmp_path], check=True, timeout=30)
    found = built(tmp_path)
    text = yaml.safe_dump_all(found)
    (tmp_path / "all.yaml").write_text(text)
    validate = [str(KUBECTL.parent / "kubernetes-validate"), "--strict", "--quiet", str(tmp_path / "all.yaml")]
    subprocess.run(validate, check=True, timeout=60)
    (settings,) = (
        one["data"] for one in found if one["kind"] == "ConfigMap" and "pharos-settings" in one["metadata"]["name"]
    )
    for stage in ("collector", "enricher", "sink"):
        assert settings[f"PHAROS_{stage.upper()}_KAFKA_SECURITY"] == "SASL_SSL"
        file = Path(settings[f"PHAROS_{stage.upper()}_KAFKA_PASSWORD_FILE"])
        (one,) = (one for one in found if one["metadata"]["name"] == f"pharos-{stage}" and "template" in one["spec"])
        assert str(file.parent) in {mount["mountPath"] for mount in pod(one)["containers"][0]["volumeMounts"]}
    ports = {
        port["port"]
        for one in found
        if one["kind"] == "NetworkPolicy" and "managed" in one["metadata"]["name"]
        for port in one["spec"]["egress"][0]["ports"]
    }
    assert ports == {9092, 8443}


def test_the_forwarder_has_its_own_password_the_way_out_and_what_managed_services_need(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: pharos\n"
        "resources: [kubernetes/base]\ncomponents: [kubernetes/forward, kubernetes/managed]\n"
    )
    subprocess.run(["cp", "-r", DEPLOY / "kubernetes", tmp_path], check=True, timeout=30)
    found = built(tmp_path)
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(found))
    validate = [str(KUBECTL.parent / "kubernetes-validate"), "--strict", "--quiet", str(tmp_path / "all.yaml")]
    subprocess.run(validate, check=True, timeout=60)
    name = "pharos-forward"
    (forward,) = (one for one in found if one["metadata"]["name"] == name and one["kind"] == "Deployment")
    (container,) = pod(forward)["containers"]
    environ = {entry["name"]: entry["value"] for entry in container["env"]}
    (settings,) = (one for one in found if one["kind"] == "ConfigMap" and "settings" in one["metadata"]["name"])
    assert container["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
    given = {key: value for key, value in {**settings["data"], **environ}.items() if key.startswith("PHAROS_SINK_")}
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    paths = [value for key, value in given.items() if value.startswith("/")]
    assert len(paths) == 4
    assert all(str(Path(path).parent) in mounts for path in paths)
    for key in ("PHAROS_SINK_CLICKHOUSE_PASSWORD_FILE", "PHAROS_SINK_KAFKA_PASSWORD_FILE"):
        (tmp_path / key).write_text("s3cret")
        given[key] = str(tmp_path / key)
    assert sink_settings.read(given).forward_admin_port == container["ports"][0]["containerPort"]
    (secret,) = (one["secret"] for one in pod(forward)["volumes"] if one["name"] == "secrets")
    assert [item["key"] for item in secret["items"]] == [f"{given['PHAROS_SINK_CLICKHOUSE_USER']}_password"]
    policies = {one["metadata"]["name"]: one["spec"] for one in found if one["kind"] == "NetworkPolicy"}
    assert policies[name]["podSelector"]["matchLabels"] == forward["spec"]["template"]["metadata"]["labels"]
    assert policies[name]["ingress"][0]["ports"] == [{"port": 9103}]
    assert policies[name]["egress"][1]["ports"] == [{"port": 443}]
    for managed in ("pharos-managed-kafka", "pharos-managed-clickhouse"):
        assert name in policies[managed]["podSelector"]["matchExpressions"][0]["values"]


TOOL = """#!/bin/sh
printf '%s\\t' "$(basename "$0")" "$@" >> "$NOTES"; echo >> "$NOTES"
while [ $# -gt 0 ]; do
    case $1 in
        -k) {kubectl} kustomize "$2" > /dev/null || exit 1 ;;
        -f) [ -s "$2" ] || exit 1 ;;
        --from-file=*) [ -n "$(cat "${{1#--from-file=}}"/* 2>/dev/null || cat "${{1#--from-file=}}")" ] || exit 1 ;;
    esac
    shift
done
"""


def test_every_command_of_the_page_works_as_pasted(tmp_path: Path) -> None:
    page = (DEPLOY.parent / "docs/kubernetes.md").read_text()
    copied, commands = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(commands.splitlines()) == 10
    subprocess.run(["cp", "-r", DEPLOY, tmp_path / "deploy"], check=True, timeout=60)
    (tmp_path / "clickhouse_password").write_text("s3cret")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("docker", "kubectl"):
        (tools / name).write_text(TOOL.format(kubectl=KUBECTL))
        (tools / name).chmod(0o755)
    env = {"PATH": f"{tools}:/usr/bin:/bin", "NOTES": str(tmp_path / "notes")}
    done = subprocess.run(
        ["/bin/sh", "-e"],
        input=copied + commands,
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = {path.name for path in (tmp_path / "deploy/secrets").iterdir()}
    assert made == {f"{user}_password" for user in USERS}
    jobs = {
        one["metadata"]["name"]
        for name in ("topics", "database")
        for one in built(DEPLOY / f"kubernetes/{name}")
        if one["kind"] == "Job"
    }
    (waits,) = (line for line in (tmp_path / "notes").read_text().splitlines() if "\twait\t" in line)
    assert set(re.findall(r"job/([\w-]+)", waits)) == jobs
