import Datasets
import Foundation
import HDF5
import Network
import Options
import Testing
@testable import Attacks
@testable import DataDefenses
@testable import DefenseInterface
@testable import Defenses
@testable import Numerics

/// Defences on the FM data by hand, and beside scikit-learn and numpy (tools/reference_data.py).
@Suite struct DataDefensesTests {
    /// Class 0 has 30 rows near the origin and 10 far along one unit; class 1 is all of one kind. What is far goes.
    private var twoKinds: Representations {
        var stream = RandomStream(seed: 1, purpose: "toy representations")
        let rows = (0..<80).map { i -> [Double] in
            var row: [Double] = (0..<4).map { _ in stream.normal() }
            if i < 10 { row[3] += 20 }
            return row
        }
        return Representations(rows: rows, labels: (0..<80).map { $0 < 40 ? 0 : 1 }, classes: 2)
    }

    @Test func activationClusteringTakesTheSmallerPart() {
        let found = ActivationClustering().examine(twoKinds, seed: 1, threads: 1)
        #expect(found.images == Array(0..<10), "\(found)")
    }

    /// Where most of a class is far, the smaller part is what was there before: the source's assumption fails, and so does it.
    @Test func activationClusteringTakesTheCleanOnesWherePoisonIsMost() {
        var rows = twoKinds.rows
        for i in 10..<30 { rows[i][3] += 20 }
        let found = ActivationClustering().examine(Representations(rows: rows, labels: twoKinds.labels, classes: 2), seed: 1, threads: 1)
        #expect(found.images == Array(30..<40), "\(found)")
    }

    /// 0.15 of 40 are 6 of each class; of class 0 all of them from the 10 that lie along the direction of most spread.
    @Test func spectralSignaturesLeavesOutTheSamePartOfEveryClass() {
        let found = SpectralSignatures().examine(twoKinds, threads: 1)
        #expect(found.images.filter { $0 < 40 }.count == 6 && found.images.filter { $0 < 40 }.allSatisfy { $0 < 10 })
        #expect(found.images.count == 12 && found.findings.first?.value == "6 6")
    }

    /// Scores 1, 2, 3, 4, 100: median 3, median deviation 1, so the last lies 97 / 1.4826 above.
    @Test func anomalyIndices() {
        let found = ContaminationAnalyzer.anomalyIndices([1, 2, 3, 4, 100])
        #expect(abs(found[4] - 97 / 1.4826) < 1e-9 && abs(found[0] + 2 / 1.4826) < 1e-9)
        #expect(ContaminationAnalyzer.anomalyIndices([5, 5, 5, 9]) == [0, 0, 0, 0])
    }

    @Test func silhouettes() {
        // Two pairs, one apart and ten between: a = 1, b = (10 + 11) / 2 and (9 + 10) / 2.
        let x = [[0.0], [1], [10], [11]], expected = (2 * (1 - 1 / 10.5) + 2 * (1 - 1 / 9.5)) / 4
        #expect(abs(silhouette(x, [false, false, true, true]) - expected) < 1e-12)
        #expect(silhouette(x, [true, true, true, true]) == 0)
        #expect(silhouette([[0], [5]], [false, true]) == 0)
    }

    /// Of a diagonal with a turn: values 5 and 1 along (1, 1) and (1, -1).
    @Test func eigenvectorsOfTwo() {
        let found = eigenvectors([3, 2, 2, 3], 2)
        #expect(abs(found[0].value - 5) < 1e-12 && abs(found[1].value - 1) < 1e-12)
        #expect(abs(abs(found[0].vector[0]) - 0.5.squareRoot()) < 1e-12 && found[0].vector[0] * found[0].vector[1] > 0)
        #expect(eigenvectors([], 0).isEmpty)
    }

