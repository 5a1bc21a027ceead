"""The checks of ops/check-container; usage: containers.py PLACE STORE SWIFT COMPOSE"""

import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from runs import BACKBONE, ROOT, record_line
from tunnel import check, guide
from waiting import patience, wait_for

PLACE, STORE, SWIFT, COMPOSE = map(Path, sys.argv[1:])
CHECKOUT, FOLDER = PLACE / "checkout", PLACE / "checkout/Deploy/container"
RUN = "--run /etc/lethe/run.json5"
# In every record, and so wherever one is.
MARK = secrets.token_hex(12)
# Grafana comes from no place but its makers' registry.
SERVICES = "pod coordinator prepare worker tls-http prometheus"
OURS = ("pod-1", "coordinator-1", "worker-1", "worker-2", "tls-http-1")
# What dockerd writes beside its own folders, and what it mounts, is gone with its namespaces.
ENGINE = r"""
for part in etc opt run; do
  mkdir -p "$1/$part/up" "$1/$part/work"
  mount -t overlay -o "lowerdir=/$part,upperdir=$1/$part/up,workdir=$1/$part/work" overlay "/$part"
done
mount -t proc proc /proc
ip link set lo up
rm -f "$1/docker.pid"
exec dockerd --host "unix://$1/docker.socket" --data-root "$2" --exec-root "$1/exec" \
  --pidfile "$1/docker.pid" --cgroup-parent "/$3" $4
"""
# Debian keeps no packages, as in its makers' image; Swift's needs as its makers list them.
CLEAN = """'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";' \
  'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };'"""
SWIFT_IMAGE = r"""
FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends binutils-gold ca-certificates \
  g++ git libcurl4 libedit2 libncurses6 libsqlite3-0 libxml2 libz3-4 tzdata zlib1g-dev
COPY usr /usr
"""
# As its makers' image: nobody's, and its first argument is an option.
PROMETHEUS_IMAGE = r"""
FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends prometheus \
  && install -d -o nobody -g nogroup /prometheus
USER nobody
ENTRYPOINT ["/usr/bin/prometheus"]
"""
# What a container's process may do, one fact a line.
PROBE = r"""
fact() { local name=$1; shift; "$@" >/dev/null 2>&1 && echo "$name yes" || echo "$name no"; }
fact root [ "$(id -u)" = 0 ]
fact no-capability grep -qx 'CapBnd:.0*' /proc/self/status
fact no-new-privileges grep -qx 'NoNewPrivs:.1' /proc/self/status
fact writes-image touch /usr/local/bin/probe
fact writes-tmp touch /tmp/probe
fact writes-state touch /var/lib/lethe/probe
fact sees-run test -e /var/lib/lethe/run.lethe
fact reads-worker-key cat /keys/worker/worker.key
fact writes-worker-key touch /keys/worker/probe
fact reads-reader-token cat /keys/reader/token
fact reads-tls-key cat /etc/lethe/tls/tls.key
fact reads-records cat /data/records.jsonl
"""

# Its answers; and those of a service that may more.
COMMON = {fact: "no" for fact in re.findall(r"(?m)^fact (\S+)", PROBE)} | {
    "no-capability": "yes", "no-new-privileges": "yes"}
ALSO = {"pod": {}, "worker": {"reads-worker-key": "yes"}, "tls": {"reads-tls-key": "yes"},
        "coordinator": {"writes-state": "yes", "sees-run": "yes", "reads-records": "yes"}}


def seen(what):
    print(f"{time.monotonic() - begun:6.1f} s  {what}", flush=True)


