"""The checks of ops/check-deploy; usage: deploy.py ROOT [--self-test]

Each check is a function of a checkout's root that yields what is wrong; `Skipped` says that its
tool is not here.
"""

import contextlib
import functools
import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# The oldest Kubernetes that starts sidecars before, and ends them after, what they serve; and the
# newest that the validator knows.
KUBERNETES = ("1.29", "1.37")
# Least secure a unit may be, in tenths of systemd's points: 0 is a sealed room, 100 an open one.
EXPOSURE = "17"


class Skipped(Exception):
    pass


def need(*names):
    """The first of these commands that is here."""
    for name in names:
        if shutil.which(name):
            return name
    raise Skipped(f"there is no {' or '.join(names)} here")


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, **options)
    return done.returncode, done.stdout, done.stderr


# MARK: systemd


def units(root):
    """systemd-analyze verify, over stand-ins for what is not installed, and its security score."""
    need("systemd-analyze")
    with tempfile.TemporaryDirectory() as folder:
        for unit in sorted((root / "Deploy").glob("**/*.service")):
            text = unit.read_text()
            for command in ("/usr/local/bin/lethe", "/usr/bin/stunnel"):
                text = text.replace(f"ExecStart={command} ", "ExecStart=/bin/true ")
            copy = Path(folder, unit.name)
            copy.write_text(text)
            code, out, errors = run("systemd-analyze", "verify", "--man=no",
                                    "--recursive-errors=no", copy)
            if code or errors.strip():
                yield f"{unit.name}: {errors or out}"
            code, out, errors = run("systemd-analyze", "security", "--offline=true", "--no-pager",
                                    f"--threshold={EXPOSURE}", copy)
            score = re.search(r"exposure level for \S+: ([\d.]+)", out)
            print(f"  {unit.name}: exposure {score.group(1) if score else '?'} of 10")
            if code or not score:
                yield f"{unit.name} is exposed more than {int(EXPOSURE) / 10}: {errors or out}"


def users(root):
    """The users and folders of the units, made below an empty root."""
    need("systemd-sysusers")
    if os.geteuid() != 0:
        raise Skipped("folders of other users take root")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "etc").mkdir()
        for tool, name in (("systemd-sysusers", "sysusers"), ("systemd-tmpfiles", "tmpfiles")):
            create = ["--create"] if name == "tmpfiles" else []
            code, _, errors = run(tool, *create, f"--root={folder}",
                                  root / f"Deploy/systemd/lethe.{name}.conf")
            if code or re.search(r"Unknown|Invalid|Failed", errors):
                yield f"lethe.{name}.conf: {errors}"
        made = Path(folder, "etc/lethe/tls")
        if not made.is_dir() or made.stat().st_mode & 0o777 != 0o700:
            yield "lethe.tmpfiles.conf makes no private /etc/lethe/tls"


# MARK: Kubernetes


def rendered(root):
    """Every kustomization and its documents, as kubectl would apply them."""
    import yaml

    tool = ["kubectl", "kustomize"] if need("kubectl", "kustomize") == "kubectl" else \
        ["kustomize", "build"]
    base = root / "Deploy/kubernetes/base"
    for folder in (base, *sorted(base.parent.glob("overlays/*"))):
        code, out, errors = run(*tool, folder)
        yield folder.name, [] if code else list(yaml.safe_load_all(out)), errors


def manifests(root):
    """Rendered, held to the schemas of Kubernetes or the models of the operators, and referring
    only to what is there."""
    try:
        importlib.import_module("kubernetes_validate")
    except ImportError:
        raise Skipped("there is no kubernetes-validate here")
    unknown = set()
    for name, documents, errors in rendered(root):
        if not documents:
            yield f"{name}: {errors}"
        for document in documents:
            problem = misfit(json.dumps(document))
            if problem is None:
                unknown.add(document["kind"])
            elif problem:
                yield f"{name}: {document['kind']} {document['metadata']['name']}: {problem}"
        yield from (f"{name}: {problem}" for problem in loose_ends(documents, root))
    for kind in sorted(unknown):
        print(f"  {kind}: rendered, but NOT validated: its models are not here")


