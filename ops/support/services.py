"""The checks of ops/check-systemd; usage: services.py PLACE DEBIAN, in a mount namespace"""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from runs import BACKBONE, LETHE, ROOT, record_line
from tunnel import check, guide
from waiting import patience, wait_for

PLACE, DEBIAN = map(Path, sys.argv[1:])
CHECKOUT, RUN = "/srv/lethe", "--run /etc/lethe/run.json5"
COORDINATOR, WORKER = "lethe-coordinator", "lethe-worker@{}"
# As a container's manager leaves it to systemd: its file systems, and a root that shares mounts.
BOOT = r"""
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
mount -t tmpfs -o mode=755 tmpfs run
cp -a /dev/{null,zero,full,random,urandom,tty} dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
pivot_root . .
umount -l .
mount --make-rshared /
exec env -i container=lethe PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
"""
# What a unit's process may do, one fact a line; run in the sandbox instead of lethe.
PROBE = r"""
fact() { local name=$1; shift; "$@" >/dev/null 2>&1 && echo "$name yes" || echo "$name no"; }
fact finds-state [ "$(stat -c %a /var/lib/lethe)" != 0 ]
fact reads-records ls /var/lib/lethe/run.lethe
fact reads-root-key cat /etc/lethe/worker.key
fact reads-its-key cat "${LETHE_KEY_FILE:-/nowhere}"
fact reads-home ls /root
fact writes-state touch /var/lib/lethe/probe
fact writes-etc touch /etc/lethe/probe
fact writes-program touch /usr/local/bin/lethe
fact makes-namespaces unshare --user true
fact sees-others test -e /proc/1/status
fact reaches-loopback timeout 2 bash -c ': </dev/tcp/127.0.0.1/7443'
fact reaches-network timeout 2 bash -c ': </dev/tcp/192.0.2.1/7443'
"""


def seen(what):
    print(f"{time.monotonic() - begun:6.1f} s  {what}", flush=True)


