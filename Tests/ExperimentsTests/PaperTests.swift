import Federation
import Network
import Testing
@testable import Experiments

@Suite struct PaperTests {
    private func setting(_ tables: [String], scale: String = "study") -> Setting {
        Setting(
            scale: scale, dataset: "toy", datasetDigest: "d", synthetic: "holdout:2000", syntheticDigest: "s", syntheticImages: 10_000,
            evaluateOn: .test, tables: tables, seeds: [1])
    }

    /// Every printed line of tables I to III has a place, for both data sets, under the names that files of CIFAR's layout may have.
    @Test func everyPrintedCellHasAPlace() {
        var found: Set<String> = []
        for data in ["cifar-10", "cifar-100", "cifar-10-records", "cifar-100-records", "toy"] {
            for table in [PaperTable1(.study), PaperTable2(.study), PaperTable3(.study)] as [any PaperTable] {
                for column in table.columns {
                    for row in table.rows where isPrinted(table.printed(row, column, data: data)) {
                        #expect(data != "toy")
                        found.insert("\(table.name) \(data.replacing("-records", with: "")) \(column) \(row)")
                    }
                }
            }
        }
        #expect(found.count == Printed.tables.count && Printed.tables.count == 8 * 9 * 2 + 8 * 2)
    }

    private func isPrinted(_ figure: PrintedFigure) -> Bool {
        [figure.accuracy, figure.accuracyDrop, figure.attackSuccess].contains { !$0.isNaN }
    }

    /// Table II is table I with heads that the clients draw, and its trainings cost more: each shape is initialised and taught.
    @Test func tableTwoHasClientsOfSeveralShapes() throws {
        let base = try Plan(setting(["paper-1"])).base
        let one = try #require(PaperTable1(.study).cell("none", "cross-silo, iid", base)),
            two = try #require(PaperTable2(.study).cell("none", "cross-silo, iid", base))
        var same = two.configuration
        same.heads = nil
        #expect(same == one.configuration && two.configuration.heads == .drawn)
        #expect(two.configuration.presentHeads.count > 1 && one.configuration.presentHeads == [.none])
        let sizes = DataSizes(train: 50_000, test: 10_000, generated: nil)
        func passes(_ table: String) throws -> Double { try Plan(setting([table]), only: .init(rows: ["krum"])).trainings[0].passes(sizes) }
        #expect(try passes("paper-2") > 1.5 * passes("paper-1"))
    }

    /// Where a table shows no floors nothing is trained for them.
    @Test func onlyWhatIsShownIsTrained() throws {
        let plan = try Plan(setting(["paper-1"]), only: .init(columns: ["cross-silo, iid"]))
        #expect(plan.trainings.allSatisfy { $0.configuration.attack == .fm })
        #expect(try Plan(setting(["main"])).trainings.contains { $0.configuration.attack == .none })
    }

    @Test func aPartHasItsRowsAndColumns() throws {
        let part = try Plan(setting(["paper-1"]), only: .init(rows: ["none", "krum"], columns: ["cross-silo, iid"]))
        #expect(part.trainings.map(\.configuration.defenses) == [[], ["krum"]])
        for strange in [Plan.Part(rows: ["nobody"]), Plan.Part(columns: ["none"])] {
            #expect(throws: (any Error).self) { try Plan(setting(["paper-1"]), only: strange) }
        }
    }

    /// The search sees development images and seeds from 101 on, whatever the table's seeds are.
    @Test func settingsAreSearchedOnDevelopmentImages() throws {
        let plan = try Plan(setting(["paper-tuning"]))
        #expect(plan.trainings.allSatisfy { $0.configuration.evaluateOn == .dev && $0.configuration.seed == 101 })
        #expect(Set(plan.trainings.flatMap(\.configuration.defenses)) == ["norm-clip", "dp", "rfout"])
    }
}