@functools.cache
def misfit(text):
    """What a document says that its kind does not; empty if nothing, None for an unknown kind."""
    import kubernetes_validate

    document = json.loads(text)
    try:
        for version in KUBERNETES:
            kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as problem:
        return f"{problem.message} at {list(problem.path)}"
    except kubernetes_validate.SchemaNotFoundError:
        return lost_fields(document)
    return ""


def lost_fields(document):
    """What a custom resource says that its operator's model does not know; None without a model."""
    group, version = document["apiVersion"].split("/")
    package = {"keda.sh": "keda", "monitoring.coreos.com": "prometheus_operator"}.get(group)
    try:
        module = importlib.import_module(f"cloudcoil.models.{package}.{version}")
    except ImportError:
        return None
    try:
        model = getattr(module, document["kind"]).model_validate(document)
    except ValueError as problem:
        return str(problem)
    known = model.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def lost(here, there, path):
        if isinstance(here, dict):
            for key, value in here.items():
                if not isinstance(there, dict) or key not in there:
                    yield f"{path}.{key}"
                else:
                    yield from lost(value, there[key], f"{path}.{key}")
        elif isinstance(here, list):
            for index, value in enumerate(here):
                yield from lost(value, there[index], f"{path}[{index}]")

    return ", ".join(lost(document["spec"], known["spec"], "spec"))


def loose_ends(documents, root):
    """Names that point nowhere: no schema sees them."""
    names = {(one["kind"], one["metadata"]["name"]) for one in documents}
    pods = [one["spec"]["template"] for one in documents if "template" in one.get("spec", {})]
    guide = (root / "Deploy/README.md").read_text()

    def selected(labels):
        return [pod for pod in pods if labels.items() <= pod["metadata"]["labels"].items()]

    def containers(pod):
        return pod["spec"].get("initContainers", []) + pod["spec"]["containers"]

    def ports(some):
        found = {}
        for pod in some:
            for container in containers(pod):
                for port in container.get("ports", []):
                    found[port["name"]] = found[port["containerPort"]] = True
        return found

    for one in documents:
        spec, label = one.get("spec", {}), f"{one['kind']} {one['metadata']['name']}"
        selector = spec.get("podSelector", spec.get("selector", {}))
        if one["kind"] in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
            some = selected(selector.get("matchLabels", selector))
            if not some:
                yield f"{label} selects no pod"
            wanted = [port["targetPort"] for port in spec.get("ports", [])]
            wanted += [port["port"] for rule in spec.get("ingress", []) for port in rule["ports"]]
            for rule in spec.get("egress", []):
                for peer in rule["to"]:
                    if "podSelector" in peer:
                        there = ports(selected(peer["podSelector"]["matchLabels"]))
                        for port in rule["ports"]:
                            if port["port"] not in there:
                                yield f"{label}: nobody listens on {port['port']}"
            for port in wanted:
                if port not in ports(some):
                    yield f"{label}: no container has the port {port}"
        target = spec.get("scaleTargetRef")
        if target and (target.get("kind", "Deployment"), target["name"]) not in names:
            yield f"{label} scales {target['name']}, which is not there"
        if target and any(("replicas" in other["spec"]) for other in documents
                          if other["metadata"]["name"] == target["name"]
                          and other["kind"] == "Deployment"):
            yield f"{label}: the manifest sets the number of replicas as well"
        if "template" not in spec:
            continue
        volumes = {volume["name"]: volume for volume in spec["template"]["spec"]["volumes"]}
        claims = {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])}
        for volume in volumes.values():
            if "configMap" in volume and ("ConfigMap", volume["configMap"]["name"]) not in names:
                yield f"{label}: there is no ConfigMap {volume['configMap']['name']}"
            secret = volume.get("secret", {}).get("secretName")
            if secret and secret not in guide:
                yield f"{label}: Deploy/README.md does not say how to make the secret {secret}"
        for container in containers(spec["template"]):
            for mount in container["volumeMounts"]:
                if mount["name"] not in volumes.keys() | claims:
                    yield f"{label}: there is no volume {mount['name']}"
            confined = container.get("securityContext", {})
            if not (confined.get("readOnlyRootFilesystem")
                    and confined.get("allowPrivilegeEscalation") is False
                    and confined.get("capabilities") == {"drop": ["ALL"]}):
                yield f"{label}: the container {container['name']} is not confined"


