"""The checks of ops/check-slurm."""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from runs import BACKBONE, LETHE, ROOT, Run, must, record_line, whole
from tunnel import Tunnel, check, free_port, keys, start, workshop
from waiting import Late, wait_for

SCRIPT = ROOT / "Deploy/slurm/lethe-workers.sbatch"
LINES = [record_line(f"r{index}", index) for index in range(120)]
DELETED = ["r7"]
# Stages last long enough to be handed over in the middle.
EPOCHS = 10000
# In a worker's command line; and how a checkpoint begins, before its block's key and its number of
# steps, in Protocols/checkpoint.md.
WORKER, MARK = "bin/lethe\0worker\0", b"lethe-checkpoint-1"


def processes(*marks):
    """Ids of processes in whose command or environment all the marks stand."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "cmdline").read_bytes() + b"\0" + (folder / "environ").read_bytes()
        except OSError:
            continue
        if all(f"{mark}".encode() in text for mark in marks):
            found.append(int(folder.name))
    return sorted(found)


class Cluster:
    """A controller and two nodes, all this machine, with everything in one folder."""

    # Slurm has several ways to know a task's processes; this one loses those whose parent ended.
    SETTINGS = """
ClusterName=lethe
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
FirstJobId={first_job}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
ReturnToService=2
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=4 RealMemory=16000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=4 RealMemory=16000
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""

    def __init__(self, folder):
        self.folder = folder
        (folder / "state").mkdir(parents=True)
        settings = folder / "slurm.conf"
        settings.write_text(self.SETTINGS.format(
            folder=folder, host=socket.gethostname().partition(".")[0],
            # Tasks take ports by it, and two checks may run at a time.
            first_job=1 + secrets.randbelow(10000),
            controller=free_port(), first=free_port(), second=free_port()))
        self.environment = {**os.environ, "SLURM_CONF": str(settings)}
        with open(os.open(folder / "munge.key", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as key:
            key.write(secrets.token_bytes(128))
        self.start("munged", "--foreground", "--force", f"--socket={folder}/munge.socket",
                   f"--key-file={folder}/munge.key", f"--pid-file={folder}/munge.pid",
                   f"--seed-file={folder}/munge.seed", f"--log-file={folder}/munge.log")
        wait_for("munged", (folder / "munge.socket").exists)
        self.start("slurmctld", "-D")
        for node in ("n1", "n2"):
            self.start("slurmd", "-D", "-N", node)
        wait_for("two idle nodes", lambda: self.ask("sinfo", "-h", "-o", "%D %t") == "2 idle\n",
                 seen=lambda: self.ask("sinfo"))

    def start(self, program, *arguments):
        start(self.folder / f"{program}.log", program, *arguments, env=self.environment)

    def ask(self, *command):
        return subprocess.run(command, env=self.environment, capture_output=True, text=True).stdout

    def submit(self, folder, tasks, exports, **options):
        """An array as the README submits it."""
        exports = ",".join(f"{name}={value}" for name, value in exports.items())
        done = subprocess.run(
            ["sbatch", "--parsable", f"--array={tasks}", f"--export={exports}",
             *(f"--{name}={value}" for name, value in options.items()), str(SCRIPT)],
            env=self.environment, cwd=folder, capture_output=True, text=True)
        check(done.returncode == 0, f"sbatch: {done.stderr}")
        return Job(self, folder, done.stdout.strip())

    def end(self):
        """Ends jobs first, and whatever a job left; `workshop` ends the rest."""
        self.ask("scancel", "--user=root")
        try:
            wait_for("the jobs' end", lambda: not self.ask("squeue", "-h"), 4, pause=0.2)
        except Late:
            pass  # What is left of them is killed.
        for process in processes(self.folder.parent):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass


class Job:
    """An array of one or two tasks."""

    def __init__(self, cluster, folder, number):
        self.cluster, self.folder, self.number = cluster, folder, number

    def fields(self, task):
        text = self.cluster.ask("scontrol", "show", "job", f"{self.number}_{task}")
        return dict(re.findall(r"(\w+)=(\S*)", text))

    def outcome(self, task):
        fields = self.fields(task)
        return f"{fields.get('JobState')} {fields.get('ExitCode')}"

    def log(self, task):
        path = self.folder / f"lethe-worker-{self.number}_{task}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def processes(self, task, *marks):
        return processes(self.cluster.folder, f"SLURM_ARRAY_JOB_ID={self.number}\0",
                         f"SLURM_ARRAY_TASK_ID={task}\0", *marks)

    def says(self, task, text, quiet=6):
        wait_for(f"{text!r} in the log of a task", lambda: text in self.log(task), quiet,
                 lambda: self.log(task))

    def ends(self, task, outcome, quiet=6):
        """Waits for state and exit code; nothing that the task started may be left."""
        name, ends = f"{self.number}_{task}", ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")
        wait_for(f"the end of task {name}", lambda: self.fields(task)["JobState"] in ends, quiet,
                 lambda: f"{self.outcome(task)}\n{self.log(task)}")
        ended = self.outcome(task)
        check(ended == outcome, f"task {name} ended as {ended}, not {outcome}")
        wait_for(f"the end of task {task}'s processes", lambda: not self.processes(task),
                 seen=lambda: self.processes(task))


class Service:
    """The service node: a coordinator behind its tunnel, and what its workers need."""

    def __init__(self, folder):
        self.folder = folder
        self.run = Run(folder / "run", LINES, epochs=EPOCHS, shape=(2, 2, 1))
        self.run.start()
        (folder / "logs").mkdir()
        endpoint = json.loads((self.run.directory / "endpoint.json").read_text())
        site = secrets.token_hex(32)
        self.tunnel = Tunnel(folder, "service", "coordinator", free_port(),
                             int(endpoint["workers"].rpartition(":")[2]),
                             PSKsecrets=keys(folder / "psk", ("site-1", site)))
        self.home = self.make_home("home", site)

    def make_home(self, name, site):
        home = self.folder / name
        (home / "bin").mkdir(parents=True, mode=0o700)
        shutil.copy(LETHE, home / "bin/lethe")
        shutil.copytree(BACKBONE, home / "backbone")
        shutil.copy(ROOT / "Deploy/tls/worker.conf", home)
        keys(home / "psk", ("site-1", site))
        must("key", "new", "--name", name, "--output", home / "worker.key",
             "--run", self.run.run_file)
        return home

    def submit(self, cluster, tasks, home=None, more=(), **options):
        exports = {"LETHE_COORDINATOR": f"127.0.0.1:{self.tunnel.port}",
                   "LETHE_HOME": home or self.home, **dict(more)}
        return cluster.submit(self.folder / "logs", tasks, exports, **options)

    def busy(self, job, task, beyond=0):
        """Waits for a task's worker to be past a step and not near the last; its block and step."""
        found = []

        def is_busy():
            names = tuple(f"-{process}" for process in job.processes(task, WORKER))
            found[:] = [(worker["training"], worker["step"])
                        for worker in self.run.status()["workers"]
                        if worker["name"].endswith(names) and "training" in worker
                        and beyond < worker.get("step", 0) < 0.8 * worker["totalSteps"]]
            return found

        wait_for(f"training by task {task}", is_busy, 20, lambda: self.run.status()["workers"])
        return found[0]

    def kept(self, block):
        """The step of a block's checkpoint, or -1."""
        key = bytes.fromhex(blocks(self.run)[block][0])
        for path in (self.run.directory / "checkpoints").iterdir():
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue
            at = content.find(MARK + key)
            if at >= 0:
                at += len(MARK + key)
                return int.from_bytes(content[at:at + 4], "little")
        return -1


def blocks(run):
    """Key and artifact of every block, by its place as status writes it."""
    found = {}
    for shard in (0, 1):
        text = must("lineage", "shard", shard, "--format", "json", "--run", run.run_file)
        for sequence in json.loads(text)["sequences"]:
            for block in sequence["blocks"]:
                place = f"{shard}/{sequence['sequence']}/{block['stage']}"
                found[place] = block["key"], block.get("artifact")
    return found


def main(folder, cluster, service):
    begun = time.monotonic()
    run = service.run
    must("train", "--run", run.run_file)
    first = service.submit(cluster, "1-2", time=3, nodelist="n1")
    service.busy(first, 1), service.busy(first, 2)
    ports = {re.search(rb"127.0.0.1:\d+", Path(f"/proc/{process}/cmdline").read_bytes())[0]
             for task in (1, 2) for process in first.processes(task, WORKER)}
    check(len(ports) == 2, f"two tasks on one node share a port: {ports}")
    print("sbatch: two tasks on one node, each with a tunnel and a port of its own, train")

    run.delete(DELETED)
    run.wait_purged()
    check(not run.leftovers(DELETED), "a purged record is still there")
    must("train", "--run", run.run_file)
    print("a deletion while they train: purged")

    def handed_over(task, what, *command):
        """Does something to a task in the middle of a stage; what it got to is kept."""
        block, step = service.busy(first, task)
        step = max(step, service.kept(block))
        block, step = service.busy(first, task, step)
        cluster.ask(*command)
        first.says(task, '"event":"draining"')
        wait_for(f"{what}: {block} to be handed over", lambda: service.kept(block) > step,
                 seen=lambda: f"step {service.kept(block)}, and {step} before")
        print(f"{what}: block {block} handed over at step {service.kept(block)}")

    handed_over(1, "scancel --signal=TERM --batch", "scancel", "--signal=TERM", "--batch",
                f"{first.number}_1")
    first.ends(1, "COMPLETED 0:0")
    handed_over(2, "scontrol requeue", "scontrol", "requeue", f"{first.number}_2")
    first.says(2, "worker 2, start 2", 20)
    check("worker 2, start 1" in first.log(2), "the second start has overwritten the first's log")
    print("it starts again, and goes on in the same log")

    refusals(cluster, service)
    second = service.submit(cluster, "1-2", dependency="singleton")
    first.ends(2, "COMPLETED 0:0", 180)
    check(first.log(2).count('"event":"draining"') == 2, "the time limit drained nobody")
    check(run.status()["blocksTrained"] < 4, "training was over before the time limit")
    took = first.fields(2)["RunTime"]
    print(f"time limit of 3 minutes: drained after {took}; no process of it is left")
    wait_for("the next array's workers", lambda: len(run.status()["workers"]) == 2, 20,
             lambda: run.status()["workers"])
    must("train", "--watch", "--timeout", whole(100), "--run", run.run_file)
    print("the next array followed, and trained to the end")
    cluster.ask("scancel", second.number)
    for task in (1, 2):
        second.ends(task, "CANCELLED 0:0")
    print("scancel: no process is left")

    local = Run(folder / "local", LINES, epochs=EPOCHS, shape=(2, 2, 1))
    try:
        local.start()
        local.delete(DELETED)
        local.worker(), local.worker()
        must("train", "--watch", "--timeout", whole(100), "--run", local.run_file)
        expected = blocks(local)
    finally:
        local.stop()
    found = blocks(run)
    check(found == expected, f"blocks differ from a run without Slurm: {found}, {expected}")
    print(f"check-slurm: ok: {len(found)} blocks as without Slurm;"
          f" {time.monotonic() - begun:.0f} s in all")


def refusals(cluster, service):
    def refused(what, outcome, text, **options):
        job = service.submit(cluster, "1", nodelist="n2", **options)
        job.says(1, text)
        if not outcome:
            cluster.ask("scancel", job.number)
        job.ends(1, outcome or "CANCELLED 0:0")
        print(f"{what}: {text}")

    stranger = service.make_home("stranger", secrets.token_hex(32))
    refused("another site's key", None, "alert illegal parameter", home=stranger)
    keys(stranger / "psk", *[line.split(":") for line in
                             (service.home / "psk").read_text().split()])
    key = stranger / "worker.key"
    key.write_text(re.sub(r"[0-9a-f]{8}\n", "00000000\n", key.read_text()))
    refused("another worker's key", None, "does not know the secret", home=stranger)
    refused("no stunnel", "FAILED 78:0", "name one in LETHE_STUNNEL",
            more={"LETHE_STUNNEL": "/nowhere/stunnel"})
    refused("no LETHE_HOME", "FAILED 1:0", "LETHE_HOME: give the folder",
            more={"LETHE_HOME": ""})


if __name__ == "__main__":
    with workshop("check-slurm") as place:
        # munged wants its socket where everybody may go.
        place.chmod(0o711)
        cluster = Cluster(place / "slurm")
        service = None
        try:
            service = Service(place)
            main(place, cluster, service)
        finally:
            if service:
                service.run.stop()
            cluster.end()
