"""The files for Docker Compose, Kubernetes and systemd, which are checked here and not started."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml
from referencing import Registry, Resource

from sidecar.settings import load

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
COMPOSE_FILES = sorted(DOCKER.glob("compose*.yaml"))
COMPOSE_SCHEMA = ROOT / "sidecar/sdk/node/node_modules/dclint/schemas/compose.schema.json"
MANIFESTS = sorted(path.name for path in (DOCKER / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml")
# With Zimwatch in a pod, and the folders that it may write to there.
PODS = {
    "deployment.yaml": {"/data", "/tmp"},  # noqa: S108
    "sidecar.yaml": {"/data", "/tmp"},  # noqa: S108
    "edge.yaml": {"/data", "/tmp"},  # noqa: S108
    "fleet.yaml": {"/tmp"},  # noqa: S108
}
# The first with native sidecars by default, and the newest that is known here.
VERSIONS = ["1.29", "1.37"]
SCHEMAS = ROOT / ".build/schemas"  # make test downloads it
UNIT = DOCKER / "systemd/zimwatch.service"
# Of 100, where 0 is a service that can do nothing at all.
EXPOSED_AT_MOST = 15


def read(path: Path) -> Any:
    """Without the tag of Compose that says how two files become one."""
    return yaml.safe_load(path.read_text().replace("!override ", ""))


def zimwatchs(compose: dict[str, Any]) -> dict[str, Any]:
    """The service of Zimwatch, or of each of its nodes."""
    services = compose["services"]
    service: dict[str, Any] = services.get("zimwatch") or services["node1"]
    return service


def pod(manifest: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifest["spec"]["template"]["spec"]
    return spec


def ours(manifest: dict[str, Any]) -> dict[str, Any]:
    """The container of Zimwatch in a pod."""
    containers = [*pod(manifest).get("initContainers", []), *pod(manifest)["containers"]]
    return next(container for container in containers if container["name"] == "zimwatch")


@pytest.mark.node
@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.name)
def test_each_compose_file_is_as_the_published_schema_says(path: Path) -> None:
    jsonschema.Draft7Validator(json.loads(COMPOSE_SCHEMA.read_text())).validate(read(path))


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.name)
def test_compose_mounts_files_that_exist_and_publishes_no_port_beyond_this_machine(path: Path) -> None:
    compose = read(path)
    services = compose["services"].values()
    mounted = {volume.split(":")[0] for service in services for volume in service.get("volumes", [])}
    assert [file for file in mounted - compose["volumes"].keys() if not (DOCKER / file).exists()] == []
    assert all(port.startswith("127.0.0.1:") for service in services for port in service.get("ports", []))


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.name)
def test_one_service_builds_an_image_that_several_use(path: Path) -> None:
    """Compose builds at the same time, and the second image of one name fails on a machine that has none."""
    services = read(path)["services"]
    built = [service.get("image", name) for name, service in services.items() if "build" in service]
    assert len(built) == len(set(built))
    used = {service.get("image") for service in services.values() if "build" not in service}
    assert [image for image in used if image and ":" not in image and image not in built] == []


def test_the_sample_app_has_the_version_of_the_sdk_that_is_tested() -> None:
    package = json.loads((ROOT / "sidecar/sdk/node/package.json").read_text())
    assert f"zego-zim-web@{package['dependencies']['zego-zim-web']}/" in (DOCKER / "sample/index.html").read_text()


def of_kubernetes(manifest: dict[str, Any], version: str) -> jsonschema.Draft202012Validator:
    """The published schema of its kind, by which an unknown field is an error, read from the downloaded wheel."""
    (wheel,) = SCHEMAS.glob("*.whl")
    folder = f"kubernetes_validate/kubernetes-json-schema/v{version}.0-local-strict"
    kind = f"{manifest['kind'].lower()}-{manifest['apiVersion'].replace('/', '-')}"
    with zipfile.ZipFile(wheel) as files:
        schema, shared = (json.loads(files.read(f"{folder}/{name}.json")) for name in (kind, "_definitions"))
    registry = Resource.from_contents(shared) @ Registry[Any]()
    return jsonschema.Draft202012Validator(schema, registry=registry)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", MANIFESTS)
def test_each_manifest_is_as_the_published_schemas_of_kubernetes_say(name: str, version: str) -> None:
    manifest = read(DOCKER / "kubernetes" / name)
    of_kubernetes(manifest, version).validate(manifest)


def test_the_schemas_of_kubernetes_find_a_misspelt_field() -> None:
    manifest = read(DOCKER / "kubernetes/sidecar.yaml")
    pod(manifest)["initContainers"][0]["restartPolitics"] = "Always"
    with pytest.raises(jsonschema.ValidationError, match="restartPolitics"):
        of_kubernetes(manifest, VERSIONS[-1]).validate(manifest)


def test_kustomize_finds_all_its_files() -> None:
    kustomization = read(DOCKER / "kubernetes/kustomization.yaml")
    named = [*kustomization["resources"], *kustomization["configMapGenerator"][0]["envs"]]
    others = {"kustomization.yaml", "sidecar.yaml", "edge.yaml", "fleet.yaml"}
    assert {*named, *others} == {file.name for file in (DOCKER / "kubernetes").iterdir()}


@pytest.mark.parametrize("name", PODS)
def test_zimwatch_has_no_rights_in_a_pod_and_writes_to_its_volumes_alone(name: str) -> None:
    manifest = read(DOCKER / "kubernetes" / name)
    container, together = ours(manifest), pod(manifest)["securityContext"]
    context = together | container["securityContext"]
    assert context["runAsNonRoot"]
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert context["capabilities"]["drop"] == ["ALL"]
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert set(writable) == PODS[name]
    assert context["fsGroup"] == context["runAsUser"] == int(_user_of_the_image())


def _user_of_the_image() -> str:
    found = re.search(r"^USER (\d+):", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def test_each_setting_of_these_files_is_one() -> None:
    lines = (DOCKER / "kubernetes/settings.env").read_text().splitlines()
    given = [
        dict(line.split("=", 1) for line in lines),
        *(zimwatchs(read(path))["environment"] for path in COMPOSE_FILES),
        {one["name"]: one["value"] for one in ours(read(DOCKER / "kubernetes/sidecar.yaml"))["env"]},
        dict(re.findall(r"^Environment=(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE)),
        dict(re.findall(r"(ZIMWATCH_\w+)=(\S+)", (DOCKER / "Dockerfile").read_text())),
    ]
    for environ in given:
        assert environ
        load(None, environ, {})


def test_the_centre_answers_to_the_host_that_its_edge_calls() -> None:
    edge = {one["name"]: one.get("value", "pod-0") for one in ours(read(DOCKER / "kubernetes/edge.yaml"))["env"]}
    settings = dict(line.split("=", 1) for line in (DOCKER / "kubernetes/settings.env").read_text().splitlines())
    centre = load(None, settings, {}).settings.server
    del edge["ZIMWATCH_FORWARD__TOKEN_FILE"]  # a file of the pod
    url = load(None, edge | {"ZIMWATCH_FORWARD__TOKEN": "x"}, {}).settings.forward.url
    assert urlsplit(url or "").hostname in centre.allowed_hosts


@pytest.mark.systemd
def test_systemd_accepts_the_unit_and_finds_little_exposed(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    # The program has to exist where it is verified.
    program = Path(sys.executable).with_name("zimwatch")
    unit.write_text(UNIT.read_text().replace("/opt/zimwatch/bin/zimwatch", str(program)))
    systemd("systemd-analyze", "verify", "--man=no", unit)
    systemd("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSED_AT_MOST}", unit)
    systemd("systemd-sysusers", "--dry-run", UNIT.with_name("zimwatch.conf"))


def systemd(*command: str | Path) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    if "verify" in command:
        assert ended.stderr == ""  # what it warns of