    /// More rows than columns and the other way round: the lengths of the projections are the singular values.
    @Test func leadingComponentsOfBothShapes() {
        let tall: [[Double]] = [[2, 0], [-2, 0], [0, 1], [0, -1]], wide: [[Double]] = [[2, 0, 0], [-2, 0, 0]]
        let a = leadingComponents(tall, count: 2), b = leadingComponents(wide, count: 2)
        #expect(a.map { abs($0[0]) } == [2, 2, 0, 0] && a.map { abs($0[1]) } == [0, 0, 1, 1])
        #expect(b.allSatisfy { $0.count == 1 && abs(abs($0[0]) - 2) < 1e-12 })
    }

    @Test func decorrelatedHasVarianceOne() {
        var x: [[Double]] = [], mean: [Double] = [0, 0, 0]
        for i in 0..<50 {
            let first = Double(i % 7), second = Double(i % 5)
            x.append([first, 2 * first + second, 0])
            for k in 0..<3 { mean[k] += x[i][k] / 50 }
        }
        let centred: [[Double]] = x.map { row in zip(row, mean).map { pair in pair.0 - pair.1 } }
        let y = decorrelated(centred)
        #expect(y[0].count == 2)
        for i in 0..<2 {
            for j in 0..<2 {
                let covariance: Double = y.reduce(0.0) { $0 + $1[i] * $1[j] } / 50
                #expect(abs(covariance - (i == j ? 1 : 0)) < 1e-9)
            }
        }
    }

    /// Classes without images, of one image, and of images that are all alike are left as they are.
    @Test func degenerateClasses() {
        let rows = (0..<41).map { i in i < 40 ? [1.0, 2, 3] : [4, 5, 6] }
        let odd = Representations(rows: rows, labels: rows.indices.map { $0 < 40 ? 2 : 0 }, classes: 4)
        #expect(ActivationClustering().examine(odd, seed: 1, threads: 2).images == [])
        #expect(ContaminationAnalyzer().examine(odd, threads: 2).images == [])
        #expect(SpectralSignatures().examine(odd, threads: 2).images.count == 6)
    }

    @Test(arguments: ["poisoned", "clean", "faint"])
    func agreesWithScikitLearn(_ name: String) throws {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden/data.h5").path
        let file = try HDF5File.open(path)
        let labels = try file.read("\(name)/labels", as: Int32.self, shape: [-1]).values.map { Int($0) }
        let values = try file.read("\(name)/rows", as: Float.self, shape: [labels.count, -1]).values, units = values.count / labels.count
        let rows = labels.indices.map { i in (0..<units).map { Double(values[i * units + $0]) } }
        let data = Representations(rows: rows, labels: labels, classes: (labels.max() ?? 0) + 1)
        func images(_ defense: String) throws -> [Int] {
            try file.read("\(name)/\(defense)", as: Int32.self, shape: [-1]).values.map { Int($0) }
        }
        for threads in [1, 3] {
            let clustered = ActivationClustering().examine(data, seed: 3, threads: threads).images.filter { labels[$0] == 1 }
            #expect(clustered == (try images(ActivationClustering.name)))
            #expect(SpectralSignatures().examine(data, threads: threads).images == (try images(SpectralSignatures.name)))
            let scan = ContaminationAnalyzer().examine(data, threads: threads)
            #expect(scan.images == (try images(ContaminationAnalyzer.name)))
            let deviations = try file.read("\(name)/deviations", as: Double.self, shape: [-1]).values
            #expect(scan.findings[1].value == deviations.map { fixed($0, 1) }.joined(separator: " "))
        }
        let silhouettes = try file.read("\(name)/silhouette", as: Double.self, shape: [-1]).values
        let explained = try file.read("\(name)/explained", as: Double.self, shape: [-1]).values
        for label in 0..<data.classes {
            let split = ActivationClustering().split(data, label, seed: 3)
            #expect(split.explained > explained[label] - 0.01 && split.explained < explained[label] + 0.01)
            if name != "clean", label == 1 { #expect(abs(split.silhouette - silhouettes[label]) < 0.002) }
        }
    }
}
