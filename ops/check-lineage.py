#!/usr/bin/env python3
"""Holds `lethe lineage export` against OpenLineage's own Python client.

usage: ops/check-lineage.py

Starts a run over the tiny BERT, trains, deletes, and reads every exported event into the client's
classes, which check ids and times; what they write must be what was read. Needs the package
openlineage-python; SKIPPED without it (python3 -m pip install openlineage-python).
"""
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))
from runs import Run, must, record_line  # noqa: E402

try:
    from openlineage.client.generated import base as ol
    from openlineage.client.generated.dataset_version_dataset import DatasetVersionDatasetFacet
    from openlineage.client.serde import Serde
except ImportError:
    print("check-lineage: SKIPPED: python3 -m pip install openlineage-python")
    sys.exit(0)


def need(holds, what):
    if not holds:
        raise SystemExit(f"check-lineage: {what}")


def facets(raw, base):
    """Facets as the client's classes; its own kind of version, ours with what they add."""
    made = {}
    for name, facet in raw.items():
        producer, schema = facet.pop("_producer"), facet.pop("_schemaURL")
        if name == "version":
            made[name] = DatasetVersionDatasetFacet(producer=producer, **facet)
            need(made[name]._schemaURL == schema, f"the facet version says {schema}")
        else:
            made[name] = base(producer=producer).with_additional_properties(**facet)
            made[name]._schemaURL = schema
    return made


def dataset(raw, kind):
    return kind(raw["namespace"], raw["name"], facets=facets(raw["facets"], ol.DatasetFacet))


def reread(line):
    raw = json.loads(line)
    event = ol.RunEvent(
        eventType=ol.EventType[raw["eventType"]], eventTime=raw["eventTime"],
        run=ol.Run(raw["run"]["runId"], facets=facets(raw["run"]["facets"], ol.RunFacet)),
        job=ol.Job(raw["job"]["namespace"], raw["job"]["name"]),
        inputs=[dataset(item, ol.InputDataset) for item in raw["inputs"]],
        outputs=[dataset(item, ol.OutputDataset) for item in raw["outputs"]],
        producer=raw["producer"])
    need(event.schemaURL == raw["schemaURL"], f"the event says {raw['schemaURL']}")
    return event


def bare(value):
    """Without what is empty: the client writes empty facets, and nobody needs them."""
    if isinstance(value, dict):
        return {name: bare(item) for name, item in value.items() if item not in ({}, None)}
    return [bare(item) for item in value] if isinstance(value, list) else value


def main():
    with tempfile.TemporaryDirectory() as folder:
        run = Run(folder, [record_line(f"r{index}", index) for index in range(60)], policy="eager")
        run.start()
        try:
            run.worker()
            must("train", "--watch", "--run", run.run_file)
            before = must("lineage", "export", "--run", run.run_file).splitlines()
            must("delete", "r1", "--wait", "certified", "--run", run.run_file)
            after = must("lineage", "export", "--run", run.run_file).splitlines()
            again = must("lineage", "export", "--run", run.run_file).splitlines()
        finally:
            run.stop()
    need(after == again, "the same blocks give other bytes")
    for line in before + after:
        need(bare(Serde.to_dict(reread(line))) == bare(json.loads(line)), f"reads otherwise {line}")
        need('"r1"' not in line, "a record is named")
    ids = []
    for lines in (before, after):
        ends = [json.loads(line) for line in lines if '"COMPLETE"' in line]
        starts = [json.loads(line) for line in lines if '"START"' in line]
        ids.append([event["run"]["runId"] for event in ends])
        need(ids[-1] == [event["run"]["runId"] for event in starts], "a run lacks start or end")
    need(all(len(set(some)) == len(some) for some in ids), "two blocks share a run id")
    kept = set(ids[0]) & set(ids[1])
    need(0 < len(kept) < len(ids[0]), "a deletion must give new ids to the blocks that it retrains")
    print(f"check-lineage: {len(before + after)} events read by OpenLineage's client; a deletion "
          f"gave {len(ids[1]) - len(kept)} of {len(ids[1])} blocks new runs")


main()