def command(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    check(done.returncode == 0, f"{' '.join(map(str, words[:3]))}: {done.stderr}")


class Machine:
    """Debian in namespaces of its own, over a tree that stays as it is."""

    def __init__(self, name):
        self.name, self.root = name, PLACE / name / "root"
        for part in ("upper", "work", "root"):
            (PLACE / name / part).mkdir(parents=True)
        upper = PLACE / name / "upper"
        command("mount", "-t", "overlay", "-o",
                f"lowerdir={DEBIAN},upperdir={upper},workdir={PLACE / name / 'work'}",
                "overlay", self.root)
        mounted.append(self.root)
        (self.root / "etc/hostname").write_text(f"{name}\n")
        (self.root / "etc/machine-id").write_text("")
        (self.root / "etc/hosts").write_text(
            "127.0.0.1 localhost\n192.0.2.1 lethe-coordinator\n")
        self.lay_checkout()
        self.group = PLACE / "cgroup" / f"{PLACE.name}-{name}"
        self.group.mkdir()
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child",
             "--mount", "--net", "--uts", "--ipc", "--cgroup", "bash", "-euc", BOOT, "boot",
             str(self.root)], stdin=subprocess.DEVNULL,
            preexec_fn=lambda: (self.group / "cgroup.procs").write_text("0"))
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        wait_for(f"{name}'s first process", lambda: children.read_text().strip())
        self.first = children.read_text().strip()
        wait_for(f"systemd on {name}",
                 lambda: Path(f"/proc/{self.first}/comm").read_text() == "systemd\n")
        wait_for(f"{name} running", seen=lambda: self.sh("systemctl --failed", fails=True)[1],
                 condition=lambda: self.sh(
                     "systemctl is-system-running", fails=True)[1] == "running\n")

    def lay_checkout(self):
        """What the guides call a built checkout, with a small model and records."""
        place = self.root / CHECKOUT[1:]
        for source, target in ((ROOT / "Deploy", "Deploy"), (BACKBONE, ".cache/minilm")):
            shutil.copytree(source, place / target)
        (place / ".build/release").mkdir(parents=True)
        shutil.copy(LETHE, place / ".build/release/lethe")
        (place / "records.jsonl").write_text(
            "".join(record_line(f"r{index}", index) for index in range(60)))
        # Of a program that is not built statically, into a folder that every service sees.
        libraries = subprocess.run(["ldd", LETHE], capture_output=True, text=True).stdout
        for library in re.findall(r"=> (/\S+)", libraries):
            if not (self.root / library[1:]).exists():
                shutil.copy(library, self.root / "usr/local/lib")
        command("chroot", self.root, "ldconfig")

    def sh(self, script, fails=False, quiet=20):
        """Types commands as root, in the checkout; what they print, and with `fails` the code.

        They take `quiet` seconds on a quiet machine.
        """
        try:
            done = subprocess.run(
                ["nsenter", "-t", self.first, "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w",
                 "env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                 "HOME=/root", "SYSTEMD_PAGER=", "bash", "-euc", f"cd {CHECKOUT}\n{script}"],
                stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=patience(quiet))
        except subprocess.TimeoutExpired as late:
            sys.exit(f"{self.name}: not done after {late.timeout:.0f} s: {script}\n"
                     f"{late.stdout}{late.stderr}")
        if fails:
            return done.returncode, done.stdout
        check(done.returncode == 0, f"{self.name}: {script}\n{done.stdout}{done.stderr}")
        return done.stdout

    def show(self, unit, what):
        return self.sh(f"systemctl show -P {what} {unit}").strip()

    def pid(self, unit):
        return self.show(unit, "MainPID")

    def log(self, unit):
        return self.sh(f"journalctl -q -o cat -u '{unit}'")

    def status(self):
        code, out = self.sh(f"lethe status --format json {RUN}", fails=True)
        return json.loads(out) if code == 0 else {}

    def workers(self):
        return {worker["name"]: worker for worker in self.status().get("workers", [])}

    def wait_workers(self, count):
        wait_for(f"{count} workers", lambda: len(self.workers()) == count, seen=self.status)

    def again(self, unit, before, what, quiet=2):
        """Waits until systemd has started a unit again; its new process."""
        wait_for(f"{unit} after {what}", lambda: self.pid(unit) not in ("0", before)
                 and self.show(unit, "ActiveState") == "active", quiet,
                 lambda: self.sh(f"systemctl status {unit}", fails=True)[1], 0.3)
        return self.pid(unit)


def services(machine):
    """Deploy/README.md, As services."""
    commands = guide("Deploy/README.md", "As services")
    # Trainings that are long enough to be looked at.
    commands, count = re.subn(r"(?m)^(install .* run\.json5 /etc)",
                              r"sed -i 's/epochs: 3/epochs: 150/' run.json5\n\1", commands)
    check(count == 1, "the guide does not install run.json5")
    head, separator, last = commands.rpartition("lethe train ")
    check(separator, "the guide does not train")
    out = machine.sh(head)
    seen("Deploy/README.md, As services: every command worked")
    for unit, text in ((COORDINATOR, "workers 127.0.0.1:7420, http 127.0.0.1:7421"),
                       (WORKER.format(1), "connected to 127.0.0.1:7420"),
                       (WORKER.format(2), "connected to 127.0.0.1:7420")):
        wait_for(f"{text!r} in the status of {unit}",
                 lambda: machine.show(unit, "StatusText") == text,
                 seen=lambda: machine.show(unit, "StatusText"))
        shown = machine.sh(f"systemctl status {unit}")
        check("active (running)" in shown and "(lethe)" in shown, f"{unit}: {shown}")
    check("enabled" in out, "systemctl status does not say that the units are enabled")
    seen("systemctl status: active, process lethe, addresses and connections in its status line")
    return separator + last


def training(machine, train):
    machine.wait_workers(2)
    machine.sh(f"lethe train {RUN}")

    def busy():
        mine = f"-{machine.pid(WORKER.format(1))}"
        return any(worker.get("training") for name, worker in machine.workers().items()
                   if name.endswith(mine))

    wait_for("a block for worker 1", busy, seen=machine.status)
    before = time.monotonic()
    machine.sh(f"systemctl stop {WORKER.format(1)}")
    took = time.monotonic() - before
    log = machine.log(WORKER.format(1))
    check('"event":"draining"' in log and "drained" in log, f"worker 1 did not drain:\n{log}")
    check(machine.show(WORKER.format(1), "Result") == "success",
          f"worker 1 took {took:.1f} s to stop: {machine.show(WORKER.format(1), 'Result')}")
    status = machine.status()
    check(status["blocksTrained"] < status["blocks"], "the training was over by then")
    seen(f"systemctl stop of a worker that trains: handed its stage over in {took:.1f} s")
    machine.sh(f"systemctl start {WORKER.format(1)}")
    machine.sh(train)
    status = machine.status()
    check(status["blocksTrained"] == status["blocks"], "not all blocks are trained")
    seen(f"two workers trained {status['blocksTrained']} of {status['blocks']} blocks")


def use(machine):
    predict = f"lethe predict --text 'green tree' {RUN}"
    machine.sh(predict)
    machine.sh(f"lethe delete r3 r4 --wait certified {RUN}")
    machine.sh(f"lethe receipt show r3 {RUN} --output receipt && lethe receipt verify receipt")
    seen("predicted; two records deleted, repaired and certified, the receipt verifies")
    machine.sh(guide("Deploy/README.md", "Backup"))
    machine.sh(guide("Deploy/README.md", "Backup", 1))
    machine.wait_workers(2)
    machine.sh(predict)
    seen("Deploy/README.md: backup, restore, and the workers are back")


def restarts(machine):
    for unit in (COORDINATOR, WORKER.format(1)):
        before = machine.pid(unit)
        machine.sh(f"systemctl restart {unit}")
        check(machine.pid(unit) != before, f"{unit} was not restarted")
        # Ready is ready: the first question is answered.
        check(unit != COORDINATOR or machine.status(), "started, and does not answer")
        before = machine.pid(unit)
        machine.sh(f"systemctl kill -s KILL {unit}")
        machine.again(unit, before, "kill -9")
        check(machine.show(unit, "NRestarts") == "1", f"{unit} was not restarted once")
        machine.wait_workers(2)
    seen("systemctl restart and kill -9 of coordinator and worker: back, and connected")


def watched(machine, unit, seconds):
    """Freezes a unit's process; when, and which one it was."""
    check(machine.show(unit, "WatchdogUSec") == seconds, f"{unit} is not watched for {seconds}")
    process = machine.pid(unit)
    machine.sh(f"kill -STOP {process}")
    return time.monotonic(), process


def woken(machine, unit, watchdog, frozen):
    """Waits until the watchdog, a matter of `watchdog` seconds, has replaced what was frozen."""
    since, process = frozen
    machine.again(unit, process, "kill -STOP", watchdog)
    took = time.monotonic() - since
    check("Watchdog timeout" in machine.log(unit), f"{unit}: {machine.log(unit)[-800:]}")
    seen(f"kill -STOP of {unit}: its watchdog had it started again"
         f" after {took:.0f} s")


def sandboxes(machine):
    (machine.root / "usr/local/bin/probe").write_text(PROBE)
    machine.sh("chmod 755 /root; : </dev/tcp/192.0.2.1/7443; : </dev/tcp/127.0.0.1/7443")
    common = {"reads-root-key": "no", "reads-home": "no", "writes-etc": "no",
              "writes-program": "no", "makes-namespaces": "no", "sees-others": "no",
              "reaches-loopback": "yes"}
    for unit, only in (
            ("lethe-coordinator", {"finds-state": "yes", "reads-records": "yes",
                                   "writes-state": "yes", "reads-its-key": "no",
                                   "reaches-network": "no"}),
            ("lethe-worker@", {"finds-state": "no", "reads-records": "no",
                               "writes-state": "no", "reads-its-key": "yes",
                               "reaches-network": "no"}),
            ("lethe-tls@", {"finds-state": "yes", "reads-records": "no",
                            "writes-state": "no", "reads-its-key": "no",
                            "reaches-network": "yes"})):
        source = machine.root / f"etc/systemd/system/{unit}.service"
        (source.parent / f"probe-{unit}.service").write_text(
            source.read_text() + "\n[Service]\nType=oneshot\nWatchdogSec=0\nRestart=no\n"
            "ExecStart=\nExecStart=/bin/bash /usr/local/bin/probe\n"
            "StandardOutput=truncate:/run/probe\n")
        instance = unit + "1" * unit.endswith("@")
        out = machine.sh(f"systemctl daemon-reload; systemctl start probe-{instance};"
                         "cat /run/probe")
        facts = dict(line.split() for line in out.splitlines())
        wrong = [f"{name}: not {answer}" for name, answer in sorted((common | only).items())
                 if facts.get(name) != answer]
        check(not wrong, f"the sandbox of {unit}: {', '.join(wrong)}")
    seen("sandboxes: workers see no run, nobody a home, root's key or another's process; only"
         " the coordinator writes, below /var/lib/lethe; only stunnel reaches the network")


def tunnels(near, far):
    """Deploy/tls/README.md, with the worker on the other machine."""
    page = "Deploy/tls/README.md"
    for machine, other, number in ((near, far, 1), (far, near, 2)):
        command("nsenter", "-t", machine.first, "-n", "ip", "address", "add",
                f"192.0.2.{number}/24", "dev", "lethe0")
        command("nsenter", "-t", machine.first, "-n", "ip", "link", "set", "lethe0", "up")
        machine.sh(re.sub(r"(?m)^apt-get install .*\n", "", guide(page, "Set up")))
    near.sh(guide(page, "Set up", 1) + guide(page, "Set up", 2) + guide(page, "Set up", 3))
    for name, target in (("etc/lethe/tls/psk", "etc/lethe/tls/psk"),
                         ("etc/lethe/site-1.key", CHECKOUT[1:] + "/site-1.key")):
        (far.root / target).write_bytes((near.root / name).read_bytes())
    far.sh("chown lethe-tls:lethe-tls /etc/lethe/tls/psk; chmod 600 /etc/lethe/tls/psk")
    far.sh(guide(page, "Set up", 4))
    near.wait_workers(3)
    seen("Deploy/tls/README.md: a worker on the other machine came through TLS")

    near.sh("""
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
          -subj /CN=lethe-coordinator -addext subjectAltName=DNS:lethe-coordinator \
          -keyout tls.key -out tls.crt; cp tls.crt ca.crt
        runuser -u lethe -- lethe key new --name prometheus --role reader \
          --run /etc/lethe/run.json5 | awk '{printf "%s.%s", $2, $5}' > reader.token""")
    out = near.sh(guide(page, "HTTPS"))
    check("lethe_shard_depth" in out, f"no metrics over HTTPS: {out}")
    seen("Deploy/tls/README.md: metrics over HTTPS")

    before = near.pid("lethe-tls@coordinator")
    connected = set(near.workers())
    psk = near.root / "etc/lethe/tls/psk"
    psk.write_text(psk.read_text() + "site-1b:" + "5a" * 32 + "\n")
    near.sh("systemctl reload lethe-tls@coordinator")
    (far.root / "etc/lethe/tls/psk").write_text("site-1b:" + "5a" * 32 + "\n")
    check(near.pid("lethe-tls@coordinator") == before and set(near.workers()) == connected,
          "a reload ended the process or a connection")
    far.sh("systemctl restart lethe-tls@worker")
    wait_for("the worker with its new key", lambda:
             far.show(WORKER.format(1), "StatusText").startswith("connected")
             and len(near.workers()) == 3,
             seen=lambda: (far.show(WORKER.format(1), "StatusText"), near.workers()))
    near.sh(f"systemctl stop {WORKER.format(1)} {WORKER.format(2)}")
    near.sh(f"lethe delete r5 --wait certified {RUN}")
    near.sh(f"systemctl start {WORKER.format(1)} {WORKER.format(2)}")
    seen("systemctl reload of stunnel: a new key is let in, connections stay; and that worker"
         " alone repaired a deletion")


def mistakes(machine):
    """A start that cannot succeed fails at once, and is not tried again."""
    for unit, file in ((COORDINATOR, "/etc/lethe/run.json5"),
                       (WORKER.format(1), "/etc/lethe/worker.key")):
        code, _ = machine.sh(f"cp -a {file} kept; echo '{{' > {file}; systemctl restart {unit}",
                             fails=True)
        check(code, f"systemctl calls {unit} started with a broken {file}")
        # Whoever is tried again is `activating` until then, and never `failed`.
        wait_for(f"{unit} with a broken {file} to fail",
                 lambda: machine.show(unit, "ActiveState") == "failed",
                 seen=lambda: machine.sh(f"systemctl status {unit}", fails=True)[1])
        shown = machine.sh(f"systemctl show {unit}")
        for fact in ("ActiveState=failed", "ExecMainStatus=78", "NRestarts=0"):
            check(fact in shown.splitlines(), f"{unit} with a broken {file}: not {fact}")
        machine.sh(f"cp -a kept {file}; systemctl start {unit}")
    seen("a broken run file or key: the start fails with 78, and is not tried again")


def logs(machine):
    lines = machine.sh("journalctl -q -o cat _SYSTEMD_UNIT=lethe-coordinator.service +"
                       " _SYSTEMD_SLICE='system-lethe\\x2dworker.slice'").splitlines()
    events = [line for line in lines if line.startswith("{")]
    for line in events:
        check({"ts", "level", "component", "event"} <= json.loads(line).keys(), line)
    others = [line for line in lines if line not in events
              and not line.startswith(("lethe: error: ", "  try: "))]
    check(events and not others, f"no log lines of lethe: {others[:3]}")
    seen(f"journald: {len(events)} lines of JSON from lethe, and nothing else but its errors")


def stop(machine):
    units = machine.sh("systemctl list-units --plain --no-legend 'lethe-*.service'"
                       " | cut -d ' ' -f 1").split()
    machine.sh("systemctl stop 'lethe-*'")
    for unit in units:
        if not unit.startswith("probe"):
            check(machine.show(unit, "Result") == "success", f"{unit} did not stop well")
    seen(f"systemctl stop: {len(units)} services of {machine.name} ended well")


def main():
    (PLACE / "cgroup").mkdir()
    command("mount", "-t", "cgroup2", "cgroup2", PLACE / "cgroup")
    mounted.append(PLACE / "cgroup")
    near, far = (machines.append(Machine(name)) or machines[-1] for name in ("near", "far"))
    command("ip", "link", "add", "lethe0", "netns", near.first, "type", "veth",
            "peer", "name", "lethe0", "netns", far.first)
    seen(f"two machines run {near.sh('systemctl --version').splitlines()[0]}")

    train = services(near)
    training(near, train)
    near.sh(f"systemctl start {WORKER.format(3)}")
    near.wait_workers(3)
    worker = watched(near, WORKER.format(3), "3min")
    woken(near, COORDINATOR, 30, watched(near, COORDINATOR, "30s"))
    near.wait_workers(2)
    use(near)
    restarts(near)
    tunnels(near, far)
    sandboxes(near)
    mistakes(near)
    woken(near, WORKER.format(3), 180, worker)
    logs(near)
    stop(far)
    stop(near)
    print("check-systemd: ok: the units of Deploy/ do under systemd what the guides say")


def end():
    for machine in machines:
        machine.process.kill()
        machine.process.wait()
    for machine in machines:
        wait_for("a machine's end", lambda: not Path(f"/proc/{machine.first}").exists())
        for group in sorted(machine.group.glob("**/"), reverse=True):
            group.rmdir()
    for target in reversed(mounted):
        command("umount", target)


signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
begun, machines, mounted = time.monotonic(), [], []
try:
    main()
except SystemExit as problem:
    for machine in machines:
        sys.stderr.write(f"--- journal of {machine.name}\n")
        sys.stderr.write(machine.sh("journalctl -q -u 'lethe-*' | tail -n 40", fails=True)[1])
    sys.exit(f"check-systemd: error: {problem}")
finally:
    end()