# MARK: Containers


def compose(root):
    """docker compose config; and the files of ours that it mounts are there."""
    command = ["docker", "compose"]
    if not shutil.which("docker") or run(*command, "version")[0]:
        command = [need("docker-compose")]
    file = root / "Deploy/container/compose.yaml"
    code, out, errors = run(*command, "--file", file, "--profile", "*", "config", "--format",
                            "json", env=os.environ | {"GRAFANA_PASSWORD": "checked"})
    if code:
        yield errors
        return
    made = {file.parent / name for name in ("run.json5", "records.jsonl")}
    for name, service in json.loads(out)["services"].items():
        for volume in service.get("volumes", []):
            source = Path(volume.get("source", "/"))
            if volume["type"] == "bind" and source not in made and not source.exists():
                yield f"{name} mounts {source.relative_to(root)}, which is not there"
        if name not in ("prometheus", "grafana") and not service.get("read_only"):
            yield f"{name} may write into its image"


def containerfile(root):
    """hadolint; and what is copied is there, and let in by the ignore file."""
    need("hadolint")
    file = root / "Deploy/container/Containerfile"
    code, out, errors = run("hadolint", file)
    if code:
        yield out + errors
    allowed = [line[1:] for line in file.with_name(file.name + ".dockerignore").read_text().split()
               if line.startswith("!")]
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", file.read_text(), re.M):
        for source in line.replace("${BACKBONE}", ".cache/minilm").split():
            if not any(Path(source).match(pattern) for pattern in allowed):
                yield f"the ignore file keeps {source} out"
            if not source.startswith(".cache") and not (root / source).exists():
                yield f"there is no {source}"


def prometheus(root):
    """promtool check config."""
    need("promtool")
    code, out, errors = run("promtool", "check", "config", "--syntax-only",
                            root / "Deploy/container/prometheus.yaml")
    if code:
        yield out + errors


# MARK: Shell


def scripts(root):
    found = [path for top in (".ci", "Deploy", "ops") for path in sorted((root / top).rglob("*"))
             if path.is_file() and "__pycache__" not in path.parts]
    return [path for path in found if path.suffix == ".bash"
            or path.read_bytes()[:64].split(b"\n")[0].endswith((b"bash", b"/sh"))]


def syntax(root):
    """bash -n."""
    for script in scripts(root):
        code, _, errors = run("bash", "-n", script)
        if code:
            yield errors


def shellcheck(root):
    """shellcheck, with what a script reads; and set -euo pipefail in each that runs."""
    need("shellcheck")
    running = [script for script in scripts(root) if script.suffix != ".bash"]
    code, out, errors = run("shellcheck", "--check-sourced", "--format=gcc", *running, cwd=root)
    if code:
        yield out + errors
    for script in running:
        if "set -euo pipefail" not in script.read_text():
            yield f"{script.relative_to(root)} goes on after a failure: set -euo pipefail"
    print(f"  {len(running)} scripts")


CHECKS = (units, users, manifests, compose, containerfile, prometheus, syntax, shellcheck)

# MARK: Self-test

