import CoordinatorAPI
import Foundation
import HTTP
import Hashing

func httpRequestSeeds() -> [[UInt8]] {
  [
    "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer 12\r\n\r\n",
    "POST /v1/deletions HTTP/1.1\r\nContent-Length: 13\r\nIdempotency-Key: k\r\n\r\n"
      + "{\"ids\":[\"a\"]}",
    "GET /v1/lineage/records?id=%C3%A9&at=12&x HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "GET //a/%2e%2E/b? HTTP/1.0\r\nA:\tb\r\n\r\n",
  ].map { Array($0.utf8) }
}

func runHTTPRequest(_ bytes: [UInt8]) {
  let whole = outcome(bytes, chunkByteCount: .max)
  for size in [1, 7] {
    demand(outcome(bytes, chunkByteCount: size) == whole, "a request that its cuts change")
  }
}

/// What became of a request, so that two readings can be compared.
private func outcome(_ bytes: [UInt8], chunkByteCount: Int) -> String {
  do {
    let request = try HTTPRequest(parsing: bytes, chunkByteCount: chunkByteCount)
    let length = request.headers["content-length"] ?? "0"
    demand(length.utf8.allSatisfy { (48...57).contains($0) }, "a length that is no number")
    let line = bytes.prefix { $0 != UInt8(ascii: "\r") }.split(separator: UInt8(ascii: " "))
    for escape in line.count == 3 ? line[1].split(separator: UInt8(ascii: "%")).dropFirst() : [] {
      demand(Array(hex: String(decoding: escape.prefix(2), as: UTF8.self)) != nil, "no byte")
    }
    for segment in request.segments {
      demand(segment.percentEncoded.utf8.allSatisfy { $0 < 0x80 && $0 > 0x20 }, "not a segment")
    }
    let query = request.query.sorted { $0.key < $1.key }
    let headers = request.headers.sorted { $0.key < $1.key }
    return "\(request.method) \(request.segments) \(query) \(headers) \(request.body)"
  } catch {
    demand((400...599).contains(error.status), "a status that is no error")
    return "\(error.status) \(error.reason)"
  }
}

/// One byte chooses the request, the rest is its body.
func apiBodySeeds() -> [[UInt8]] {
  let bodies = [
    #"{"ids":["a","b"],"subject":"s","duplicates":true,"expectedPlan":"ab","idempotencyKey":"k","#
      + #""deadline":"days:3"}"#,
    #"{"records":[{"text":"a bird","text_pair":"b","id":"7"}],"maximumDepth":2}"#,
    #"{"share":0.25}"#, #"{"path":"backup","artifacts":["ab"]}"#, #"{"deletion":3}"#,
  ]
  return bodies.enumerated().map { [UInt8($0.offset)] + $0.element.utf8 }
}

func runAPIBodies(_ bytes: [UInt8]) {
  let body = Data(bytes.dropFirst())
  switch bytes.first {
  case 0: holdToWriter(DeletionRequest.self, body)
  case 1: holdToWriter(PredictionRequest.self, body)
  case 2: holdToWriter(AuditRequest.self, body)
  case 3: holdToWriter(CopyRequest.self, body)
  case 4: holdToWriter(SaltErasure.self, body)
  default: break
  }
}

private func holdToWriter<Value: Codable>(_: Value.Type, _ body: Data) {
  guard let value = try? JSONDecoder().decode(Value.self, from: body) else { return }
  let encoder = JSONEncoder()
  encoder.outputFormatting = .sortedKeys
  guard let written = try? encoder.encode(value),
    let again = try? JSONDecoder().decode(Value.self, from: written)
  else { fatalError("a body that cannot be written and read again") }
  demand((try? encoder.encode(again)) == written, "a body that changes")
}
