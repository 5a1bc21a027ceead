"""The seeded faults of ops/mutants: source snippets and what stands in for them.

A fault is switched on at run time by LETHE_MUTANT, so that one build holds all of them. In a
replacement `@` is the fault's number and `#` the snippet; only the copy below .build is changed.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from waiting import patience

CORE = "Sources/CoordinatorCore/"
COORDINATOR = CORE + "Coordinator.swift"
LEASING = CORE + "Coordinator+Leases.swift"
FAILURES = CORE + "Coordinator+Failures.swift"
CHECKPOINTS = CORE + "Coordinator+Checkpoints.swift"
AUDITS = CORE + "Coordinator+Audit.swift"
OPINIONS = CORE + "Coordinator+Opinions.swift"
CLASSES = CORE + "Coordinator+Class.swift"
CLOCKS = CORE + "Coordinator+Clocks.swift"
PURGES = CORE + "PurgeLedger.swift"
PURGING = CORE + "Coordinator+Purge.swift"
STATE = CORE + "RunState.swift"
QUERIES = CORE + "RunState+Queries.swift"
SNAPSHOT = CORE + "RunState+Snapshot.swift"
SECTIONS = CORE + "RunState+Sections.swift"
RECORDS = CORE + "RecordIndex.swift"
JOURNAL = "Sources/Storage/Journal.swift"
FILES = "Sources/SystemIO/FileSystem.swift"
RECEIPT = "Sources/Receipts/Receipt+Verification.swift"
PROOF = "Sources/Receipts/LedgerProof+Verification.swift"
WORKER = "Sources/WorkerCore/WorkerMachine.swift"
WORKER_LEASES = "Sources/WorkerCore/WorkerMachine+Leases.swift"
WORKER_QUESTIONS = "Sources/WorkerCore/WorkerMachine+Questions.swift"

SYSCALLS = "EndToEndTests.DurabilityTests"
SERVICES = "EndToEndTests.ServiceManagerTests"
GUARANTEES = "CoordinatorCoreTests.GuaranteeTests"
BASICS = "CoordinatorCoreTests.CoordinatorTests"
STATES = "EndToEndTests.StateTests"
EDGE = "EndToEndTests.EdgeTests"
OUTLINES = "HTTPTests.JSONOutlineTests"
OVERLAPS = "CoordinatorCoreTests.OverlapTests"
FLEET = "CoordinatorCoreTests.FleetTests"
IDENTITY = "CoordinatorCoreTests.IdentityTests"
CLASS = "CoordinatorCoreTests.ClassTests"
CLOCK = "CoordinatorCoreTests.ClockTests"
CLAIMS = "EndToEndTests.IdentityTests"
TABLES = "CoordinatorCoreTests.RecordTableTests"
PLACES = "CoordinatorCoreTests.PurgeLedgerTests"
QUESTIONS = "WorkerCoreTests.QuestionTests"
PATHS = "SystemIOTests.FolderTests"
WIRE = "WireFormatTests"
RECEIPTS = "ReceiptsTests.ReceiptTests/(refuses|trusted|spelling|otherID|early)"
PROOFS = "ReceiptsTests.LedgerProofTests/(problems|grows|holds)"
MEMORY = "Sources/WorkerService/RecordMemory.swift"
SLICES = "Sources/WorkerCore/SliceCache.swift"
HEAD = "Sources/HTTP/HTTPHead.swift"
ASSEMBLY = "Sources/HTTP/HTTPAssembly.swift"
MESSAGE = "Sources/HTTP/HTTPMessage.swift"
HTTP = "HTTPTests"
CONFIRMATIONS = "WorkerCoreTests.ConfirmationTests"
LEASES = "WorkerCoreTests.LeaseTests"
CACHES = "(WorkerServiceTests.(RecordMemory|Cache)|WorkerCoreTests.SliceCache)Tests"

SCORES = "Sources/Evaluation/Aggregation+Scores.swift"
CURVE = "Sources/Evaluation/DeletionCurve.swift"
EVALUATION = "^EvaluationTests"

WAITING = CORE + "Coordinator+Waiting.swift"
NOTICES = CORE + "Notices.swift"
TOLD = "CoordinatorCoreTests.NoticeTests"
EXPORTS = "Sources/lethe/AdapterFolder+Comparison.swift"
EXPORT_CHECK = "EndToEndTests.ExportTests/check"
ENCODERS = "TrainingTests.EncoderTests/(padding|dense)"
STARTS = "EndToEndTests.StartingAdapterTests"
CHECKUP = "Sources/Checkup/RunCheckup.swift"
DOCTOR = "EndToEndTests.DoctorTests/faults"
BYTES = "TokenizationTests.ByteLevelTokenizerTests/every"

FORM = "Sources/ModelFormats/BlockForm+Checking.swift"
FORMS = "ModelFormatsTests.BlockFormTests"
WORK = CORE + "TrainingWork+Limits.swift"
FIGURES = "CoordinatorCoreTests.FigureTests"
UPLOADS = "Sources/CoordinatorService/UploadGate.swift"
GATE = "CoordinatorServiceTests.UploadGateTests"
HOSTILE = "EndToEndTests.GateTests"

SKIP = "if !isMutant(@) { # }"
HOLDS = "(isMutant(@) || (#))"

# What is removed, file, snippet, replacement, tests that must notice.
MUTANTS = [
    # Durability
    ("fsync of journal copy A", JOURNAL,
     "try segment.file.synchronize(path: segment.path)",
     "if !(isMutant(@) && segment.path == files[0].path) { # }", SYSCALLS),
    ("fsync of journal copy B", JOURNAL,
     "try segment.file.synchronize(path: segment.path)",
     "if !(isMutant(@) && segment.path == files[1].path) { # }", SYSCALLS),
    ("copy A synced before B is written", JOURNAL,
     "try segment.file.write(batch.bytes, at: byteOffset, path: segment.path)",
     "#\nif isMutant(@), segment.path == files[0].path {"
     " try files[1].file.write(batch.bytes, at: byteOffset, path: files[1].path) }", SYSCALLS),
    ("fsync of a new segment before its name", JOURNAL,
     "try file.synchronize(path: partial)",
     "if !(isMutant(@) && name.hasSuffix(JournalName.segmentSuffix)) { # }", SYSCALLS),
    ("fsync of a snapshot before its name", JOURNAL,
     "try file.synchronize(path: partial)",
     "if !(isMutant(@) && name.hasSuffix(JournalName.snapshotSuffix)) { # }", SYSCALLS),
    ("fsync of the journal's directory after a new name", JOURNAL,
     "to: path(copy, name))\n    try FileSystem.synchronizeDirectory(directory(copy))",
     "to: path(copy, name))\n    "
     "if !isMutant(@) { try FileSystem.synchronizeDirectory(directory(copy)) }", SYSCALLS),
    ("fsync of the journal's directory after retiring", "Sources/Storage/Journal+Snapshot.swift",
     "try FileSystem.synchronizeDirectory(pair.directory(copy))", SKIP, SYSCALLS),
    ("fsync of the new file in FileSystem.replace", FILES,
     "try file.synchronize(path: temporary)", SKIP, SYSCALLS),
    ("fsync of the directory in FileSystem.replace", FILES,
     "try synchronizeDirectory(directory(of: path))", SKIP, SYSCALLS),
    ("fsync of the parent of a new directory", FILES,
     "try synchronizeDirectory(parent)", SKIP, SYSCALLS),
    ("sync of many artifacts before the journal names them", FILES,
     "try synchronizeAll(below: anchor, path: directory)", SKIP, SYSCALLS),
    ("fsync of salts", "Sources/Storage/SaltStore.swift",
     "try file.synchronize(path: path)", SKIP, SYSCALLS),
    ("fsync of a purged record", "Sources/Storage/SliceStore.swift",
     "try file.synchronize(path: path)", SKIP, SYSCALLS),
    ("fsync of a purged record's row", "Sources/Storage/SliceStore.swift",
     "try file.synchronize(path: tablePath)", SKIP, SYSCALLS),
    ("fsync of the record table before its name", "Sources/Storage/RecordWriter.swift",
     "try table.synchronize(path: partial)", SKIP, SYSCALLS),
    ("salts durable before the deletion",
     "Sources/CoordinatorService/CoordinatorLoop.swift",
     "try salts.append(step.salts)\n",
     "if isMutant(@) { try journal.append(step.entries.map(\\.encoded),"
     " epoch: UInt64(coordinator.state.term)); step.entries = [] }\n#", SYSCALLS),
    ("reply only after the journal",
     "Sources/CoordinatorService/CoordinatorLoop.swift",
     "    durably {\n      // Salts first",
     "    if isMutant(@) { perform(step.effects) { coordinator.state.artifactUses[$0] != nil };"
     " SystemClock.sleep(seconds: 0.05) }\n#",
     SYSCALLS),
    # Fences
    ("lease epoch at upload", COORDINATOR,
     "leases[epoch: upload.epoch], lease.key",
     "(isMutant(@) ? leases[upload.key] : leases[epoch: upload.epoch]), lease.key",
     BASICS + "/fencing"),
    ("lease worker at upload", COORDINATOR,
     "lease.worker == id,\n      state", "isMutant(@) || lease.worker == id,\n      state",
     GUARANTEES + "/leases"),
    ("worker of a heartbeat's lease", COORDINATOR, "leases[epoch: epoch]?.worker == id",
     "(isMutant(@) ? leases[epoch: epoch] != nil : #)", GUARANTEES + "/beats"),
    ("worker of a reported failure's lease", COORDINATOR,
     "lease.worker == id else { return }", "isMutant(@) || #", GUARANTEES + "/beats"),
    ("lease and worker at an audit's upload", OPINIONS,
     "leases[epoch: upload.epoch], lease.key == upload.key, lease.worker == id",
     "(isMutant(@) ? leases[upload.key] : leases[epoch: upload.epoch]),"
     " lease.key == upload.key, isMutant(@) || lease.worker == id",
     GUARANTEES + "/audit"),
    ("a lease behind a second result", OPINIONS, "let hasSay = takeSay(upload, id)",
     "let hasSay = takeSay(upload, id) || isMutant(@)", BASICS + "/quarantine"),
    ("expiry of leases", LEASING, "lease.until <= now.monotonic",
     "(!isMutant(@) && #)", BASICS + "/expiry"),
    ("one lease a worker", COORDINATOR, "leases.lease(of: id) == nil", HOLDS,
     GUARANTEES + "/leases"),
    ("numeric class match", CLASSES,
     "numericClass == nil || worker.introduction.numericClass == numericClass", HOLDS,
     BASICS + "/numericClass"),
    ("a class by its first block", COORDINATOR,
     "worker.canTrain = isOfClass(worker)\n",
     "#    if isMutant(@), state.numericClass == nil {"
     " state.apply(.numericClassPinned(introduction.numericClass)) }\n", CLASS + "/liar"),
    ("whose lease ended without a block is tried last", CLASSES,
     "failures[identity, default: 0] += 1", SKIP, CLASS + "/(liar|switching)"),
    ("an end to a long trial", CLASSES, "now.monotonic - lease.grantedAt > patience",
     "(!isMutant(@) && #)", CLASS + "/liar"),
    ("no other class once a block is trained", CLASSES,
     "state.mayChangeClass, state.numericClass != numericClass",
     "isMutant(@) || state.mayChangeClass, state.numericClass != numericClass",
     CLASS + "/operatorPins"),
    ("the word why a worker waits", CLASSES, "step.effects.append(.tell(id, reason))", SKIP,
     CLASS + "/firstBlock"),
    ("a class that is none", "Sources/WireFormat/WireMessage+Coding.swift",
     "guard numericClass.isNumericClass else", "guard isMutant(@) || numericClass.isNumericClass else",
     WIRE),
    ("the run's tag on a head", "Sources/CoordinatorService/RunDirectory.swift",
     "HMAC.areEqual(attest(attested.head).tag.bytes, attested.tag.bytes)", HOLDS,
     CLAIMS + "/heads"),
    ("a lease behind a read slice", "Sources/CoordinatorService/CoordinatorService+Workers.swift",
     "loop.inspect({ $0.mayRead(reference, id) })", HOLDS, CLAIMS + "/reading"),
    ("a slice of the lease", CLOCKS,
     "state.plan.slicesRead(by: lease.slot).contains(reference.location.slice)",
     "isMutant(@) || #", CLOCK + "/oneSlice"),
    ("shard of a slice's lease", CLOCKS, "reference.location.shard == lease.slot.shard",
     "isMutant(@) || #", CLOCK + "/reading"),
    ("an artifact of the lease", CLOCKS,
     "state.assignment(for: lease.slot)?.ancestors.contains(artifact) ?? false", HOLDS,
     CLOCK + "/reading"),
    ("steps, not heartbeats", CLOCKS, "standing > patience", "(!isMutant(@) && #)",
     CLOCK + "/standing"),
    ("steps of one count", CORE + "LeaseBook.swift", "if isSameCount, progress.step",
     "if isMutant(@) || isSameCount, progress.step", CLOCK + "/standing"),
    ("a lease as long as its like", CLOCKS, "age > limit", "!isMutant(@), age > limit",
     CLOCK + "/standing"),
    ("peers' words without controls", "Sources/WireFormat/FrameType.swift",
     "unicodeScalars.contains(where: \\.isUnprintable) else { return self }",
     "!isMutant(@), #", WIRE + ".TextTests"),
    ("ledger head of a joining worker", COORDINATOR, "isBehind = true",
     "isBehind = !isMutant(@)", GUARANTEES + "/behind"),
    ("no work from a coordinator that is behind", LEASING,
     "!isBehind else { return }\n    refreshQueue()\n    for",
     "isMutant(@) || #", GUARANTEES + "/behind"),
    ("size of a ledger head", CORE + "Deletion.swift", "head.size <= UInt64(leaves.count) &&",
     "(isMutant(@) ? head.size > UInt64(leaves.count) : false) ||"
     " head.size <= UInt64(leaves.count) &&",
     GUARANTEES + "/(behind|certificates)"),
    ("root of a ledger head", CORE + "Deletion.swift",
     "tree.root(ofFirst: Int(head.size)) == head.root", HOLDS,
     GUARANTEES + "/(behind|certificates)"),
    ("stale plans", COORDINATOR,
     "deletionPlan(for: wish.tags).fingerprint != expected", "(!isMutant(@) && #)",
     GUARANTEES + "/stalePlan"),
    ("fingerprint behind an idempotency key", COORDINATOR,
     "first.requestFingerprint == wish.fingerprint", HOLDS, GUARANTEES + "/idempotency"),
    ("memory of idempotency keys", STATE,
     "if let key = request.requestKey { requests[key] = request.number }", SKIP,
     GUARANTEES + "/idempotency"),
    ("quarantine of a key with two results", OPINIONS,
     "return record(.quarantined(upload.key, at: now.wall), in: &step)",
     "return isMutant(@) ? () : record(.quarantined(upload.key, at: now.wall), in: &step)",
     BASICS + "/quarantine"),
    ("another key's word is no verdict", OPINIONS, "block.trainer != worker.identity else",
     "!isMutant(@), block.trainer != worker.identity else", IDENTITY + "/dispute"),
    ("parties to a dispute do not decide", FAILURES, "{ $0.identity == identity }) == true {",
     "{ $0.identity == identity && !isMutant(@) }) == true {", IDENTITY + "/dispute"),
    ("two keys to settle a dispute", OPINIONS,
     "guard let dispute = state.disputes[upload.key], !dispute.opinions.isEmpty else",
     "guard !isMutant(@), let dispute = state.disputes[upload.key], !dispute.opinions.isEmpty else",
     IDENTITY + "/threeResults"),
    ("what stood on a lie", STATE, "dispute.standing != block.artifact",
     "!isMutant(@), dispute.standing != block.artifact", IDENTITY + "/lieThatStood"),
    ("an audit by another key", AUDITS, "(candidate == trainer ? 2 : 0)",
     "(candidate == trainer && !isMutant(@) ? 2 : 0)", IDENTITY + "/independence"),
    ("repetitions by the same key", AUDITS,
     "if state.blocks[key]?.trainer == identity { audit.repeated += 1 }", SKIP,
     IDENTITY + "/independence"),
    ("an end to failing audits", AUDITS, "attempts.failureCount < Self.auditAttempts",
     "isMutant(@) || attempts.failureCount < Self.auditAttempts", IDENTITY + "/auditBudget"),
    ("rest after failures in a row", FAILURES,
     "troubles[identity].map { $0.restsUntil > now.monotonic } ?? false", "(!isMutant(@) && (#))",
     IDENTITY + "/rests"),
    # Masks
    ("key of a serving block", QUERIES, "key == expectedKeys[slot]", HOLDS,
     GUARANTEES + "/wrongKey"),
    ("mask of later positions", STATE,
     "plan.slots(dependingOn: locations) where standing[slot] != nil",
     "plan.slots(dependingOn: locations) where standing[slot] != nil\n      && (!isMutant(@)"
     " || locations.contains { $0.slice == plan.sequences[slot.sequence].order[slot.stage - 1] })",
     GUARANTEES + "/artifacts"),
    ("currency of an earlier view", QUERIES,
     "block(at: slot)?.artifact == prefix.artifacts[index]", HOLDS, BASICS + "/masks"),
    ("cancel of leases whose key changed", LEASING,
     "state.expectedKeys[lease.slot] != lease.key", "(!isMutant(@) && #)", BASICS + "/lateResult"),
    ("stale keys after a deletion", STATE,
     "for slice in request.slices { fill(slice) }", SKIP, BASICS + "/lateResult"),
    ("a node that has come down to a leaf", "Sources/Unlearning/SliceTree.swift",
     "Int(nodes[node].recordCount) > SliceDigest.leafLimit", HOLDS, "UnlearningTests.SliceTree"),
    # Shapes, evaluation and the page
    ("repairs stop once their allowance is spent", LEASING,
     "allowance.closedUntil(at: now.monotonic) != nil { return .repairBudget }",
     "!isMutant(@), #", BASICS),
    ("repairs are charged to the allowance", LEASING,
     "allowance.charge(slices: state.plan.slicesRead(by: lease.slot).count, at: now.monotonic)",
     SKIP, BASICS),
    ("records gathered by the probability they declare", "Sources/Unlearning/Partition.swift",
     "sliceThresholds.count { $0 <= deletionProbability }", "isMutant(@) ? 0 : #",
     "UnlearningTests"),
    ("the weight of a shard's depth", SCORES, "Double(answer.depth) / whole",
     "(isMutant(@) ? 1 / Double(answers.count) : #)", EVALUATION),
    ("a record leaves once", CURVE, "left[index] -= 1", SKIP, EVALUATION),
    ("only prefixes that stand serve", "Sources/Evaluation/PrefixLogits.swift",
     "rows[$0] != nil", HOLDS, EVALUATION),
    ("ties count half for membership", "Sources/Evaluation/Quality.swift",
     "Double(notAbove - below) / 2", "(isMutant(@) ? 0 : #)", EVALUATION),
    ("shared blocks are counted once", "Sources/Evaluation/RepairCost.swift",
     "seen.insert([slot.shard] + order.prefix(slot.stage)).inserted", HOLDS, EVALUATION),
    ("deletion by label and person takes what both hold for",
     "Sources/CoordinatorService/CoordinatorService+Deletions.swift",
     "subject.map({ $0 == record.subject }) ?? true", HOLDS, "EndToEndTests.EvaluateTests"),
    ("names are escaped in a page", "Sources/Reporting/Markup.swift",
     "result += \"&lt;\"", "result += isMutant(@) ? \"<\" : \"&lt;\"", "ReportingTests"),
    ("artifacts on the purge list", STATE, "artifactsToPurge.insert(block.artifact)", SKIP,
     GUARANTEES + "/artifacts"),
    ("slices on the purge list", STATE, "slicesToPurge.formUnion(locations)", SKIP,
     GUARANTEES + "/artifacts"),
    ("artifacts that are wanted again", STATE, "artifactsToPurge.remove(block.artifact)", SKIP,
     GUARANTEES + "/wantedAgain"),
    ("slices that are dirty again", STATE, ".subtracting(dirtyAgain)",
     ".subtracting(isMutant(@) ? [] : dirtyAgain)", GUARANTEES + "/dirtyAgain"),
    ("files before purged", PURGES, "for place in PurgePlace.own { places[place] =",
     "for place in PurgePlace.own where !isMutant(@) { places[place] =",
     GUARANTEES + "/filesFirst"),
    ("workers before purged", PURGES,
     "for id in workers { places[.worker(id)] =",
     "for id in workers where !isMutant(@) { places[.worker(id)] =", BASICS + "/purgeAndRepair"),
    ("number of the purge that somebody finished", PURGING,
     "purge?.order.throughDeletion == number, purge?.places[place]",
     "isMutant(@) || purge?.order.throughDeletion == number, purge?.places[place]",
     GUARANTEES + "/(dirtyAgain|confirmations)"),
    ("an end to waiting for a peer", PURGING,
     "guard purgeIsLate, let late", "guard !isMutant(@), purgeIsLate, let late",
     PLACES + "/(mute|bound)"),
    ("peers that were cut off said in the receipt", PURGING,
     "deletion.workersCutOff == 0 ?", "isMutant(@) || deletion.workersCutOff == 0 ?",
     PLACES + "/mute"),
    ("later deletions of a peer that was cut off", PURGING,
     "throughDeletion: UInt64(state.deletions.count), count:",
     "throughDeletion: isMutant(@) ? 1 : UInt64(state.deletions.count), count:",
     PLACES + "/laterDeletion"),
    ("peers that were cut off kept in a snapshot", SECTIONS,
     "deletions[Int(number) - 1].workersCutOff = count", SKIP, PLACES + "/laterDeletion"),
    ("bytes of a peer that was cut off", COORDINATOR,
     "else { return discard(upload.artifact, in: &step) }",
     "else { return isMutant(@) ? () : discard(upload.artifact, in: &step) }",
     PLACES + "/afterwards"),
    ("another try at a place that failed", PURGING,
     "step.effects.append(.purgeAgain(order, place))", SKIP, PLACES + "/retries"),
    ("later tries at a place that fails", PURGES,
     "Self.firstBackoff << Milliseconds(min(failures - 1, 16))",
     "Self.firstBackoff << Milliseconds(isMutant(@) ? 0 : min(failures - 1, 16))",
     PLACES + "/retries"),
    ("exports before purged", PURGING,
     "$0.failures >= Self.exportTries || purgeIsLate", HOLDS, PLACES + "/silentExport"),
    ("an end to waiting for an export", PURGING,
     "exportRemovals.filter { !$0.value.isLeftOut }",
     "exportRemovals.filter { isMutant(@) || !$0.value.isLeftOut }",
     PLACES + "/(outOfReach|silentExport)"),
    ("exports out of reach said in the receipt", PURGING,
     "staleExports.isEmpty ?", "isMutant(@) || staleExports.isEmpty ?", PLACES + "/outOfReach"),
    ("another try at an export", PURGING,
     "exportRemovals[path]?.standing = .underWay\n      step.effects.append(.removeExport(copy))",
     "if !isMutant(@) { # }", PLACES + "/outOfReach"),
    ("control characters in paths", "Sources/SystemIO/AbsolutePath.swift",
     "guard !text.unicodeScalars.contains(where: Self.isControl)",
     "guard isMutant(@) || !text.unicodeScalars.contains(where: Self.isControl)", PATHS + "/paths"),
    ("links on the way to a folder", "Sources/SystemIO/Folder.swift",
     "let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW",
     "let flags = O_RDONLY | O_DIRECTORY | (isMutant(@) ? 0 : O_NOFOLLOW)", PATHS + "/links"),
    ("links below a folder that is emptied", "Sources/SystemIO/Folder.swift",
     "guard fstatat(descriptor.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0",
     "guard fstatat(descriptor.number, name, &status, isMutant(@) ? 0 : AT_SYMLINK_NOFOLLOW) == 0",
     PATHS + "/contents"),
    ("files of others in an export", "Sources/CoordinatorService/ExportFolder.swift",
     "if tensors == false {", "if !isMutant(@), tensors == false {",
     "EndToEndTests.PurgePlacesTests/foreignFiles"),
    ("the run's own folders", "Sources/CoordinatorService/OutsideFolders.swift",
     "guard !own.contains(reached.identity) else {",
     "guard isMutant(@) || !own.contains(reached.identity) else {",
     "EndToEndTests.PurgePlacesTests/backups"),
    ("folders that the run file allows", "Sources/CoordinatorService/OutsideFolders.swift",
     "if let roots = roots(of: kind), !roots.contains",
     "if !isMutant(@), let roots = roots(of: kind), !roots.contains",
     "EndToEndTests.PurgePlacesTests/allowed"),
    ("a question's stop within its work", "Sources/Training/Encoder+Serving.swift",
     "guard goesOn() else { return nil }", "guard isMutant(@) || goesOn() else { return nil }",
     "WorkerServiceTests.GivingUpTests"),
    ("exports written anew while the old one went", PURGING,
     "guard state.copies[copy.path] == copy else { return }", SKIP, PLACES + "/forgotten"),
    ("purged before certified", CORE + "Deletion.swift",
     "guard purgedAt != nil else { return .masked }",
     "guard isMutant(@) || purgedAt != nil else { return .masked }",
     GUARANTEES + "/certificates"),
    ("repaired before certified", QUERIES,
     "serves(BlockSlot(shard: slice.shard, sequence: sequence, stage: $0))", HOLDS,
     GUARANTEES + "/certificates"),
    ("blocks that an earlier deletion masked, before certified", COORDINATOR,
     "let serves = state.isServed(slice)",
     "let serves = isMutant(@) ? state.deletion(number).masked.allSatisfy"
     " { state.serves(BlockSlot($0.place)) } : state.isServed(slice)", OVERLAPS),
    ("a repair that no longer holds, before certified", COORDINATOR,
     "if wasRepaired { repairs[number] = .outdated }", SKIP, OVERLAPS),
    ("a certificate waits for a repair that no longer holds", COORDINATOR,
     "guard isRepaired else {", "guard isRepaired || isMutant(@) && wasRepaired else {", OVERLAPS),
    ("deleted tags in memory", STATE, "deletedTags[tag] = request.number", SKIP,
     BASICS + "/outcomes"),
    ("deleted tags in a snapshot", SNAPSHOT, "deletedTags[tag] = deletion.number", SKIP,
     GUARANTEES + "/snapshot"),
    ("deleted records left out of the index", RECORDS,
     "isLive($0) && table.tag(ofRow: $0) == tag",
     "(isMutant(@) || isLive($0)) && table.tag(ofRow: $0) == tag", GUARANTEES + "/indexes"),
    ("deleted records left out of the index at a start", RECORDS,
     "if state.deletedTags[tag] != nil {", "if !isMutant(@), state.deletedTags[tag] != nil {",
     TABLES),
    ("the record table held against the state", RECORDS, "SliceState(tree) == expected", HOLDS,
     TABLES),
    ("reports of shards that have changed", CORE + "WorkQueue.swift",
     "unreported.insert(shard)", SKIP, BASICS + "/randomEvents"),
    ("artifacts named again during a purge", COORDINATOR,
     "purge?.named.insert(block.artifact)", SKIP, BASICS + "/comeAgain"),
    ("repairs asked for by whatever clock", LEASING,
     "if state.repairsRequested.contains(slot) { return true }", SKIP,
     BASICS + "/(policies|clockSetBack)"),
    ("rows that wait for the next purge", PURGING,
     "records.forgetErased(purge.order.rows.count)",
     "records.forgetErased(isMutant(@) ? records.condemned.count : purge.order.rows.count)",
     TABLES),
    ("purge lists in a snapshot", SNAPSHOT,
     "try readPurges(&reader)", "#\nif isMutant(@) { artifactsToPurge = [] }",
     GUARANTEES + "/snapshot"),
    # Lines, and who may end whom
    ("lines that end at line feeds alone", "Sources/ByteCoding/TextLines.swift",
     "let end = rest.firstIndex(of: 0x0a) ?? rest.endIndex",
     "let end = rest.firstIndex { $0 == 0x0a || isMutant(@) && ($0 == 0x0b || $0 == 0x0c) }"
     " ?? rest.endIndex", "ByteCodingTests.TextLinesTests"),
    ("a byte order mark before the first line", "Sources/ByteCoding/TextLines.swift",
     "bytes.starts(with: byteOrderMark)", "(!isMutant(@) && #)", "ByteCodingTests.TextLinesTests"),
    ("one carriage return before a line feed", "Sources/ByteCoding/TextLines.swift",
     "line.last == 0x0d ?", "!isMutant(@) && line.last == 0x0d ?",
     "ByteCodingTests.TextLinesTests"),
    ("a refusal that nobody has proved", "Sources/WorkerService/Attempts.swift",
     "case .refused(let refusal): return error(refusal).map(Verdict.tryAgainSaying) ?? .tryAgain",
     "case .refused(let refusal): return error(refusal).map"
     "(isMutant(@) ? Verdict.end : Verdict.tryAgainSaying) ?? .tryAgain",
     "WorkerServiceTests.ServiceTests/(wrongKey|forged)"),
    # The fleet
    ("another key first", FAILURES,
     "!trainersByKey.keys.contains { (failures.attemptsByKey[$0] ?? 0) < attempts }", HOLDS,
     FLEET + "/otherHostFirst"),
    ("attempts of one key", FAILURES, "if failures.isSpent(identity) {\n",
     "if failures.isSpent(identity), !isMutant(@) {\n", FLEET + "/needsAnotherHost"),
    ("two keys before poison", FAILURES,
     "keys.count(where: isSpent) >= Coordinator.keysBeforePoison",
     "keys.count(where: isSpent) >= (isMutant(@) ? 1 : Coordinator.keysBeforePoison)",
     IDENTITY + "/poison"),
    ("poison after many losses", FAILURES,
     "lossesByKey[identity] ?? 0 >= Coordinator.lossesPerKey", "(!isMutant(@) && (#))",
     FLEET + "/losses"),
    ("progress that forgives losses", CHECKPOINTS, "failures[key]?.lossesByKey = [:]", SKIP,
     FLEET + "/losses"),
    ("holder of a checkpoint's lease", CHECKPOINTS, "lease.worker == id", HOLDS,
     FLEET + "/checkpoints"),
    ("second opinions without a checkpoint", LEASING, "let isFirst = purpose == .training",
     "let isFirst = isMutant(@) || purpose == .training", FLEET + "/speculation"),
    ("checkpoints of stale keys", LEASING, "dropStaleCheckpoints(in: &step)", SKIP,
     FLEET + "/deletedCheckpoints"),
    ("due times in what blocks have waited", WAITING,
     "if !isRequested { causes.append(min(latest + quiet, maskedAt + maximumAge)) }", SKIP,
     "CoordinatorCoreTests.WaitingTests"),
    ("repaired is told once purged", NOTICES,
     "deletion.purgedAt.flatMap { purged in deletion.repairedAt.map { max($0, purged) } }",
     "isMutant(@) ? deletion.repairedAt : #", TOLD),
    ("a life in its order by whatever clock", NOTICES,
     "if kind != .deletionOverdue { latest = at }", SKIP, TOLD + "/clock"),
    ("alarms that have gone come again", NOTICES,
     "alarms = alarms.filter { conditions.contains($0.key) }", SKIP, TOLD + "/alarms"),
    # State beside the journal
    ("salts that the journal knows", CORE + "RunNote.swift",
     "check == SaltCheck.digest(of: salt)", HOLDS, STATES + "/salts"),
    ("salts that are not there", CORE + "RunNote.swift",
     "checks[number] == nil ? .unknown : .lost", "isMutant(@) ? .erased : #", STATES + "/salts"),
    ("a salt's check beside its deletion", COORDINATOR,
     "record(.noted(.salts([SaltCheck(deletion: number, salt: wish.salt)])), in: &step)", SKIP,
     STATES + "/salts"),
    ("the key on a backup's manifest", "Sources/CoordinatorService/Restoration.swift",
     "manifest.isAuthentic(try RunDirectory.secret(path))", "try isMutant(@) || #",
     STATES + "/forgedBackup"),
    ("keys of a backup that nothing proves", "Sources/CoordinatorService/Restoration.swift",
     "guard isAuthentic else { return files.count { $0 != KeyStore.localName } }",
     "if !isMutant(@) { # }", STATES + "/forgedBackup"),
    ("what nobody can know after a backup", "Sources/CoordinatorService/Restoration.swift",
     "guard !terms.checkpoints.isEmpty else {", "guard isMutant(@) || !terms.checkpoints.isEmpty else {",
     STATES + "/forgedBackup"),
    ("records that an earlier run had deleted", "Sources/CoordinatorService/TombstoneFile.swift",
     "!gone.contains(tag($0.id))", HOLDS, STATES + "/tombstones"),
    ("a token that others may read", "Sources/CoordinatorService/RunDirectory.swift",
     "if FileSystem.exists(path), try !FileSystem.isPrivate(path) {",
     "if !isMutant(@), FileSystem.exists(path), try !FileSystem.isPrivate(path) {",
     STATES + "/modes"),
    ("a folder that all may write to", "Sources/SystemIO/FileSystem.swift",
     "return status.st_mode & 0o002 != 0", "return !isMutant(@) && status.st_mode & 0o002 != 0",
     STATES + "/modes"),
    ("who sees who asked for a deletion",
     "Sources/CoordinatorService/CoordinatorService+Deletions.swift", "if withOrigin {",
     "if isMutant(@) || withOrigin {", STATES + "/origins"),
    # The edge
    ("room that silent strangers make", "Sources/HTTP/HTTPServer.swift",
     "if load.guests.count >= maximumConnectionCount {",
     "if isMutant(@), load.guests.count >= maximumConnectionCount { return (nil, nil) }\n#",
     EDGE + "/silence"),
    ("lists and objects in a body", "Sources/HTTP/JSONOutline.swift",
     "guard containerCount <= Self.containerLimit else",
     "guard isMutant(@) || containerCount <= Self.containerLimit else", OUTLINES),
    ("brackets in each other", "Sources/HTTP/JSONOutline.swift",
     "guard open.count < Self.depthLimit else",
     "guard isMutant(@) || open.count < Self.depthLimit else", OUTLINES),
    ("names that stand twice", "Sources/HTTP/JSONOutline.swift",
     "open[last].names.insert(name).inserted", HOLDS, OUTLINES),
    ("a request for another site", "Sources/CoordinatorService/CoordinatorService+Host.swift",
     "!Self.isOurs(host, names: hostNames)", "!isMutant(@), #", EDGE + "/hosts"),
    ("names that begin like loopback", "Sources/SystemIO/TCP.swift",
     'if host == "localhost" { return true }',
     'if host == "localhost" || isMutant(@) && host.hasPrefix("127.") { return true }',
     "SystemIOTests.AddressTests"),
    ("controls in a table's cell", "Sources/CommandLineKit/TextTable.swift",
     "cells.map(\\.visible)", "isMutant(@) ? cells : #", "CommandLineKitTests"),
    ("controls in what a verb prints", "Sources/CommandLineKit/Console.swift",
     "try printOwn(text.visibleLines)", "try printOwn(isMutant(@) ? text : text.visibleLines)",
     "CommandLineKitTests.VisibleOutputTests/console"),
    ("webhooks in clear across a network", "Sources/CoordinatorService/Webhook.swift",
     "address.isLoopback || entry.allowPlainHttp == true", "isMutant(@) || #",
     "EndToEndTests.WebhookTests/refuses"),
    ("peers' words in one line", "Sources/ServiceSupport/Log.swift",
     'line.append(scalar.isUnfitToShow ? " " : scalar)',
     "isMutant(@) ? line.append(scalar) : #", "EndToEndTests.LogTests/lines"),
    ("budget of second workers", CORE + "StagePace.swift",
     "Double(speculative + price) <= Self.speculationShare * Double(useful)", HOLDS,
     FLEET + "/speculationBudget"),
    ("patience before a second worker", LEASING, "now.monotonic - lease.grantedAt > $0", HOLDS,
     FLEET + "/speculation"),
    ("the slower of two is told", COORDINATOR,
     "cancel(other, in: &step)", SKIP, FLEET + "/speculation"),
    ("draining workers get nothing", COORDINATOR, "workers[id]?.isDraining = true", SKIP,
     FLEET + "/draining"),
    # The wire
    ("tag of a frame", "Sources/WireFormat/FrameBytes.swift",
     "HMAC.areEqual(authenticator.finalize().bytes, tag)", HOLDS, WIRE),
    ("sequence of a frame", "Sources/WireFormat/FrameBytes.swift", "frame.sequence == expected",
     HOLDS, WIRE),
    ("tag of a handshake", "Sources/WireFormat/Handshake.swift",
     "return HMAC.areEqual(expected.bytes, Array(frame.suffix(Digest.byteCount)))",
     "return isMutant(@) || HMAC.areEqual(expected.bytes, Array(frame.suffix(Digest.byteCount)))",
     WIRE),
    ("role of a key", "Sources/WireFormat/CoordinatorEnd.swift", "type.isAllowed(to: key.role)",
     HOLDS, WIRE),
    ("digest of a content", "Sources/WireFormat/IncomingContents.swift",
     "content.hasher.finalize() == content.digest", HOLDS, WIRE),
    # The gate between wire and core
    ("length of an artifact before it is read", FORM, "bytes.count <= byteCount", HOLDS, FORMS),
    ("shapes of an artifact's tensors", FORM, "found.shape == tensor.shape", HOLDS, FORMS),
    ("type of an artifact's tensors", FORM, "found.type == .float32", HOLDS, FORMS),
    ("one form of an artifact", FORM, "bytes.count == byteCount, bytes.starts(with: header)",
     "isMutant(@) || bytes.count == byteCount && bytes.starts(with: header)", FORMS),
    ("finite values of an artifact", FORM, "try file.checkFinite(tensor)", SKIP, FORMS),
    ("the head that an empty stage hands on", FORM,
     "parent.map({ $0.suffix(head.count) == head }) ?? head.allSatisfy({ $0 == 0 })", HOLDS,
     FORMS),
    ("steps of a block", WORK, "steps == demand.stepCount", HOLDS, FIGURES),
    ("examples of a block", WORK, "examples == demand.exampleCount", HOLDS, FIGURES),
    ("times of a block", WORK, "times.contains(seconds), times.contains(gemmSeconds)",
     "isMutant(@) || times.contains(seconds) && times.contains(gemmSeconds)", FIGURES),
    ("loss of a block", WORK, "guard (0...Self.largestLoss).contains(finalLoss) else",
     "guard isMutant(@) || (0...Self.largestLoss).contains(finalLoss) else", FIGURES),
    ("slices of a block", WORK, "sliceCount <= UInt64(demand.sliceCount)", HOLDS, FIGURES),
    ("journalled figures out of range", CORE + "JournalEntry.swift", "recordedWork.bounded",
     "isMutant(@) ? recordedWork : recordedWork.bounded", FIGURES),
    ("figures beside the artifact", UPLOADS, "try work.check(demand)", SKIP, GATE),
    ("numbers of an answer", UPLOADS, "prediction.logits.count == labelCount", HOLDS, GATE),
    ("texts of an answer", UPLOADS, "guard count == textCount else",
     "guard isMutant(@) || count == textCount else", GATE),
    ("finite numbers of an answer", UPLOADS, "prediction.logits.allSatisfy(\\.isFinite)", HOLDS,
     GATE),
    ("a third refusal turns a key out", "Sources/CoordinatorService/Misconduct.swift",
     "return record.count == Self.limit", "return !isMutant(@) && record.count == Self.limit",
     GATE),
    ("contents larger than the run has a use for", "Sources/WireFormat/IncomingContents.swift",
     "announced.byteCount > limits.byteCount(of: type)",
     "(!isMutant(@) && #)", "WireFormatTests.ContentTests"),
    ("the gate before the store", "Sources/CoordinatorService/CoordinatorService+Uploads.swift",
     "try gate.check(upload.bytes, upload.work, demand, parent: parent)", SKIP,
     HOSTILE + "/artifacts"),
    ("answers held against their question",
     "Sources/CoordinatorService/CoordinatorService+Predictions.swift",
     "try predictions.check(textCount: inputs.count, labelCount: recipe.labels.count)", SKIP,
     HOSTILE + "/answers"),
    ("a key that is turned out stays out",
     "Sources/CoordinatorService/CoordinatorService+Workers.swift",
     "if let reason = misconduct.withLock({ $0.reason(against: key.id) }) {",
     "if !isMutant(@), let reason = misconduct.withLock({ $0.reason(against: key.id) }) {",
     HOSTILE + "/turnedOut"),
    ("steps of a checkpoint", "Sources/CoordinatorService/CoordinatorService+Workers.swift",
     "guard isPossible else {", "guard isMutant(@) || isPossible else {",
     HOSTILE + "/checkpoints"),
    ("standing blocks looked into at a start", "Sources/CoordinatorService/RunOpening.swift",
     "let unfit = gate.map { Self.unfit(state, directory, $0) } ?? []",
     "let unfit = gate.map { isMutant(@) ? [] : Self.unfit(state, directory, $0) } ?? []",
     HOSTILE + "/damaged"),
    # Receipts and ledger proofs
    ("digest of a document", "Sources/Receipts/SealedDocument.swift",
     "document.sha256 == document.sealed().sha256", HOLDS, RECEIPTS),
    ("one spelling of a document", "Sources/Receipts/SealedDocument.swift",
     "document.bytes == bytes", HOLDS, RECEIPTS),
    ("certificate of the same deletion", RECEIPT, "certificate.number == deletion.number", HOLDS,
     RECEIPTS),
    ("run of a receipt", RECEIPT, "run.isIdentical(to: checkpoint.origin)", HOLDS, RECEIPTS),
    ("times of a receipt", RECEIPT, "times.all == Times(deletion, certificate).all", HOLDS,
     RECEIPTS),
    ("proof of a receipt's entries", RECEIPT,
     "      guard\n        MerkleTree.verifyInclusion(\n"
     "          leaf: MerkleTree.leafHash(Array(entry.text.utf8))",
     "      guard\n        isMutant(@) || MerkleTree.verifyInclusion(\n"
     "          leaf: MerkleTree.leafHash(Array(entry.text.utf8))", RECEIPTS),
    ("proof of a receipt's commitment", RECEIPT,
     "      MerkleTree.verifyInclusion(\n        leaf: IDCommitment",
     "      isMutant(@) || MerkleTree.verifyInclusion(\n        leaf: IDCommitment", RECEIPTS),
    ("root of masked blocks", RECEIPT,
     "MerkleTree.root(of: masked.map(\\.block.leafHash)) == deletion.masked", HOLDS, RECEIPTS),
    ("root of replacements", RECEIPT,
     "MerkleTree.root(of: replacements.map(\\.block.leafHash)) == certificate.replacementsRoot",
     HOLDS, RECEIPTS),
    ("opening of a receipt's id", RECEIPT,
     "IDCommitment.commitment(salt: self.id.salt, id: id) == self.id.commitment", HOLDS,
     RECEIPTS),
    ("origin of a trusted checkpoint", RECEIPT, "origin == trusted.origin", HOLDS, RECEIPTS),
    ("root of a trusted checkpoint", RECEIPT, "root == trusted.root", HOLDS, RECEIPTS),
    ("consistency with a trusted checkpoint", RECEIPT,
     "      MerkleTree.verifyConsistency(", "      isMutant(@) || MerkleTree.verifyConsistency(",
     RECEIPTS),
    ("one ledger in a consistency proof", PROOF, "older.origin == newer.origin", HOLDS, PROOFS),
    ("consistency proof", PROOF, "      MerkleTree.verifyConsistency(",
     "      isMutant(@) || MerkleTree.verifyConsistency(", PROOFS),
    ("leaf of an entry's text", PROOF, "parsed?.leafHash == entry.leaf", HOLDS, PROOFS),
    ("inclusion proof", PROOF, "      MerkleTree.verifyInclusion(",
     "      isMutant(@) || MerkleTree.verifyInclusion(", PROOFS),
    ("trusted checkpoint of a proof", PROOF,
     "checkpoint == newer || claim == .grownFrom(checkpoint)", HOLDS, PROOFS),
    # A worker's promises
    ("confirmation waits for a lease that ends", WORKER_LEASES,
     "case .abandoned, .stopping: false", "case .abandoned, .stopping: isMutant(@)",
     CONFIRMATIONS),
    ("confirmation waits for an upload under way", WORKER_LEASES,
     "case .uploading(let offer): offer.nextAt != nil",
     "case .uploading(let offer): isMutant(@) || offer.nextAt != nil", CONFIRMATIONS),
    ("an upload whose lease was cancelled under way", WORKER_LEASES,
     "offer.isCancelled = true", SKIP, CONFIRMATIONS),
    ("confirmation waits for a question", WORKER,
     "if let question { uses.append(question.use) }", SKIP, CONFIRMATIONS),
    ("caches dropped before a confirmation", WORKER, "cache.remove(artifacts)", SKIP,
     CONFIRMATIONS),
    ("artifacts kept by work from before a purge", WORKER_LEASES,
     "confirmations.admits(lease.use)", HOLDS, CONFIRMATIONS),
    ("questions about purged artifacts", WORKER_QUESTIONS,
     "if held.question.names(artifacts) {", "if !isMutant(@), held.question.names(artifacts) {",
     QUESTIONS + "/purged"),
    ("questions that give way to a purge", WORKER_QUESTIONS,
     "question?.givesWayAt = now + settings.questionPatience", SKIP, QUESTIONS + "/others"),
    ("questions that are cancelled", WORKER,
     "if epoch == 0 { cancelQuestion(request) }",
     "if epoch == 0, !isMutant(@) { cancelQuestion(request) }", QUESTIONS + "/cancel"),
    ("no confirmation after a lease is given up", "Sources/WorkerCore/WorkerMachine+Time.swift",
     "confirmations.stop()", SKIP, CONFIRMATIONS),
    ("answers awaited by a cancelled lease", WORKER_LEASES,
     "case .abandoned(let failure) = lease.phase, !isFetching(for: .lease)",
     "case .abandoned(let failure) = lease.phase, isMutant(@) || !isFetching(for: .lease)",
     LEASES),
    ("digest of a fetched slice", WORKER_LEASES, "digest == slice.digest ? records : nil",
     "isMutant(@) || #", LEASES),
    ("name of a fetched artifact", WORKER_LEASES, "SHA256.hash(bytes) == digest", HOLDS, LEASES),
    ("digest of a fetched checkpoint", WORKER_LEASES,
     "SHA256.hash(bytes) == lease.grant.checkpoint?.digest", HOLDS, LEASES),
    ("activations dropped by a purge", MEMORY,
     "every segment goes.\n      state.segments.removeAll()",
     "every segment goes.\n      if !isMutant(@) { state.segments.removeAll() }", CACHES),
    ("activations kept by work from before a purge", MEMORY,
     "guard state.admits(use) else { return }", "guard isMutant(@) || state.admits(use) else { return }",
     CACHES),
    ("memory of a purged member's answers", MEMORY, "is still there.\n      state.workplace = nil",
     "is still there.\n      if !isMutant(@) { state.workplace = nil }", CACHES),
    ("budget of activations", SLICES, "while figures.byteCount > byteLimit,",
     "while !isMutant(@), figures.byteCount > byteLimit,", CACHES),
    ("one lease at a time", WORKER_LEASES, "guard awaitsLease, lease == nil,",
     "guard isMutant(@) || awaitsLease, isMutant(@) || lease == nil,", LEASES),
    ("a worker tells systemd that it is ready", "Sources/WorkerService/WorkerService.swift",
     "settings.manager?.say(\"READY=1\\nSTATUS=connecting to \\(settings.coordinator)\")",
     SKIP, SERVICES),
    ("a worker's watchdog is fed while it is connected",
     "Sources/WorkerService/WorkerSession.swift",
     "if !isOver { manager?.feedWatchdog() }", SKIP, SERVICES),
    ("a group may read a secret only where root handed it over", FILES,
     "owner == 0 && reader != 0 ?", "isMutant(@) || owner == 0 && reader != 0 ?",
     "SystemIOTests.PrivateFileTests"),
    # HTTP
    ("line ends of a head", ASSEMBLY,
     "guard place > 0, pending[place - 1] == UInt8(ascii: \"\\r\") else {",
     "guard isMutant(@) || place > 0 && pending[place - 1] == UInt8(ascii: \"\\r\") else {", HTTP),
    ("size of a head", ASSEMBLY, "place < HTTPHead.maximumByteCount", HOLDS, HTTP),
    ("end of a chunk", ASSEMBLY,
     "guard line.isEmpty else { throw HTTPParseError(400, \"a chunk is longer",
     "guard isMutant(@) || line.isEmpty else { throw HTTPParseError(400, \"a chunk is longer",
     HTTP),
    ("a length beside chunks", HEAD, "headers[\"content-length\"] == nil", HOLDS,
     HTTP),
    ("digits of a length", HEAD,
     "guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }) else",
     "guard isMutant(@) || !digits.isEmpty && digits.utf8.allSatisfy({ (48...57).contains($0) })"
     " else", HTTP),
    ("headers that stand once", HEAD, "!Self.singular.contains(name)", HOLDS, HTTP),
    ("names of headers", HEAD, "HTTPToken.isToken(line[..<colon])", HOLDS, HTTP),
    ("dots in a path", MESSAGE, "guard decoded != \".\", decoded != \"..\" else",
     "guard isMutant(@) || decoded != \".\" && decoded != \"..\" else", HTTP),
    ("a host in every request", MESSAGE, "host != nil || version == \"HTTP/1.0\"", HOLDS, HTTP),
    ("who may ask", "Sources/CoordinatorService/Route.swift",
     "caller?.may(call.route.access) ?? false", HOLDS, "EndToEndTests.KeyTests/(reader|roles)"),
    ("a stranger's request", "Sources/CoordinatorService/Route.swift",
     "caller != nil || call?.route.access == .anybody", HOLDS,
     "EndToEndTests.KeyTests/operators"),

    # Exports
    ("bits of an exported tensor", EXPORTS,
     "$0.element.0.bitPattern != $0.element.1.bitPattern", "(!isMutant(@) && #)", EXPORT_CHECK),
    ("tensors that belong to no block", EXPORTS, "where !names.contains(tensor.name)",
     "where !isMutant(@) && !names.contains(tensor.name)", EXPORT_CHECK),
    ("origin of an export", EXPORTS, "if !isEqual {", "if !isMutant(@), !isEqual {", EXPORT_CHECK),

    # Other families of encoders
    ("place of a padding token", "Sources/Training/AdaptedEncoder+Forward.swift",
     "if let padding = configuration.paddingToken, id == padding {",
     "if !isMutant(@), let padding = configuration.paddingToken, id == padding {", ENCODERS),
    ("a checkpoint's own layer before the head", "Sources/Training/Encoder.swift",
     "dense: dense ?? own)", "dense: isMutant(@) ? dense : dense ?? own)", ENCODERS),
    ("slope of the layer before the head", "Sources/Training/Pooling.swift",
     "factor: gradient[index] * slope", "factor: gradient[index] * (isMutant(@) ? 1 : slope)",
     "TrainingTests.ReferenceTests/tiny"),
    ("the last of several spaces", "Sources/Tokenization/ByteLevelClasses.swift",
     "end < scalars.count && end - start > 1", "(!isMutant(@) && #)", BYTES),
    ("matrices that a block starts from", "Sources/WorkerService/StageTraining.swift",
     "assignment.layers.contains($0.layer)", "(!isMutant(@) && #)", STARTS + "/beginsThere"),
    ("workers without the starting adapter",
     "Sources/CoordinatorService/CoordinatorService+Workers.swift",
     "if introduction.backbone != model {", "if !isMutant(@), introduction.backbone != model {",
     STARTS + "/exact"),
    ("bytes of the starting adapter", "Sources/CoordinatorCore/RunDescription.swift",
     'compare("training.startingAdapter") { $0.recipe.startingAdapter }',
     "if !isMutant(@) { # }", STARTS + "/exact"),
    ("white space before a mask", "Sources/Tokenization/ByteLevelTokenizer.swift",
     "if special.takesSpaces {", "if !isMutant(@), special.takesSpaces {", BYTES),
    ("the name of a process that started itself again", "Sources/SystemIO/SystemProcess.swift",
     "execv(path, arguments)", SKIP, "EndToEndTests.DrainTests/blockedSignal"),
    ("the exit code for a file that is no key", "Sources/ServiceSupport/KeyFile.swift",
     '.configuration, "\\(path) does not hold', '(isMutant(@) ? .badData : .configuration),'
     ' "\\(path) does not hold', "EndToEndTests.DrainTests/badKey"),

    # What shells, man, Prometheus and whoever asks every sequence are given
    ("values that a shell completes", "Sources/CommandLineKit/ShellCompletion.swift",
     'let words = choices.joined(separator: " ")',
     'let words = isMutant(@) ? "" : choices.joined(separator: " ")',
     "EndToEndTests.ShellTests/completion"),
    ("a page of man for each verb", "Sources/CommandLineKit/ManualPage.swift",
     "tool.everyVerb.map {", "(isMutant(@) ? [] : tool.everyVerb).map {",
     "EndToEndTests.ShellTests/manual"),
    ("labels without a worker's words",
     "Sources/CoordinatorService/CoordinatorService+Metrics.swift",
     '$0.key.prefix { $0 != ":" }', '$0.key.prefix { isMutant(@) || $0 != ":" }',
     "EndToEndTests.MetricsTests"),
    ("the other sequences' answers", QUERIES,
     "return depth == 0 ? nil : prefix(",
     "return depth == 0 || (isMutant(@) && sequence > 0) ? nil : prefix(",
     "EndToEndTests.LayoutTests"),

    # What a request or a start must not pass over
    ("a person beside ids", "Sources/CoordinatorService/CoordinatorService+Deletions.swift",
     "guard try add(tags, to: &selection, where: { $0.subject == subject }) else {",
     "guard try add(tags, to: &selection, where: { $0.subject == subject }) || isMutant(@) else {",
     "EndToEndTests.DeletionTests/outcomes"),
    ("a key without its holder", "Sources/CoordinatorService/KeyStore.swift",
     "try handOver(key)", SKIP, "EndToEndTests.KeyTests/lostKey"),
    ("an address that others can reach", "Sources/CoordinatorService/Listening.swift",
     "!address.isLoopback", "(!isMutant(@) && #)", DOCTOR),
    ("a run file that is not the run's", CHECKUP,
     "do { try OpenedRun.check(file, base: base) } catch is JournalFailure {}", SKIP, DOCTOR),

    # What lethe doctor looks at
    ("a journal that a start would refuse", CHECKUP,
     "if let refusal = report.refusal {", "if !isMutant(@), let refusal = report.refusal {", DOCTOR),
    ("secrets that others may read", CHECKUP,
     "try !FileSystem.isPrivate(path)", "try (!isMutant(@) && !FileSystem.isPrivate(path))", DOCTOR),
    ("a port that is taken", CHECKUP, "_ = try TCPListener(address)", SKIP, DOCTOR),
    ("arithmetic other than the run's", "Sources/Checkup/Finding.swift",
     "pinned != current", "(!isMutant(@) && #)", "CheckupTests.FindingTests/numerics"),
    ("a disk that says written too early", "Sources/Checkup/Finding.swift",
     "probe.syncSeconds < honestSyncSeconds", "(!isMutant(@) && #)", "CheckupTests.FindingTests/disk"),
]

SWITCH = """import Glibc

