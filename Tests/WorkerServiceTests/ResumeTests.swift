import CoordinatorCore
import Hashing
import Testing
import Training
import Unlearning
import WorkerService

@Suite("Resuming a stage") struct ResumeTests {
  private struct Stop: Error {}

  @Test("goes on at every step, after every step, to the bits of an unbroken run")
  func everyStep() throws {
    let whole = try Stage.train(epochs: 4)
    #expect(whole.work.steps == 8 && whole.work.examples == 20)
    // A worker a step: each takes one and hands over.
    var checkpoint: [UInt8]?
    for step in 0..<8 {
      if let checkpoint {
        let resumed = try Stage.train(epochs: 4, from: checkpoint)
        #expect(resumed.firstStep == step)
        #expect(resumed.artifact == whole.artifact)
        #expect(resumed.work.steps == 8 && resumed.work.examples == 20)
        #expect(resumed.work.finalLoss == whole.work.finalLoss)
      }
      #expect(throws: Stop.self) {
        _ = try Stage.training(epochs: 4).train(
          Stage.task(checkpoint: checkpoint), for: RecordMemory().begin(), beforeSlice: {},
          onStep: { progress, take in
            #expect(progress.step == step)
            checkpoint = take()
            throw Stop()
          })
      }
    }
    let last = try Stage.train(epochs: 4, from: checkpoint)
    #expect(last.firstStep == nil && last.artifact == whole.artifact, "nothing was left to do")
  }

  @Test("starts afresh from what cannot be the stage's checkpoint")
  func afresh() throws {
    var states: [[UInt8]] = []
    let (artifact, _) = try Stage.training(epochs: 2).train(
      Stage.task(), for: RecordMemory().begin(), beforeSlice: {},
      onStep: { _, take in states.append(take()) })
    let state = states[1]
    let read = try TrainingCheckpoint(encoded: state, for: Stage.assignment.key)
    var otherSize = read
    otherSize.parameters.removeLast()
    otherSize.firstMoments.removeLast()
    otherSize.secondMoments.removeLast()
    let rows: [([UInt8], String)] = [
      (Array(state.dropLast()), "cut"), ([], "empty"), (state + [0], "longer"),
      (read.encoded(for: BlockKey(SHA256.hash([2]))), "of another block"),
      (otherSize.encoded(for: Stage.assignment.key), "of another shape"),
    ]
    for (bytes, because) in rows {
      let fresh = try Stage.train(epochs: 2, from: bytes)
      #expect(fresh.firstStep == 0 && fresh.artifact == artifact, "\(because)")
    }
    let shorter = try Stage.train(epochs: 1, from: states[3])
    #expect(shorter.firstStep == 0, "it has made more steps than the stage has")
  }

  @Test("takes no memory for layers that the backbone does not have")
  func hostileLayers() throws {
    let assignment = BlockAssignment(
      slot: Stage.assignment.slot, key: Stage.assignment.key, layers: 0..<Int(UInt32.max), seed: 1,
      ancestors: [], slices: Stage.assignment.slices)
    #expect(throws: TrainingError.self) {
      _ = try Stage.training(epochs: 1).train(
        Stage.task(assignment: assignment), for: RecordMemory().begin(), beforeSlice: {},
        onStep: { _, _ in })
    }
  }
}
