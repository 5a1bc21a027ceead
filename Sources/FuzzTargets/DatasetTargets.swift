import Datasets
import Unlearning

private let labels = ["animal", "plant", "food"]

func jsonLinesSeeds() -> [[UInt8]] {
  let lines = sampleRecords.map { jsonLine($0) } + [jsonLine(sampleRecords[0], split: .test)]
  let others = """
    {"id": 7, "label": "food", "text": "x", "more": [1, {"a": null}], "deletionProbability": 1e-3}\r
    {"text_pair":null,"id":"\\u00e9\\ud83d\\ude00","label":"plnt","text":"y"}
    """
  return [lines[0], Array(lines[..<3].joined()), lines[3], Array(others.utf8)]
}

func runJSONLines(_ bytes: [UInt8]) { runDataset(bytes, .jsonLines) }

func csvSeeds() -> [[UInt8]] {
  [
    "id,text,label\n1,a bird,animal\n2,\"a \"\"tree\"\",\nor two\",plant\r\n",
    "label,more,id,text,text_pair,subject,deletionProbability,split\n"
      + "food,,x,y,z,s,0.5,test\nfood,1,w,y,,,,train",
  ].map { Array($0.utf8) }
}

func runCSV(_ bytes: [UInt8]) { runDataset(bytes, .csv) }

/// Whatever was read is read again from the lines that are written of it.
private func runDataset(_ bytes: [UInt8], _ format: DatasetFormat) {
  let strict = DatasetReader(labels: .classes(labels))
  let lenient = DatasetReader(labels: .any, skipsInvalid: true)
  let first: DatasetContents?
  do {
    first = try strict.read(bytes, format)
  } catch {
    demand(!error.sentences.isEmpty, "an error that says nothing")
    first = nil
  }
  let contents = try? lenient.read(bytes, format)
  for problem in contents?.skipped ?? [] { _ = problem.sentence }
  if first != nil {
    // Labels a reader knows need not be spelt in the bytes it was given.
    demand(contents?.training.count == first?.training.count, "a reader that skips valid lines")
  }
  guard let contents else { return }
  var lines = contents.training.flatMap { jsonLine($0) }
  for item in contents.evaluation { lines += jsonLine(item.record, split: item.split) }
  let again = try? DatasetReader(labels: .any).read(lines, .jsonLines)
  demand(again?.training == contents.training, "training records that are read otherwise")
  demand(again?.evaluation == contents.evaluation, "evaluation records that are read otherwise")
}