class Engine:
    """A dockerd; with a network of its own, it sets that up as it likes."""

    def __init__(self, apart):
        options = "" if apart else "--bridge none --iptables=false --ip-forward=false"
        self.log = PLACE / "docker.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--ipc", "--uts",
                 "--fork", "--kill-child", *(["--net"] if apart else []), "bash", "-euc", ENGINE,
                 "engine", PLACE, STORE, PLACE.name, options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        wait_for("dockerd's process",
                 lambda: self.process.poll() is not None or children.read_text().strip())
        self.first = children.read_text().strip()
        wait_for("dockerd", pause=0.3, seen=self.log.read_text, condition=lambda:
                 self.process.poll() is not None or self.sh("docker info", fails=True)[0] == 0)
        check(self.process.poll() is None, "dockerd ended")

    def sh(self, script, fails=False, quiet=20, folder=FOLDER):
        """Types commands as root, beside compose.yaml; their output, and with `fails` the code.

        They take `quiet` seconds on a quiet machine. They are in the engine's namespaces, and so
        gone with it.
        """
        try:
            done = subprocess.run(
                ["nsenter", "-t", self.first, "-m", "-n", "-p", "env", "-i",
                 f"PATH={os.environ['PATH']}",
                 f"HOME={PLACE}", f"DOCKER_HOST=unix://{PLACE}/docker.socket", "DOCKER_BUILDKIT=1",
                 "GRAFANA_PASSWORD=checked", "bash", "-euo", "pipefail", "-c",
                 f"cd {folder}\n{script}"],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                timeout=patience(quiet))
        except subprocess.TimeoutExpired as late:
            sys.exit(f"not done after {late.timeout:.0f} s: {script}\n{late.stdout}{late.stderr}")
        if fails:
            return done.returncode, done.stdout + done.stderr
        check(done.returncode == 0, f"{script}\n{(done.stdout + done.stderr)[-3000:]}")
        return done.stdout

    def inspect(self, container):
        return json.loads(self.sh(f"docker inspect lethe-{container}"))[0]

    def health(self):
        return self.inspect("coordinator-1")["State"]["Health"]["Status"]

    def log_of(self, container):
        return self.sh(f"docker logs lethe-{container} 2>&1")

    def status(self):
        code, out = self.sh(f"docker compose exec -T coordinator lethe status --format json {RUN}",
                            fails=True)
        return json.loads(out) if code == 0 else {}

    def workers(self):
        return self.status().get("workers", [])

    def wait_workers(self, count):
        wait_for(f"{count} workers", lambda: len(self.workers()) == count, 3, self.status, 0.3)

    def wait_health(self, word, quiet=3):
        wait_for(f"the coordinator to be {word}", lambda: self.health() == word, quiet,
                 self.health, 0.3)

    def signal(self, container, name):
        """To lethe itself: `docker kill` would say that the container shall stay down."""
        self.sh(f"docker exec lethe-{container} bash -c 'kill -{name} $(pidof lethe)'")

    def clear(self):
        """No containers: a FOLDER that is kept may have those of a check that failed."""
        self.sh("docker ps --all --quiet | xargs -r docker rm --force --volumes;"
                " docker volume ls --quiet | xargs -r docker volume rm;"
                " docker network prune --force", fails=True, folder=PLACE)

    def end(self):
        try:
            os.kill(int(self.first), signal.SIGTERM)
            self.process.wait(patience())
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        wait_for("dockerd's end", lambda: not Path(f"/proc/{self.first}").exists())


