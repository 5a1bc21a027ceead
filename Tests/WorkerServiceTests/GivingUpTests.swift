import CoordinatorCore
import Hashing
import Testing
import Unlearning
import WireFormat
import WorkerCore
import WorkerService

@Suite("Answers that are given up") struct GivingUpTests {
  @Test("a question is asked about before every shard's work on some texts, and ends with a no")
  func givesUp() throws {
    let chain = try CacheTests.Chain(byteLimit: 0)
    let artifacts = try chain.train()
    let view = (0..<3).map { shard in
      ServedPrefix(
        shard: shard, sequence: 0,
        artifacts: artifacts.prefix(shard + 1).map { SHA256.hash($0) })
    }
    let inputs = (0..<600).map { PredictionInput(text: "the small dog ran far away \($0)") }
    let task = AnswerTask(
      request: 1, view: view, inputs: inputs, aggregation: .meanLogits,
      artifacts: Dictionary(
        artifacts.map { (SHA256.hash($0), $0) }, uniquingKeysWith: { first, _ in first }))
    let ensemble = Ensemble(
      model: try LoadedModel(folder: Stage.backbone), recipe: Stage.recipe(epochs: 3),
      memory: chain.memory)
    var asked = 0
    let whole = try ensemble.answer(task, for: chain.memory.begin()) {
      asked += 1
      return true
    }
    #expect(whole?.count == inputs.count)
    // Several times for every shard: no single piece of work is the whole question.
    #expect(asked > 2 * view.count + view.count, "\(asked)")
    for last in [0, 1, view.count, asked - 1] {
      var count = 0
      let given = try ensemble.answer(task, for: chain.memory.begin()) {
        count += 1
        return count <= last
      }
      #expect(given == nil && count == last + 1)
    }
  }
}