KUBE = "Deploy/kubernetes/"
# A check, a file, and what becomes of a text that stands in it.
FAULTS = (
    (units, "Deploy/systemd/lethe-coordinator.service", "WatchdogSec=30", "WatchdogSecs=30"),
    (units, "Deploy/systemd/lethe-worker@.service", "Type=notify", "Type=notified"),
    (units, "Deploy/tls/systemd/lethe-tls@.service", "ProtectSystem=strict", ""),
    (units, "Deploy/tls/systemd/lethe-tls@.service", "/usr/bin/stunnel", "/usr/bin/stunel"),
    (users, "Deploy/systemd/lethe.tmpfiles.conf", "d /etc/lethe/tls", "x /etc/lethe/tls"),
    (manifests, KUBE + "base/worker.yaml", "maxSurge: 1", "maxSurges: 1"),
    (manifests, KUBE + "base/coordinator.yaml", "periodSeconds: 10", "periodSeconds: ten"),
    (manifests, KUBE + "base/coordinator.yaml", "targetPort: https", "targetPort: http"),
    (manifests, KUBE + "base/worker.yaml", "{name: key, mount", "{name: keys, mount"),
    (manifests, KUBE + "base/network.yaml", "{port: 7430}", "{port: 7421}"),
    (manifests, KUBE + "base/kustomization.yaml", "- network.yaml", "- networks.yaml"),
    (manifests, KUBE + "overlays/small/kustomization.yaml", "name: lethe-coordinator",
     "name: lethe-coordinators\n    options: {}"),
    (manifests, KUBE + "overlays/hpa/autoscaler.yaml", "name: lethe-worker}", "name: worker}"),
    (manifests, KUBE + "overlays/keda/scaledobject.yaml", "pollingInterval", "pollInterval"),
    (manifests, KUBE + "overlays/monitoring/prometheus.yaml", "tlsConfig:", "tlsConfiguration:"),
    (compose, "Deploy/container/compose.yaml", "stop_grace_period: 45s", "stop_grace: 45s"),
    (compose, "Deploy/container/compose.yaml", "- reader:/keys", "- readers:/keys"),
    (compose, "Deploy/container/compose.yaml", "../../ops/alerts", "../../ops/alert"),
    (containerfile, "Deploy/container/Containerfile", "WORKDIR /src", "WORKDIR src"),
    (containerfile, "Deploy/container/Containerfile", "COPY Sources", "COPY Source"),
    (prometheus, "Deploy/container/prometheus.yaml", "rule_files", "rules_files"),
    (syntax, "Deploy/slurm/lethe-workers.sbatch", "set -euo pipefail", "if set -euo pipefail"),
    (shellcheck, "Deploy/slurm/lethe-workers.sbatch", '"$LETHE_HOME/backbone"',
     "$LETHE_HOME/backbone"),
    (shellcheck, "ops/support/common.bash", 'cd "$folder"', "cd $folder"),
    (shellcheck, "Deploy/container/lethe-prepare", "set -euo pipefail", "set -eu"),
)


def self_test(root):
    found = skipped = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for top in (".ci", "Deploy", "ops"):
            shutil.copytree(root / top, copy / top, ignore=shutil.ignore_patterns("__pycache__"))
        for name in (".shellcheckrc", "Package.swift"):
            shutil.copy(root / name, copy / name)
        for name in ("Sources", "Tests"):
            (copy / name).mkdir()

        def problems(check):
            with contextlib.redirect_stdout(io.StringIO()):
                return list(check(copy))

        for check, name, text, fault in FAULTS:
            path = copy / name
            sound = path.read_text()
            if text not in sound:
                sys.exit(f"check-deploy: error: {name} does not contain: {text}")
            path.write_text(sound.replace(text, fault))
            try:
                if not problems(check):
                    sys.exit(f"check-deploy: error: {check.__name__} does not see: {fault or text}")
                found += 1
            except Skipped:
                skipped += 1
            path.write_text(sound)
        for check in {check for check, *_ in FAULTS}:
            try:
                if problem := problems(check):
                    sys.exit(f"check-deploy: error: {check.__name__} sees what is not: {problem}")
            except Skipped:
                pass
    print(f"check-deploy: {found} of {len(FAULTS)} faults are found, {skipped} SKIPPED")


def main(root):
    failed = 0
    for check in CHECKS:
        try:
            problems = list(check(root))
        except Skipped as reason:
            print(f"{check.__name__}: SKIPPED: {reason}")
            continue
        for problem in problems:
            print(f"check-deploy: error: {check.__name__}: {problem.strip()}", file=sys.stderr)
        print(f"{check.__name__}: {'FAILED' if problems else 'ok'}")
        failed += bool(problems)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    (self_test if "--self-test" in sys.argv else main)(Path(sys.argv[1]).resolve())
