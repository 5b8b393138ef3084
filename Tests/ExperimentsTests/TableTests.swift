import Testing
@testable import Experiments

@Suite struct TableTests {
    private func result(seeds: [UInt64]) -> TableResult {
        func place(_ acc: Double, _ asr: Double) -> [Measurement] {
            seeds.enumerated().map { at, _ in
                Measurement(accuracy: acc + 0.01 * Double(at), attackSuccess: asr, robustAccuracy: .nan, floor: 0.02)
            }
        }
        return TableResult(
            name: "toy", caption: "a_b", claim: "low", rowTitle: "defence", legend: "ACC: right.", measures: Measure.outcomes,
            rows: ["none", "bounds, ours"], columns: ["clean", "fm"], seeds: seeds,
            places: [[place(0.9, .nan), place(0.8, 1)], [place(0.85, .nan), seeds.map { _ in Measurement.none }]], cleanColumns: ["clean"],
            curves: [[[], []], [[], []]])
    }

    private func results(_ table: TableResult) -> Results {
        Results(
            setting: Setting(
                scale: "smoke", dataset: "toy", datasetDigest: "d", synthetic: "fm.h5", syntheticDigest: "s", syntheticImages: 10,
                evaluateOn: .test, tables: ["toy"], seeds: table.seeds), tables: [table])
    }

    @Test func statistics() {
        #expect(Statistics.mean([1, 2, 3]) == 2)
        #expect(Statistics.deviation([1, 2, 3]) == 1)  // n - 1
        #expect(Statistics.mean([1, .nan, 3]) == 2)
        #expect(Statistics.mean([]).isNaN && Statistics.mean([.nan]).isNaN)
        #expect(Statistics.deviation([1]).isNaN && Statistics.deviation([1, .nan]).isNaN)
    }

    @Test func numbers() {
        #expect(Numbers.fixed(0.8125, 3) == "0.813")
        #expect(Numbers.fixed(0.9996, 3) == "1.000")
        #expect(Numbers.fixed(0.05, 3) == "0.050")
        #expect(Numbers.fixed(-0.0001, 3) == "0.000")
        #expect(Numbers.fixed(-1.5, 1) == "-1.5")
        #expect(Numbers.fixed(.nan, 3) == "-")
        #expect(Numbers.fixed(.infinity, 3) == "inf")
        #expect(Numbers.fixed(7.4, 0) == "7")
        #expect(
            Numbers.grouped(0) == "0" && Numbers.grouped(999) == "999" && Numbers.grouped(60_000) == "60,000"
                && Numbers.grouped(1_234_567) == "1,234,567")
        #expect(Numbers.duration(3.2) == "4 s" && Numbers.duration(200) == "3 min 20 s" && Numbers.duration(7500) == "2 h 5 min")
    }

    @Test func text() {
        let table = result(seeds: [1])
        let lines = table.text(results(table)).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        #expect(lines[3] == "                clean           fm")
        #expect(lines[4] == "defence           ACC  floor      ACC    ASR  floor")
        #expect(lines[6] == "none            0.900  0.020    0.800  1.000  0.020")
        #expect(lines[7] == "bounds, ours    0.850  0.020        -      -      -", "an empty place")
        #expect(table.summary(0, 0, Measure.accuracy) == "0.900")
        #expect(result(seeds: [1, 2]).summary(0, 0, Measure.accuracy) == "0.905±0.007")
    }

    @Test func markdown() {
        let table = result(seeds: [1, 2]), text = table.markdown(results(table))
        #expect(text.contains("| defence | clean ACC | clean floor | fm ACC | fm ASR | fm floor |"))
        #expect(text.contains("| none | 0.905 ± 0.007 | 0.020 ± 0.000 |"))
        let bars = text.split(separator: "\n").filter { $0.hasPrefix("|") }.map { $0.filter { $0 == "|" }.count }
        #expect(Set(bars).count == 1, "every line has the same columns")
    }

    @Test func csv() {
        let lines = result(seeds: [5, 6]).csv().split(separator: "\n").map(String.init)
        #expect(lines[0] == "table,row,column,kind,seed,acc,asr,floor,robust_accuracy")
        #expect(lines.count == 1 + 4 * 4, "two seeds, mean and std for each of four places")
        #expect(lines[1] == "toy,none,clean,seed,5,0.9,,0.02,")
        #expect(lines.contains("toy,\"bounds, ours\",fm,seed,5,,,,"))
        #expect(lines[3].hasPrefix("toy,none,clean,mean,,0.90") && lines[4].hasPrefix("toy,none,clean,std,,0.00"))
    }

    @Test func latex() {
        let table = result(seeds: [1, 2]), text = table.latex(results(table))
        #expect(text.contains("\\begin{tabular}{l|rr|rrr}") && text.contains("a\\_b"))
        #expect(text.contains("$0.905 \\pm 0.007$") && text.contains("& -- &"))
        #expect(!text.split(separator: "\n").filter { !$0.hasPrefix("%") }.contains { $0.contains("±") })
    }
}