def stand_ins(engine):
    """The images that the files name, where FOLDER does not have them."""
    version = re.search(r"SWIFT_VERSION=(\S+)", (FOLDER / "Containerfile").read_text())[1]
    prometheus = re.search(r"image: (prom/\S+)", (FOLDER / "compose.yaml").read_text())[1]
    here = engine.sh("docker images --format '{{.Repository}}:{{.Tag}}'").split()
    if "debian:bookworm-slim" not in here:
        engine.sh(f"""debootstrap --variant=minbase bookworm debian >debootstrap.log
            mirror=$(sed -n 's/^deb \\([^ ]*\\) .*/\\1/p' debian/etc/apt/sources.list)
            echo "deb $mirror bookworm-updates main" >>debian/etc/apt/sources.list
            echo "deb $mirror-security bookworm-security main" >>debian/etc/apt/sources.list
            printf '%s\n' {CLEAN} >debian/etc/apt/apt.conf.d/docker-clean
            rm -rf debian/var/cache/apt/* debian/var/lib/apt/lists/*
            tar -C debian -c . | docker import --change 'CMD ["bash"]' - debian:bookworm-slim
            """, quiet=300, folder=PLACE)
    for name, text, context in ((f"swift:{version}-bookworm", SWIFT_IMAGE, SWIFT),
                                (prometheus, PROMETHEUS_IMAGE, PLACE / "empty")):
        if name not in here:
            file = PLACE / "stand-in"
            file.write_text(text)
            engine.sh(f"docker build --network host -f {file} -t {name} .", quiet=300,
                      folder=context)


def image(engine):
    out = json.loads(engine.sh("docker image inspect lethe:dev"))[0]
    config, size = out["Config"], out["Size"] >> 20
    check(config["User"] == "10001:10001", f"the image's user is {config['User'] or 'root'}")
    check(config.get("Healthcheck", {}).get("Test", [""])[-1] == "lethe-healthy",
          "the image has no health check")
    check(size < 350, f"the image has {size} MiB")
    code, out = engine.sh("docker run --rm --network none --read-only --cap-drop ALL"
                          " --security-opt no-new-privileges lethe:dev --version", fails=True)
    check(code == 0, f"lethe does not start on a read-only root: {out}")
    check(not holds(engine, "lethe:dev"), "the image has a record in it")
    seen(f"image: {size} MiB, user 10001, starts read-only without capabilities, health check")


def holds(engine, name):
    """Whether a record is in what an image has or a container has written."""
    made = f"$(docker create {name})" if ":" in name else name
    script = f"c={made}; docker export $c | grep --text -c '{MARK}' || true"
    return engine.sh(script + ('; docker rm $c >/dev/null' if ":" in name else "")).strip() != "0"