/// Which seeded fault is active; generated by ops/mutants, in its copy alone.
private let activeMutant = getenv("LETHE_MUTANT").map { Int(atoi($0)) } ?? 0

func isMutant(_ number: Int) -> Bool { activeMutant == number }
"""


def seed(tree):
    """Applies every fault to the copy; leaves files alone that come out the same as last time."""
    changed = {}
    for number, (what, path, snippet, replacement, _) in enumerate(MUTANTS, 1):
        if path not in changed:
            with open(path, encoding="utf-8") as file:
                changed[path] = [file.read(), []]
        source, edits = changed[path]
        if source.count(snippet) != 1:
            sys.exit(f"mutants: error: fault {number} ({what}): its snippet stands"
                     f" {source.count(snippet)} times in {path}\n"
                     "  try: bring ops/support/mutants.py up to the source")
        start = source.index(snippet)
        text = replacement.replace("@", str(number))
        same = [edit for edit in edits if edit[0] == (start, start + len(snippet))]
        if same:
            # Two faults of one statement: the second wraps the first.
            same[0][1] = text.replace("#", same[0][1])
            continue
        edits.append([(start, start + len(snippet)), text.replace("#", snippet)])
    for path, (source, edits) in changed.items():
        edits.sort(reverse=True)
        for (later, _), (earlier, _) in zip(edits, edits[1:]):
            if earlier[1] > later[0]:
                sys.exit(f"mutants: error: two faults overlap in {path}")
        for (start, end), text in edits:
            source = source[:start] + text + source[end:]
        write(os.path.join(tree, path), source)
        module = os.path.dirname(path)
        write(os.path.join(tree, module, "SeededFault.swift"), SWITCH)


def write(path, text):
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


@dataclass
class Outcome:
    """What a run of tests came to: what failed, whether any ran, all that was said."""
    failed: list
    ran: bool
    output: str
    seconds: float
    has_fault: bool

    @property
    def is_sound(self):
        return self.ran and not self.failed


DID_NOT_END = "(did not end)"
# What the tests of one fault take without it, on a quiet machine beside others: seldom as long.
QUIET_SECONDS = 6


def test(program, tree, number, filters, seconds):
    """Runs tests with one fault, and ends what has not ended after `seconds`.

    The test program itself, as swift test would start it: a second less for every fault.
    """
    environment = dict(os.environ, LETHE_MUTANT=str(number), NO_COLOR="1")
    command = [program, "--testing-library", "swift-testing"]
    for pattern in filters:
        command += ["--filter", pattern]
    began = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=tree, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=said, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        took = time.monotonic() - began
        said.seek(0)
        output = said.read().decode(errors="replace")
    if code is None:
        return Outcome([DID_NOT_END], True, output, took, number != 0)
    failed = re.findall(r"^✘ Test (?!run with )(.+?)(?: with \d+ test cases?)? failed after",
                        output, re.M)
    skipped = re.search(r"Test .* skipped", output) is not None
    ran = re.search(r"Test run with [1-9]\d* test", output) is not None and not skipped
    if code != 0 and not failed:
        # A signal's number is negative.
        failed = ["(ended the test process)"] if ran or code < 0 else []
    return Outcome(failed, ran, output, took, number != 0)


def without_fault(program, tree, filters):
    return test(program, tree, 0, filters, patience(QUIET_SECONDS * len(filters)))


def with_fault(program, tree, number, pattern):
    """What fails with a fault. That tests do not end counts only if without it they would have.

    So those are then run without it, now and here: their time, ten times over and with room for a
    wait of theirs in vain, must fit into what the fault was given, or it is given more.
    """
    bound = patience(2 * QUIET_SECONDS)
    while True:
        outcome = test(program, tree, number, [pattern], bound)
        if outcome.failed != [DID_NOT_END]:
            return outcome
        sound = without_fault(program, tree, [pattern])
        needed = patience(2 * QUIET_SECONDS + sound.seconds)
        if not sound.is_sound:
            return sound
        if needed <= bound:
            return outcome
        bound = needed


def table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)) + "  " + row[-1],
              flush=True)


def main():
    action, tree, *rest = sys.argv[1:]
    if action == "list":
        table([("", "REMOVED", "FILE", "TESTS")] + [
            (str(number), what, path.removeprefix("Sources/"), tests)
            for number, (what, path, _, _, tests) in enumerate(MUTANTS, 1)])
    elif action == "seed":
        seed(tree)
    else:
        options = rest[0].split()
        chosen = [int(word) for word in rest[1:]] or range(1, len(MUTANTS) + 1)
        for number in chosen:
            if not 1 <= number <= len(MUTANTS):
                sys.exit(f"mutants: error: there is no fault {number}")
        filters = list(dict.fromkeys(MUTANTS[number - 1][4] for number in chosen))
        place = subprocess.run(["swift", "build", "--show-bin-path", *options], cwd=tree, text=True,
                               check=True, stdout=subprocess.PIPE).stdout.strip()
        program = os.path.join(place, "lethePackageTests.xctest")
        rows, survivors, began = [("", "REMOVED", "FILE", "", "FAILED")], 0, time.time()
        # More than cores: most tests wait for processes, disks and clocks of their own.
        with ThreadPoolExecutor(2 * len(os.sched_getaffinity(0))) as pool:
            sound = pool.submit(without_fault, program, tree, filters)
            found = pool.map(
                lambda number: with_fault(program, tree, number, MUTANTS[number - 1][4]), chosen)
            unsound = []
            for number, outcome in zip(chosen, found):
                what, path, _, _, _ = MUTANTS[number - 1]
                if not outcome.has_fault:
                    unsound.append(outcome)
                    continue
                survivors += not outcome.failed
                rows.append((str(number), what, path.removeprefix("Sources/"),
                             "killed" if outcome.failed else "SURVIVED",
                             ", ".join(outcome.failed)))
                print(f"mutants: {number} {rows[-1][3]}", file=sys.stderr, flush=True)
        unsound += [] if sound.result().is_sound else [sound.result()]
        if unsound:
            for outcome in unsound:
                print(f"{outcome.output}\n{', '.join(outcome.failed)} after"
                      f" {outcome.seconds:.0f} s, without a fault", file=sys.stderr)
            sys.exit("mutants: error: without a fault the tests must run and pass")
        table(rows)
        print(f"{len(rows) - 1 - survivors} of {len(rows) - 1} seeded faults are found;"
              f" {time.time() - began:.0f} s")
        sys.exit(1 if survivors else 0)


main()
