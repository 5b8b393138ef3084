import Datasets
import HDF5
import Network
import Options
import Testing
@testable import Bounds
@testable import DefenseInterface
@testable import Defenses
@testable import Detection
@testable import ModelDefenses
@testable import Numerics
@testable import Rules

func goldenFile(_ name: String) throws -> HDF5File {
    let folder = #filePath.split(separator: "/").dropLast().joined(separator: "/")
    return try HDF5File.open("/\(folder)/Golden/\(name)")
}

/// A round of tools/reference_rules.py and what other implementations make of it.
private struct GoldenRound {
    let n: Int, f: Int
    let global: Parameters, root: Parameters
    let models: [Parameters]
    let images: [Int]
    let features: [Float]  // (3, 20, 9)
    let places: [Int]  // of the 200 numbers in a model
    let rules: [String]
    let expected: [Double], weights: [Double], scales: [Double]

    init(_ clients: Int) throws {
        let file = try goldenFile("rules-\(clients).h5"), network = Toy.network
        let tensor = try file.read("tensor", as: Int32.self).values, element = try file.read("element", as: Int32.self).values
        let places = zip(tensor, element).map { network.tensors[Int($0)].place(Int($1)) }
        func model(_ values: ArraySlice<Float>) -> Parameters {
            let model = Parameters(network)
            for (place, value) in zip(places, values) { model.base[place] = value }
            return model
        }
        let all = try file.read("models", as: Float.self).values, d = places.count
        models = (0..<clients).map { model(all[$0 * d..<($0 + 1) * d]) }
        global = model(try file.read("global", as: Float.self).values[...])
        root = model(try file.read("root", as: Float.self).values[...])
        images = try file.read("images", as: Int32.self).values.map(Int.init)
        features = try file.read("features", as: Float.self).values
        rules = try file.readStrings("rules")
        expected = try file.read("model", as: Double.self).values
        weights = try file.read("weight", as: Double.self).values
        scales = try file.read("scale", as: Double.self).values
        f = try file.intAttribute("malicious") ?? -1
        (n, self.places) = (clients, places)
    }

    /// The output layer on the file's features instead of random images: draw 0 for G and every client, then draw 1, ...
    func server() -> RuleServer {
        final class Calls: @unchecked Sendable { var count = 0 }
        let calls = Calls(), n = n, features = features, root = root
        return RuleServer(
            normalization: Normalization(mean: [0], std: [1]), side: 28, train: { root },
            logits: { model, count, _ in
                let draw = calls.count / (n + 1)
                calls.count += 1
                let bias = Toy.values(model, 10, "fc2/bias"), weight = Toy.values(model, 1280, "fc2/weight")
                return (0..<count).flatMap { i in
                    (0..<10).map { c in
                        Float(
                            (0..<9).reduce(Double(bias[c])) {
                                $0 + Double(weight[c * 128 + $1]) * Double(features[(draw * count + i) * 9 + $1])
                            })
                    }
                }
            })
    }

    /// Float rounding of the result, and sums of at most 200 terms in double, which the steepest function of them
    /// (FoolsGold's logit, slope below 2^3) and quotients amplify: 200 * 2^-53 * 2^5 < 2^-40 of the largest number.
    func expect(_ model: Parameters, _ values: [Double], _ what: String) {
        let largest = models.map { $0.buffer.values.reduce(0) { max($0, abs(Double($1))) } }.max() ?? 0
        var wrong = 0, inside = 0.0
        for (place, value) in zip(places, values) {
            inside += Double(abs(model.base[place]))
            let error = abs(Double(model.base[place]) - value)
            if !(error <= 0x1p-24 * abs(value) + 0x1p-40 * largest) { wrong += 1 }
        }
        #expect(wrong == 0 && values.count == places.count, "\(what), \(n) clients: \(wrong) of \(values.count) numbers differ")
        let all = model.buffer.values.reduce(0) { $0 + Double(abs($1)) }
        #expect(abs(all - inside) <= 1e-12 * all, "\(what): parameters that are 0 in every model have moved")
    }
}

@Suite struct GoldenRuleTests {
    static let names = [
        "none", "norm-clip", "dp", "krum", "multi-krum", "median", "trimmed-mean", "rfout", "bulyan", "rfa", "rlr", "foolsgold",
        "foolsgold-2", "flame", "deepsight", "clip-cluster", "clip-cluster-2", "sign-guard", "fltrust",
    ]
    static let cases: [(Int, String)] = [7, 10, 11].flatMap { n in names.map { (n, $0) } }

    @Test func coversEveryRule() throws {
        #expect(Set(Self.names).isSuperset(of: AggregationRules.names))
        for n in [7, 10, 11] { #expect(try GoldenRound(n).rules == Self.names) }
    }

    private func make(_ name: String) -> (any AggregationRule)? {
        switch name {
        case "norm-clip":
            var settings = Settings()
            settings[NormClip.limit] = 0.4
            return NormClip(settings)
        case "dp":
            var rule = DifferentialPrivacy()
            (rule.limit, rule.noise) = (0.4, 0)
            return rule
        case "rfout":
            var rule = RFOut()
            rule.deviations = 1.5
            return rule
        case "flame":
            var rule = FLAME()
            rule.noise = 0
            return rule
        case "deepsight":
            var rule = DeepSight()
            rule.images = 20
            return rule
        default: return AggregationRules.make(name.replacing("-2", with: ""))
        }
    }

    @Test(arguments: cases) func agrees(n: Int, name: String) throws {
        let golden = try GoldenRound(n), row = try #require(golden.rules.firstIndex(of: name)), rule = try #require(make(name))
        var context = RuleContext(assumedMalicious: golden.f, seed: 1, round: 1, threads: 2, server: golden.server())
        var updates = Toy.updates(golden.models, images: golden.images)
        if name.hasSuffix("-2") {  // a second round, with what the rule remembers of the first
            _ = try rule.aggregate(golden.global, updates, &context)
            updates = (0..<n - 1).map { ClientUpdate(client: $0, images: 1, parameters: golden.models[$0 + 1]) }
        }
        let aggregate = try rule.aggregate(golden.global, updates, &context), d = golden.places.count
        golden.expect(aggregate.model, Array(golden.expected[row * d..<(row + 1) * d]), name)

        let weights = Array(golden.weights[row * n..<(row + 1) * n]).prefix(updates.count), total = weights.reduce(0, +)
        let teaching = weights.indices.filter { weights[$0] > 0 }, given = aggregate.teachers.reduce(0) { $0 + $1.weight }
        #expect(aggregate.teachers.count == teaching.count && !teaching.isEmpty)
        for (client, teacher) in zip(teaching, aggregate.teachers) {
            #expect(abs(teacher.weight / given - weights[client] / total) <= 0x1p-40)
            let scale = golden.scales[row * n + client]
            golden.expect(
                teacher.parameters,
                golden.places.map { place in
                    let g = Double(golden.global.base[place])
                    return g + scale * (Double(updates[client].parameters.base[place]) - g)
                }, "\(name), teacher of client \(client)")
        }
        if let rejected = aggregate.rejected { #expect(rejected == weights.indices.filter { weights[$0] == 0 }) }
        let rejects = [
            "krum", "multi-krum", "bulyan", "foolsgold", "foolsgold-2", "flame", "deepsight", "clip-cluster", "clip-cluster-2",
            "sign-guard", "fltrust",
        ]
        #expect((aggregate.rejected != nil) == rejects.contains(name))
    }
}