def confined(engine):
    for name in OURS:
        expected = COMMON | ALSO[name.split("-")[0]]
        out = engine.sh(f"docker exec lethe-{name} bash -c {shlex.quote(PROBE)}")
        facts = dict(line.split() for line in out.splitlines())
        wrong = [f"{fact}: not {answer}" for fact, answer in sorted(expected.items())
                 if facts.get(fact) != answer]
        check(not wrong, f"{name}: {', '.join(wrong)}")
        check(engine.inspect(name)["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped",
              f"{name} does not come back")
    seen("containers: user 10001, no capability, nothing writable but the coordinator's volume;"
         " each reads only the keys it needs")


def main():
    global engine
    for name in ("Sources", "Tests", "Deploy", "ops"):
        shutil.copytree(ROOT / name, CHECKOUT / name)
    shutil.copy(ROOT / "Package.swift", CHECKOUT)
    (PLACE / "empty").mkdir()
    (PLACE / ".docker/cli-plugins").mkdir(parents=True)
    (PLACE / ".docker/cli-plugins/docker-compose").symlink_to(COMPOSE)
    # What ops/fetch-backbone would fetch.
    shutil.copytree(BACKBONE, CHECKOUT / ".cache/minilm")
    (FOLDER / "records.jsonl").write_text("".join(
        record_line(f"r{index}", index, f"{MARK} green tree {index}") for index in range(60)))
    commands = guide("Deploy/README.md", "In containers")
    parts = re.fullmatch(
        r"(?s)\./ops/fetch-backbone\n(docker build .*?\n)(cd .*?\n)(docker run .*?\n)"
        r"(GRAFANA_PASSWORD=\.\.\. docker compose up --detach).*?\n"
        r"(docker compose exec .*? train .*?\n)(docker compose exec .*? status .*?\n)", commands)
    check(parts, "Deploy/README.md, In containers: not the commands that this knows")
    build, _, prepare, up, train, status = parts.groups()

    engine = Engine(apart=False)
    version = engine.sh("docker version --format '{{.Server.Version}}'").strip()
    engine.clear()
    stand_ins(engine)
    seen(f"Docker {version}; stand-ins for the images of others")
    engine.sh(build.replace("docker build", "docker build --network host"), quiet=900,
              folder=CHECKOUT)
    image(engine)
    engine.end()

    engine = Engine(apart=True)
    engine.sh(prepare + "sed -i 's/epochs: 3/epochs: 150/' run.json5")
    engine.sh(up.replace("GRAFANA_PASSWORD=... ", "") + f" {SERVICES}", quiet=60)
    seen("Deploy/README.md, In containers: made run.json5, docker compose up")
    engine.wait_workers(2)
    names = {worker["name"] for worker in engine.workers()}
    check(len(names) == 2, f"both workers are called {names}")
    seen("two workers, of two names, joined with the key of their volume")
    confined(engine)
    training(engine, train, status)
    use(engine)
    restarts(engine)
    hang(engine)
    leftovers(engine)
    print("check-container: ok: Deploy/container does under Docker what its guide says")


def training(engine, train, status):
    engine.sh(f"docker compose exec -T coordinator lethe train {RUN}")
    wait_for("two workers that train", seen=engine.status, pause=0.1, condition=lambda:
             ["training" in worker for worker in engine.workers()] == [True, True])
    before = time.monotonic()
    engine.sh("docker stop lethe-worker-1")
    took = time.monotonic() - before
    log, state = engine.log_of("worker-1"), engine.inspect("worker-1")
    check('"event":"draining"' in log and "drained" in log, f"worker 1 did not drain:\n{log}")
    check(state["State"]["ExitCode"] == 0, f"worker 1 ended with {state['State']['ExitCode']}")
    for name, seconds in (("worker-1", 45), ("coordinator-1", 30)):
        check(engine.inspect(name)["Config"].get("StopTimeout") == seconds,
              f"{name} is not given {seconds} s to stop")
    now = engine.status()
    check(now["blocksTrained"] < now["blocks"], "the training was over by then")
    seen(f"docker stop of a worker that trains: drained in {took:.1f} s, and ended with 0")
    engine.sh("docker start lethe-worker-1")
    engine.sh(train, quiet=60)
    check("trained" in engine.sh(status), "lethe status says nothing of blocks")
    now = engine.status()
    check(now["blocksTrained"] == now["blocks"], "not all blocks are trained")
    seen(f"two workers trained {now['blocksTrained']} of {now['blocks']} blocks")


def use(engine):
    lethe = "docker compose exec -T coordinator lethe"
    engine.sh(f"{lethe} predict --text 'green tree' {RUN}")
    engine.sh(f"{lethe} delete r3 r4 --wait certified {RUN}")
    engine.sh(f"{lethe} receipt show r3 {RUN} >receipt.json")
    engine.sh("docker run --rm --network none --read-only -v \"$PWD:/data:ro\" lethe:dev"
              " receipt verify /data/receipt.json")
    seen("predicted; two records deleted, repaired and certified, the receipt verifies")

    def up():
        out = engine.sh("curl -fsS http://127.0.0.1:9090/api/v1/targets", fails=True)
        return out[0] == 0 and [target["health"] for target in
                                json.loads(out[1])["data"]["activeTargets"]] == ["up"]

    wait_for("Prometheus to read the metrics", up, 30, pause=0.5, seen=lambda: engine.sh(
        "curl -sS http://127.0.0.1:9090/api/v1/targets", fails=True)[1])
    rules = json.loads(engine.sh("curl -fsS http://127.0.0.1:9090/api/v1/rules"))["data"]
    count = sum(len(group["rules"]) for group in rules["groups"])
    check(count, "Prometheus has no rules")
    engine.sh("docker compose exec -T tls-http cat /etc/lethe/tls/tls.crt >ca.crt")
    engine.sh("curl -fsS --cacert ca.crt https://localhost:7443/livez")
    seen(f"Prometheus reads the metrics through TLS, with {count} rules; HTTPS on 7443")


def restarts(engine):
    before = engine.status()["blocksTrained"]

    def back(what):
        wait_for(f"run and workers after {what}", lambda:
                 engine.status().get("blocksTrained") == before and len(engine.workers()) == 2,
                 6, engine.status, 0.3)

    for name in ("worker-1", "coordinator-1"):
        engine.signal(name, "KILL")
        wait_for(f"{name} after kill -9", lambda: engine.inspect(name)["RestartCount"] == 1, 2,
                 lambda: engine.inspect(name)["State"], 0.3)
        back(f"kill -9 of {name}")
    seen("kill -9 of a worker and of the coordinator: started again by policy, nothing lost")
    engine.sh("docker compose restart coordinator")
    back("a restart")
    engine.sh("docker compose down")
    check(not engine.sh("docker ps --all --quiet"), "docker compose down left containers")
    engine.sh(f": >records.jsonl; docker compose up --detach {SERVICES}", quiet=60)
    back("down and up")
    made = engine.log_of("prepare-1")
    check("made" not in made, f"prepare made keys anew: {made}")
    seen("docker compose restart, and down and up without the records: the run is kept")


def hang(engine):
    engine.wait_health("healthy")
    since = time.monotonic()
    engine.signal("coordinator-1", "STOP")
    engine.wait_health("unhealthy", 40)
    took = time.monotonic() - since
    engine.signal("coordinator-1", "CONT")
    engine.wait_health("healthy")
    engine.wait_workers(2)
    seen(f"kill -STOP of the coordinator: unhealthy after {took:.0f} s; healthy when it goes on")


def leftovers(engine):
    for name in OURS:
        check(not holds(engine, f"lethe-{name}"), f"{name} has a record in its image")
        mounts = [mount["Destination"] for mount in engine.inspect(name)["Mounts"]]
        for line in engine.sh(f"docker diff lethe-{name}").splitlines():
            # Docker makes the places of what it mounts.
            check(any(f"{mount}/".startswith(f"{line[2:]}/") for mount in mounts),
                  f"{name} has changed its image: {line}")
    # The search is not blind: where records are meant to be, it finds them.
    code, _ = engine.sh("docker exec lethe-coordinator-1 grep -rq " + MARK + " /var/lib/lethe",
                        fails=True)
    check(code == 0, "the search finds no record in the coordinator's volume either")
    owners = engine.sh("docker exec lethe-coordinator-1 stat -c '%u:%g %a' /var/lib/lethe").strip()
    check(owners == "10001:10001 700", f"the run's volume is {owners}")
    seen("no record in the image or any container, but in the coordinator's volume, which is"
         " user 10001's alone")
    engine.sh("docker compose down --volumes")
    check(not engine.sh("docker volume ls --quiet; docker ps --all --quiet"), "something is left")
    seen("docker compose down --volumes: no container and no volume is left")


def end():
    if engine:
        engine.clear()
        engine.end()
    for group in sorted(Path("/sys/fs/cgroup").glob(f"**/{PLACE.name}/**/"), reverse=True):
        group.rmdir()


signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
begun, engine = time.monotonic(), None
try:
    main()
except SystemExit as problem:
    if engine:
        errors = re.findall(r".*level=(?:error|fatal).*|(?m:^failed.*)", engine.log.read_text())
        sys.stderr.write("\n".join(["--- dockerd", *errors[-5:], "--- services", ""]))
        sys.stderr.write(engine.sh("docker compose logs --tail 15", fails=True)[1])
    sys.exit(f"check-container: error: {problem}")
finally:
    end()
